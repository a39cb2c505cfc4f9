//! A program run to its end: what it says handed on as it comes, within a time, and stopped when it is asked to.

use std::io::{ErrorKind, Read, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Child, Tail};

/// How often it is asked whether to stop.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// A program that has closed its streams ends at once, as a rule.
const SHORT: Duration = Duration::from_millis(2);
/// Of standard error the end is kept, in bytes: it says what went wrong.
const STDERR_KEPT: usize = 8 << 10;
/// So much is read at a time.
const PIECE: usize = 16 << 10;
/// No pipe holds more, unless root says so (pipe(7)).
const PIPE_LIMIT: usize = 1 << 20;

/// How long a program may run.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// At the longest.
    pub time: Option<Duration>,
    /// Asked all the while whether to stop.
    pub stop: &'a dyn Fn() -> bool,
}

/// Where a program said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// On standard output.
    Output,
    /// On standard error.
    Error,
}

/// A program that ended by itself, well or not.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// The end of what it said on standard error.
    pub stderr: String,
}

/// Why a program did not end by itself.
#[derive(Debug)]
pub enum Failure {
    /// It could not be started.
    Start(std::io::Error),
    /// It could not be listened to.
    Streams(std::io::Error),
    /// It was to stop.
    Stopped,
    /// It took longer than this.
    Late(Duration),
}

/// Runs a program with nothing to read, and gives what it says to `hear` as it comes. All in the calling thread, which the kernel takes for
/// the parent.
pub fn run(
    command: &mut Command,
    limits: &Limits<'_>,
    hear: impl FnMut(Stream, &[u8]),
) -> std::result::Result<Ended, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begin = Instant::now();
    let mut child = Child::start(command).map_err(Failure::Start)?;
    let mut streams = Streams { stdout: child.stdout(), stderr: child.stderr(), tail: Tail::new(STDERR_KEPT), hear };
    streams.never_wait().map_err(Failure::Streams)?;
    while !child.has_ended().map_err(Failure::Streams)? {
        if (limits.stop)() {
            return Err(Failure::Stopped);
        }
        if let Some(time) = limits.time.filter(|time| begin.elapsed() > *time) {
            return Err(Failure::Late(time));
        }
        if !streams.listen().map_err(Failure::Streams)? {
            streams.wait().map_err(Failure::Streams)?;
        }
    }
    // What it started may hold its streams open, and talk on: that is ended, and what is in the pipes is all there is.
    let status = child.end().map_err(Failure::Streams)?;
    for _ in 0..PIPE_LIMIT / PIECE {
        if !streams.listen().map_err(Failure::Streams)? {
            break;
        }
    }
    Ok(Ended { status, stderr: streams.tail.text() })
}

/// What a program says.
struct Streams<H> {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    tail: Tail,
    hear: H,
}

impl<H: FnMut(Stream, &[u8])> Streams<H> {
    fn open(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let stdout = self.stdout.as_ref().map(AsFd::as_fd);
        stdout.into_iter().chain(self.stderr.as_ref().map(AsFd::as_fd))
    }

    fn never_wait(&self) -> Result<()> {
        Ok(self.open().try_for_each(|stream| rustix::io::ioctl_fionbio(stream, true))?)
    }

    /// Takes what is there; whether anything was.
    fn listen(&mut self) -> Result<bool> {
        let mut buffer = [0; PIECE];
        let said = take(&mut self.stdout, &mut buffer)?;
        if said > 0 {
            (self.hear)(Stream::Output, &buffer[..said]);
        }
        let complained = take(&mut self.stderr, &mut buffer)?;
        if complained > 0 {
            self.tail.push(&buffer[..complained]);
            (self.hear)(Stream::Error, &buffer[..complained]);
        }
        Ok(said + complained > 0)
    }

    /// Waits until a stream has something, or for a tick. At its end a stream counts as readable.
    fn wait(&self) -> Result<()> {
        let mut polled: Vec<_> = self.open().map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::IN)).collect();
        if polled.is_empty() {
            std::thread::sleep(SHORT);
            return Ok(());
        }
        match poll(&mut polled, Some(&TICK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads what is there without waiting: 0 bytes when nothing. At the end of the stream it is closed.
fn take(stream: &mut Option<impl Read>, buffer: &mut [u8]) -> Result<usize> {
    let Some(open) = stream else { return Ok(0) };
    match open.read(buffer) {
        Ok(0) => {
            *stream = None;
            Ok(0)
        }
        Ok(read) => Ok(read),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limits: &Limits<'_>) -> (std::result::Result<Ended, Failure>, String, String) {
        let (mut output, mut error) = (Vec::new(), Vec::new());
        let ended = run(Command::new("sh").args(["-c", script]), limits, |stream, bytes| match stream {
            Stream::Output => output.extend_from_slice(bytes),
            Stream::Error => error.extend_from_slice(bytes),
        });
        (ended, String::from_utf8(output).unwrap(), String::from_utf8(error).unwrap())
    }

    const FREE: Limits<'static> = Limits { time: None, stop: &|| false };

    #[test]
    fn what_it_says_and_how_it_ends_is_told() {
        let (ended, output, error) = shell("echo out; echo one >&2; cat; echo two >&2; exit 3", &FREE);
        let ended = ended.unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(3), "one\ntwo\n"));
        assert_eq!((output.as_str(), error.as_str()), ("out\n", "one\ntwo\n"));
    }

    #[test]
    fn much_output_is_handed_on_and_little_is_kept() {
        let (ended, output, _) = shell("yes | head -c 300000; yes | head -c 300000 >&2; echo end >&2", &FREE);
        assert_eq!(output.len(), 300_000);
        let kept = ended.unwrap().stderr;
        assert!(kept.len() == STDERR_KEPT && kept.ends_with("y\nend\n"), "{} bytes", kept.len());
    }

    #[test]
    fn one_that_left_a_program_behind_or_closed_its_streams_ends() {
        let begin = Instant::now();
        for script in ["sleep 600 & echo x", "yes & echo x", "exec >&- 2>&-; true"] {
            assert_eq!(shell(script, &FREE).0.unwrap().status.code(), Some(0), "{script}");
        }
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn late_and_stopped_ones_are_ended() {
        let begin = Instant::now();
        let late = Limits { time: Some(Duration::from_millis(100)), ..FREE };
        assert!(matches!(shell("sleep 600", &late).0, Err(Failure::Late(time)) if time == Duration::from_millis(100)));
        assert!(matches!(shell("sleep 600", &Limits { time: None, stop: &|| true }).0, Err(Failure::Stopped)));
        // One that never stops talking is asked no less.
        assert!(matches!(shell("exec yes", &late).0, Err(Failure::Late(_))));
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn one_that_is_not_there_is_told() {
        let failure = run(&mut Command::new("/no/such/program"), &FREE, |_, _| ()).unwrap_err();
        assert!(matches!(failure, Failure::Start(error) if error.kind() == ErrorKind::NotFound));
    }
}
