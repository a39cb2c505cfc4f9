//! Lanes: how the host reads the disks of a plugin in a process of its own.
//!
//! A lane is a socket and a window. What is asked goes over the socket, the bytes come in the window, and the answer says how many they are. It
//! serves one request at a time: so nothing is handed from thread to thread, and nobody waits for what another asked. Lanes are made as they are
//! needed and used again, the last one first, whose window the processor still has in its cache. One whose request was given up is thrown away:
//! the process may still write to its window.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use vmdk2kvm_plugin_api::{Extent, PluginError, check_map};

use super::channel::{Channel, is_too_long};
use super::handover;
use super::message::{Ask, Object, Run};
use super::window::{self, ReadWindow};

/// The most lanes: as many as the copy has threads.
const MOST: usize = 32;

/// How often it is asked whether the run is to stop.
const TICK: Duration = Duration::from_millis(100);

/// The lanes of one process.
pub(super) struct Lanes {
    door: UnixStream,
    /// How long an answer may take.
    patience: Duration,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Lane>,
    /// All that there are, those in use, too.
    count: usize,
}

struct Lane {
    channel: Channel,
    window: ReadWindow,
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, PartialEq)]
pub(super) enum Lost {
    /// The plugin says so.
    Said(PluginError),
    /// The run is to stop.
    Cancelled,
    /// Nothing came for so long.
    Late(Duration),
    /// The other end is gone.
    Closed,
    /// The answer makes no sense.
    Broken(String),
    /// No lane can be made.
    Failed(String),
}

impl Lanes {
    /// Lanes to the process that takes them from the other end of this socket.
    pub(super) fn new(door: UnixStream, patience: Duration) -> Self {
        Self { door, patience, state: Mutex::default(), given_back: Condvar::new() }
    }

    /// Reads a part of a disk, as `BlockSource::read_at` would. `stop` is asked while an answer is waited for.
    pub(super) fn read(
        &self,
        source: Object,
        offset: u64,
        buffer: &mut [u8],
        stop: &dyn Fn() -> bool,
    ) -> Result<usize, Lost> {
        let wanted = buffer.len().min(window::SIZE);
        let ask = Ask::Read { source, offset, length: wanted as u32 };
        self.ask(&ask, stop, |window, read: u64| {
            let possible = usize::try_from(read).ok().filter(|read| (1..=wanted).contains(read));
            let filled = possible.and_then(|read| buffer.get_mut(..read));
            let filled = filled.ok_or_else(|| {
                Lost::Broken(format!("a read of {wanted} bytes at offset {offset} claims to have read {read}"))
            })?;
            window.copy_to(filled);
            Ok(filled.len())
        })
    }

    /// What a part of a disk holds, as `BlockSource::extents` says it.
    pub(super) fn extents(
        &self,
        source: Object,
        offset: u64,
        length: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Extent>, Lost> {
        self.ask(&Ask::Extents { source, offset, length }, stop, |_, runs: Vec<Run>| {
            let mut at = offset;
            let extent = |(length, holds): Run| {
                let extent = Extent::new(at, length, holds.into());
                // A length that leads nowhere is found below.
                at = at.saturating_add(length);
                extent
            };
            let extents: Vec<_> = runs.into_iter().map(extent).collect();
            check_map(&extents, offset, length).map_err(|error| Lost::Broken(error.message))?;
            Ok(extents)
        })
    }

    fn ask<A: DeserializeOwned, T>(
        &self,
        ask: &Ask,
        stop: &dyn Fn() -> bool,
        take: impl FnOnce(&ReadWindow, A) -> Result<T, Lost>,
    ) -> Result<T, Lost> {
        let lane = self.lane(stop)?;
        let answer = lane.ask(ask, stop, self.patience).and_then(|answer| match answer {
            Ok(answer) => take(&lane.window, answer),
            Err(error) => Err(Lost::Said(error)),
        });
        let goes_on = matches!(answer, Ok(_) | Err(Lost::Said(_)));
        let mut state = self.lock();
        if goes_on {
            state.idle.push(lane);
        } else {
            state.count -= 1;
        }
        drop(state);
        self.given_back.notify_one();
        answer
    }

    /// A lane that nobody uses.
    fn lane(&self, stop: &dyn Fn() -> bool) -> Result<Lane, Lost> {
        let mut state = self.lock();
        loop {
            if let Some(lane) = state.idle.pop() {
                return Ok(lane);
            }
            if state.count < MOST {
                break;
            }
            state = self.given_back.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
            if stop() {
                return Err(Lost::Cancelled);
            }
        }
        state.count += 1;
        drop(state);
        self.make().map_err(|error| {
            self.lock().count -= 1;
            match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Lost::Closed,
                _ => Lost::Failed(error.to_string()),
            }
        })
    }

    fn make(&self) -> io::Result<Lane> {
        let (ours, theirs) = UnixStream::pair()?;
        // An answer that begins must go on.
        ours.set_read_timeout(Some(self.patience))?;
        let (window, memory) = ReadWindow::new()?;
        handover::send(&self.door, [theirs.as_fd(), memory.as_fd()])?;
        Ok(Lane { channel: Channel::new(ours), window })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn ask<A: DeserializeOwned>(
        &self,
        ask: &Ask,
        stop: &dyn Fn() -> bool,
        patience: Duration,
    ) -> Result<Result<A, PluginError>, Lost> {
        let lost = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => Lost::Closed,
            io::ErrorKind::WouldBlock => Lost::Late(patience),
            _ if is_too_long(&error) => Lost::Broken("an answer is longer than 64 MiB".to_owned()),
            _ => Lost::Broken(error.to_string()),
        };
        self.channel.send(ask).map_err(lost)?;
        let began = Instant::now();
        while !self.channel.has_something_within(TICK).map_err(lost)? {
            if stop() {
                return Err(Lost::Cancelled);
            }
            if began.elapsed() > patience {
                return Err(Lost::Late(patience));
            }
        }
        self.channel.receive().map_err(lost)?.ok_or(Lost::Closed)
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
