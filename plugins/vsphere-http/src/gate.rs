//! How many requests at once a server bears: at most four of this machine, fewer as long as it says that these are too many.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use vmdk2kvm_plugin_api::{Host, Result, Slot};

/// Requests at once, over all processes of this machine.
pub const LIMIT: u16 = 4;
/// So many answers without a refusal, and one request more is tried.
const CALM: u32 = 64;
/// How often a waiting request looks whether the run was stopped.
const LOOK: Duration = Duration::from_millis(200);

/// The requests of this process to one server.
pub struct Gate {
    host: Host,
    name: String,
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    limit: u16,
    inside: u16,
    calm: u32,
}

/// A request that is under way.
pub struct Pass<'a> {
    gate: &'a Gate,
    _slot: Slot,
}

impl Gate {
    /// The gate of a server.
    pub fn new(host: Host, server: &str) -> Self {
        let state = State { limit: LIMIT, inside: 0, calm: 0 };
        Self { host, name: format!("esx:{server}"), state: Mutex::new(state), freed: Condvar::new() }
    }

    /// Waits until a request may go.
    pub fn enter(&self) -> Result<Pass<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.inside >= state.limit {
            self.host.check_cancelled()?;
            state = self.freed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.inside += 1;
        drop(state);
        match self.host.slot(&self.name, u32::from(LIMIT)) {
            Ok(slot) => Ok(Pass { gate: self, _slot: slot }),
            Err(error) => {
                self.leave();
                Err(error)
            }
        }
    }

    /// The server said that there are too many.
    pub fn too_many(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.limit = (state.limit / 2).max(1);
        state.calm = 0;
    }

    /// The server answered.
    pub fn answered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calm += 1;
        if state.calm >= CALM {
            state.calm = 0;
            state.limit = (state.limit + 1).min(LIMIT);
        }
    }

    fn leave(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).inside -= 1;
        self.freed.notify_one();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use vmdk2kvm_plugin_testing::FakeHost;

    use super::*;

    /// The most requests that were inside at once, of eight threads with five requests each.
    fn peak(gate: &Gate) -> usize {
        let (inside, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _pass = gate.enter().unwrap();
                        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(2));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        peak.into_inner()
    }

    #[test]
    fn a_refusal_halves_and_calm_brings_it_back() {
        let host = FakeHost::new();
        let gate = Gate::new(host.without_settings(), "vc");
        assert_eq!(peak(&gate), 4);
        gate.too_many();
        assert_eq!(peak(&gate), 2);
        for _ in 0..3 {
            gate.too_many();
        }
        assert_eq!(peak(&gate), 1);
        for _ in 0..3 * CALM {
            gate.answered();
        }
        assert_eq!(peak(&gate), 4);
    }

    #[test]
    fn whoever_waits_hears_that_the_run_was_stopped() {
        let host = FakeHost::new();
        let gate = Gate::new(host.without_settings(), "vc");
        let _all: Vec<_> = (0..LIMIT).map(|_| gate.enter().unwrap()).collect();
        host.cancel();
        assert_eq!(gate.enter().err().unwrap().kind, vmdk2kvm_plugin_api::ErrorKind::Interrupted);
    }
}
