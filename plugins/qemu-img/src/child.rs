//! Runs a program to its end: output handed on as it comes, cancellation, no orphan.
//!
//! Knows nothing of images. All in the calling thread, and that matters: the kernel sends the parent-death signal when the
//! thread that started the child ends.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use vmdk2kvm_plugin_api::Host;

use crate::failure::Failed;

/// How often the host is asked whether to stop.
const POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Of stderr the end is kept: it says what went wrong.
const STDERR_KEPT: usize = 8 << 10;

/// Runs `program` and gives its standard output to `output` as it comes.
pub fn run(program: &Path, arguments: &[String], host: &Host, mut output: impl FnMut(&[u8])) -> Result<(), Failed> {
    let mut child = Killed(start(program, arguments)?);
    let (mut stdout, mut stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let mut complaint = Vec::new();
    let mut buffer = [0; 4096];
    while stdout.is_some() || stderr.is_some() {
        if host.cancelled() {
            return Err(Failed::Interrupted);
        }
        wait(&stdout, &stderr)?;
        if let Some(read) = take(&mut stdout, &mut buffer)? {
            output(&buffer[..read]);
        }
        if let Some(read) = take(&mut stderr, &mut buffer)? {
            complaint.extend_from_slice(&buffer[..read]);
            let excess = complaint.len().saturating_sub(STDERR_KEPT);
            complaint.drain(..excess);
        }
    }
    let status = child.0.wait().map_err(Failed::Run)?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Failed::Exit { code, stderr: String::from_utf8_lossy(&complaint).into_owned() }),
        (None, signal) => Err(Failed::Signal(signal.unwrap_or_default())),
    }
}

fn start(program: &Path, arguments: &[String]) -> Result<Child, Failed> {
    let parent = getpid();
    let mut command = Command::new(program);
    command
        .args(arguments)
        // Complaints are told apart by their text.
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Out of the terminal's foreground group: Ctrl-C reaches us, and we stop the child.
        .process_group(0);
    // SAFETY: between fork and exec only two async-signal-safe system calls are made, and nothing is allocated or locked.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the signal was asked for.
            if getppid() == Some(parent) { Ok(()) } else { Err(std::io::Error::from_raw_os_error(3)) }
        });
    }
    command.spawn().map_err(Failed::Run)
}

/// Waits until a stream has something or the time to ask the host has come. At its end a stream counts as readable.
fn wait(stdout: &Option<impl AsFd>, stderr: &Option<impl AsFd>) -> Result<(), Failed> {
    let streams = [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
    let mut polled: Vec<_> = streams.iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    match poll(&mut polled, Some(&POLL)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Failed::Run(error.into())),
    }
}

/// Reads what is there without waiting; at the end of the stream it is closed.
fn take(stream: &mut Option<impl AsFd + Read>, buffer: &mut [u8]) -> Result<Option<usize>, Failed> {
    let Some(open) = stream else { return Ok(None) };
    let mut polled = [PollFd::new(open, PollFlags::IN)];
    match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(Failed::Run(error.into())),
    }
    match open.read(buffer) {
        Ok(0) => {
            *stream = None;
            Ok(None)
        }
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(Failed::Run(error)),
    }
}

/// A child that does not outlive this value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
