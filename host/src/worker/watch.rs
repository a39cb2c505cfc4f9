//! Watches over a running worker: passes requests to stop on, ends one that does not stop, and leaves nothing of it running.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::{crash, signals};
use crate::events::EventSink;

/// How long a worker that was asked to stop may take to its next safe point. Being ended earlier costs it no more than a crash would.
const GRACE: Duration = Duration::from_secs(60);
/// How long a worker may take to end after its answer, or after it was told to end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often it is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Watches until the process has ended and its group is empty; it is left to be waited for. A message on `answered` says that the worker
/// has no more work. Returns what it was told meanwhile.
pub(super) fn watch(process: u32, answered: &Receiver<()>, events: &EventSink) -> Told {
    let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else { return Told::Nothing };
    let mut state = State::Working;
    let mut told = Told::Nothing;
    loop {
        match answered.recv_timeout(TICK) {
            Ok(()) => state = State::Killed(Instant::now() + LAST_WORDS),
            Err(RecvTimeoutError::Timeout) => {}
            // Its output is closed: all that is left is its end.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(2)),
        }
        let now = Instant::now();
        let ended = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        if !matches!(ended, Ok(None)) {
            break;
        }
        state = match state {
            State::Working if signals::count() > 0 => {
                events.warn("stopping at the next safe point; the same again stops at once");
                // Nobody to ask any more is as good as having asked.
                let _ = kill_process(pid, Signal::TERM);
                told = Told::Stop;
                State::Asked(now + GRACE)
            }
            State::Asked(until) if signals::count() > 1 || now > until => {
                let _ = kill_process(pid, crash::ORDER_TO_END);
                told = Told::End;
                State::Killed(now + LAST_WORDS)
            }
            State::Killed(at) if now > at => break,
            state => state,
        };
    }
    // Also the tools that it ran. The number cannot have passed to others: the process has not been waited for.
    let _ = kill_process_group(pid, Signal::KILL);
    told
}

/// What a worker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Told {
    #[default]
    Nothing,
    /// To stop at the next safe point.
    Stop,
    /// To end at once.
    End,
}

/// What a worker is waited for.
#[derive(Clone, Copy)]
enum State {
    /// Its answer.
    Working,
    /// Its next safe point, until this moment.
    Asked(Instant),
    /// Its end, until this moment; then it is killed.
    Killed(Instant),
}
