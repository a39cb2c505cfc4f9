//! The machine of a test while it runs, as whoever judges its guest wants it.

use std::io::{ErrorKind as Io, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmdk2kvm_boot_evidence::{Event, TEXT_PAGE_ADDRESS, TEXT_PAGE_BYTES, Watched};
use vmdk2kvm_libvirt::{Connection, Domain, Events, Stop};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

/// How often the daemon is asked whether it still knows the machine.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long a machine may take to open its console: it does so before it is there.
const CONSOLE: Duration = Duration::from_secs(10);

/// The socket that a machine's serial console connects to. Dropped, it is gone.
pub struct Console {
    path: PathBuf,
    listener: UnixListener,
}

impl Console {
    /// Listens.
    pub fn listen(folder: &Path) -> Result<Self> {
        let path = folder.join("console");
        let listener = UnixListener::bind(&path).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        match listener {
            Ok(listener) => Ok(Self { path, listener }),
            Err(error) => Err(PluginError::from_io(path.display(), &error)),
        }
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The machine's end.
    fn accept(&self) -> Result<UnixStream> {
        let began = Instant::now();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true).map_err(|error| PluginError::from_io("the console", &error))?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == Io::WouldBlock && began.elapsed() < CONSOLE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(PluginError::from_io("the machine's serial console", &error)),
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It lies in the run's own folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A machine that is there. Dropped, it is destroyed.
pub struct Machine<'a> {
    connection: &'a Connection,
    domain: Domain,
}

impl<'a> Machine<'a> {
    /// Starts it, with its processors standing still. `bound`: the daemon ends it with the connection.
    pub fn start(connection: &'a Connection, xml: &str, bound: bool) -> Result<Self> {
        let domain = connection.create_paused(xml, bound).map_err(|error| {
            error.during("the machine of the boot test could not be started").of_kind(ErrorKind::Missing)
        })?;
        Ok(Self { connection, domain })
    }

    /// Lets it run, watched from its first instruction.
    pub fn run(&self, console: &Console) -> Result<Running<'_>> {
        let failed = |error: vmdk2kvm_libvirt::Error| error.during("the machine of the boot test");
        let events = Events::of(self.connection, &self.domain).map_err(failed)?;
        let stream = console.accept()?;
        self.domain.resume().map_err(failed)?;
        Ok(Running {
            machine: self,
            events,
            console: stream,
            resets: 0,
            has_told_end: false,
            is_readable: true,
            asked: Instant::now(),
        })
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // One that is gone is as wanted; a daemon that does not answer ends it with the connection.
        let _ = self.domain.destroy();
    }
}

/// A machine that runs.
pub struct Running<'a> {
    machine: &'a Machine<'a>,
    events: Events<'a>,
    console: UnixStream,
    /// Those that were told.
    resets: u32,
    has_told_end: bool,
    /// Its memory can be read: a daemon may not be able to.
    is_readable: bool,
    asked: Instant,
}

impl Watched for Running<'_> {
    fn console(&mut self, buffer: &mut [u8]) -> usize {
        // An error is the end of the machine, of which the events tell.
        self.console.read(buffer).unwrap_or_default()
    }

    fn wait(&self, longest: Duration) {
        let began = Instant::now();
        let console = self.console.as_fd();
        let mut polled = [PollFd::new(&console, PollFlags::IN)];
        let time = Timespec { tv_sec: longest.as_secs() as i64, tv_nsec: longest.subsec_nanos().into() };
        // A signal that ends the wait early does no harm.
        let _ = poll(&mut polled, Some(&time));
        if polled[0].revents().contains(PollFlags::HUP) {
            // It has ended: its events come by another way.
            std::thread::sleep(longest.saturating_sub(began.elapsed()).min(Duration::from_millis(100)));
        }
    }

    fn event(&mut self) -> Option<Event> {
        if self.resets < self.events.reboots() {
            self.resets += 1;
            return Some(Event::Reset);
        }
        if self.has_told_end {
            return None;
        }
        let ended = match self.events.stop() {
            _ if self.events.has_panicked() => Event::Panicked,
            Some(Stop::ByItself) => Event::PoweredOff,
            _ => return None,
        };
        self.has_told_end = true;
        Some(ended)
    }

    fn text_page(&mut self) -> Option<Vec<u8>> {
        let mut page = vec![0; TEXT_PAGE_BYTES];
        self.is_readable = self.is_readable && self.machine.domain.peek(TEXT_PAGE_ADDRESS, &mut page).is_ok();
        self.is_readable.then_some(page)
    }

    fn picture(&mut self) -> Result<Vec<u8>> {
        let shot = self.machine.domain.screenshot(self.machine.connection);
        shot.map_err(|error| error.during("no picture of the screen"))
    }

    fn ended(&mut self) -> Result<Option<String>> {
        let lost = |words: String| PluginError::new(ErrorKind::Temporary, words).hint("run the same command again");
        match self.events.stop() {
            Some(Stop::Destroyed) => {
                return Err(lost("the machine of the boot test was destroyed from outside".to_owned()));
            }
            Some(Stop::Died) => return Ok(Some("the machine's process ended".to_owned())),
            Some(Stop::ByItself) | None => {}
        }
        if self.asked.elapsed() < ASK_EVERY {
            return Ok(None);
        }
        self.asked = Instant::now();
        match self.machine.domain.is_known() {
            Ok(_) => Ok(None),
            Err(error) => Err(lost(format!("the connection to libvirt was lost: {}", error.message))),
        }
    }
}
