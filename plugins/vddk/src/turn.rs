//! A host's memory for transfers: so many disks of one host are read at once, over all processes of this
//! machine.
//!
//! A place is taken when a disk is read, kept for a while, and given back even if it is read on: with more
//! disks than places each has its turn, and none waits for one that its own VM holds.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{Host, Result, Slot};

/// How long a place is kept. Asking for one costs a message and a lock.
const KEPT: Duration = Duration::from_secs(2);
/// How often a waiting request looks whether the run was stopped.
const LOOK: Duration = Duration::from_millis(200);

/// The place of one disk.
pub struct Turn {
    host: Host,
    /// What is shared.
    name: String,
    limit: u32,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    place: Option<(Slot, Instant)>,
    inside: u32,
    /// One asks for a place.
    asking: bool,
}

/// A request that is under way.
pub struct Pass<'a>(&'a Turn);

impl Turn {
    /// The place of a disk of a host: `limit` disks at once.
    pub fn new(host: Host, name: String, limit: u32) -> Self {
        Self { host, name, limit, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request may go.
    pub fn enter(&self) -> Result<Pass<'_>> {
        let mut state = self.lock();
        loop {
            let is_fresh = state.place.as_ref().is_some_and(|(_, since)| since.elapsed() < KEPT);
            if is_fresh {
                state.inside += 1;
                return Ok(Pass(self));
            }
            if state.inside == 0 && !state.asking {
                state.asking = true;
                let old = state.place.take();
                drop(state);
                drop(old);
                let place = self.host.slot(&self.name, self.limit);
                state = self.lock();
                state.asking = false;
                self.changed.notify_all();
                state.place = Some((place?, Instant::now()));
                continue;
            }
            self.host.check_cancelled()?;
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives the place back when nobody uses it and it was held for a while.
    pub fn look(&self) {
        let mut state = self.lock();
        if state.inside == 0 && state.place.as_ref().is_some_and(|(_, since)| since.elapsed() >= KEPT) {
            state.place = None;
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.lock().inside -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use vmdk2kvm_plugin_testing::FakeHost;

    use super::*;

    #[test]
    fn more_disks_than_places_have_their_turns() {
        let host = FakeHost::new().host(serde_json::Value::Null);
        let turns: Vec<Turn> = (0..3).map(|_| Turn::new(host.clone(), "esx:vc host-1 nfc".to_owned(), 2)).collect();
        let reading: Vec<AtomicUsize> = (0..3).map(|_| AtomicUsize::new(0)).collect();
        let began = Instant::now();
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (turn, own) in turns.iter().zip(&reading) {
                for _ in 0..2 {
                    scope.spawn(|| {
                        // Read on until all three have been: none is shut out by two that never end.
                        while reading.iter().any(|it| it.load(Ordering::SeqCst) == 0) {
                            assert!(began.elapsed() < Duration::from_secs(120), "a disk never had its turn");
                            let _pass = turn.enter().unwrap();
                            own.fetch_add(1, Ordering::SeqCst);
                            let held = turns.iter().filter(|it| it.lock().place.is_some()).count();
                            most.fetch_max(held, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        // Whoever is idle is looked after.
                        std::thread::sleep(KEPT + LOOK);
                        turn.look();
                    });
                }
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert!(turns.iter().all(|turn| turn.lock().place.is_none()));
    }
}
