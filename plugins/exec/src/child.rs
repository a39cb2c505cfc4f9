//! A program while it runs: lines to it and from it, and its complaints to the log.
//!
//! Everything is bounded: the length of a line, what waits to be read by the program, what of its complaints is kept, and the time. All in
//! the calling thread, which the kernel takes for the parent.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmdk2kvm_plugin_api::{Host, PluginError, Result, tracing};

use crate::settings::Program;

/// How often the host is asked whether to stop.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// No line of a program is longer, in bytes: a plan with the contents of files is one.
const LINE_LIMIT: usize = 32 << 20;
/// No more than this waits for a program that asks without reading the answers, in bytes.
const UNREAD_LIMIT: usize = 64 << 20;
/// Of a line on standard error this is kept, in bytes.
const COMPLAINT: usize = 4 << 10;
/// So many lines on standard error are logged.
const COMPLAINTS: usize = 1000;
/// What a program gets to see of our environment. Other variables may hold what is not its business.
const ENVIRONMENT: [&str; 6] = ["PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL"];

/// A running program. Dropped, it is ended with all that it started.
pub(crate) struct Child<'a> {
    program: &'a Program,
    host: &'a Host,
    process: vmdk2kvm_child::Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    complaints: Complaints,
}

impl<'a> Child<'a> {
    /// Starts a program, without a shell, in a process group of its own.
    pub fn start(program: &'a Program, host: &'a Host) -> Result<Self> {
        host.check_cancelled()?;
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = vmdk2kvm_child::Child::start(&mut command).map_err(|error| {
            PluginError::config(format!("it cannot be started: {error}"))
                .hint("a script's first line names its interpreter, e.g. #!/usr/bin/python3")
        })?;
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let child = Self {
            program,
            host,
            process,
            stdin,
            stdout,
            stderr,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            complaints: Complaints::default(),
        };
        child
            .streams()
            .try_for_each(|stream| rustix::io::ioctl_fionbio(stream, true))
            .map_err(|error| broken(&error.into()))?;
        Ok(child)
    }

    fn streams(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let stdin = self.stdin.as_ref().map(AsFd::as_fd);
        let stdout = self.stdout.as_ref().map(AsFd::as_fd);
        stdin.into_iter().chain(stdout).chain(self.stderr.as_ref().map(AsFd::as_fd))
    }

    /// Gives the program a line, as soon as it reads.
    pub fn send(&mut self, line: &[u8]) -> Result<()> {
        if self.outgoing.len() + line.len() > UNREAD_LIMIT {
            return Err(PluginError::defect("it asks on and on without reading the answers"));
        }
        self.outgoing.extend_from_slice(line);
        Ok(())
    }

    /// Its next line, without the line feed; `None` when it has closed its output.
    pub fn line(&mut self, until: Instant) -> Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.incoming[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.incoming.drain(..=searched + at).collect();
                line.pop();
                return Ok(Some(line));
            }
            searched = self.incoming.len();
            if searched > LINE_LIMIT {
                return Err(PluginError::defect(format!("a line of more than {} MiB", LINE_LIMIT >> 20)));
            }
            // A last line without a line feed is not known to be whole. One that it started may have its output still open.
            if self.stdout.is_none() || (self.has_ended()? && !self.listen()?) {
                return Ok(None);
            }
            self.exchange(until)?;
        }
    }

    /// Waits for its end, with nothing more to say to it.
    pub fn end(&mut self, until: Instant) -> Result<ExitStatus> {
        self.outgoing.clear();
        self.stdin = None;
        while !self.has_ended()? {
            self.incoming.clear();
            self.exchange(until)?;
        }
        let status = self.process.end().map_err(|error| broken(&error))?;
        while self.listen()? {}
        Ok(status)
    }

    fn has_ended(&self) -> Result<bool> {
        self.process.has_ended().map_err(|error| broken(&error))
    }

    /// What is wrong with this end; `None` for status 0. Its last complaint goes with it.
    pub fn complaint(&self, status: ExitStatus) -> Option<String> {
        let end = match (status.code(), status.signal()) {
            (Some(0), _) => return None,
            (Some(code), _) => format!("it ended with status {code}"),
            (None, signal) => format!("it was killed by signal {}", signal.unwrap_or_default()),
        };
        let last = &self.complaints.last;
        Some(if last.is_empty() { end } else { format!("{end}, and its last words were {last:?}") })
    }

    /// Waits until something can be read or written, or for a tick, and does what can be done.
    fn exchange(&mut self, until: Instant) -> Result<()> {
        self.host.check_cancelled()?;
        if Instant::now() > until {
            return Err(PluginError::defect("it took too long and was ended"));
        }
        if self.outgoing.is_empty() && self.stdout.is_none() && self.stderr.is_none() {
            // Only its end is left to wait for.
            std::thread::sleep(std::time::Duration::from_millis(10));
            return Ok(());
        }
        let mut polled = Vec::with_capacity(3);
        polled.extend(self.stdout.as_ref().map(|stream| PollFd::new(stream, PollFlags::IN)));
        polled.extend(self.stderr.as_ref().map(|stream| PollFd::new(stream, PollFlags::IN)));
        let stdin = self.stdin.as_ref().filter(|_| !self.outgoing.is_empty());
        polled.extend(stdin.map(|stream| PollFd::new(stream, PollFlags::OUT)));
        match poll(&mut polled, Some(&TICK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(broken(&error.into())),
        }
        self.talk()?;
        self.listen().map(drop)
    }

    fn talk(&mut self) -> Result<()> {
        let Some(stdin) = &mut self.stdin else {
            self.outgoing.clear();
            return Ok(());
        };
        match stdin.write(&self.outgoing) {
            Ok(written) => drop(self.outgoing.drain(..written)),
            Err(error) if is_later(&error) => {}
            // It has closed its input, which it may: what it says still counts.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.stdin = None,
            Err(error) => return Err(broken(&error)),
        }
        Ok(())
    }

    /// Takes what is there; whether anything was.
    fn listen(&mut self) -> Result<bool> {
        let mut buffer = [0; 16 << 10];
        let said = take(&mut self.stdout, &mut buffer)?;
        self.incoming.extend_from_slice(&buffer[..said]);
        let complained = take(&mut self.stderr, &mut buffer)?;
        self.complaints.take(&self.program.name, &buffer[..complained]);
        Ok(said + complained > 0)
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        self.complaints.finish(&self.program.name);
    }
}

/// Reads without waiting. At the end of a stream it is closed.
fn take(stream: &mut Option<impl Read>, buffer: &mut [u8]) -> Result<usize> {
    let Some(open) = stream else { return Ok(0) };
    match open.read(buffer) {
        Ok(0) => {
            *stream = None;
            Ok(0)
        }
        Ok(read) => Ok(read),
        Err(error) if is_later(&error) => Ok(0),
        Err(error) => Err(broken(&error)),
    }
}

fn is_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn broken(error: &std::io::Error) -> PluginError {
    PluginError::io(format!("its streams: {error}"))
}

/// Standard error, line by line.
#[derive(Default)]
struct Complaints {
    line: Vec<u8>,
    last: String,
    count: usize,
}

impl Complaints {
    fn take(&mut self, name: &str, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.finish(name),
                byte if self.line.len() < COMPLAINT => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn finish(&mut self, name: &str) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        self.last = text.chars().take(200).collect();
        self.count += 1;
        if self.count <= COMPLAINTS {
            tracing::info!("{name}: {text}");
        } else if self.count == COMPLAINTS + 1 {
            tracing::warn!("{name}: more than {COMPLAINTS} lines on standard error; the others are not logged");
        }
    }
}
