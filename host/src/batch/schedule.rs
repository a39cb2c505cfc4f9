//! Which VM is started next: a state machine without processes and without a clock of its own, so that it can be tested in no time and used to
//! reckon what a batch will take.
//!
//! A VM may start when each of its keys has a free place. The longest go first, or the last hour belongs to one large disk. What a retry may
//! cure is tried again after a pause. A key with several failures in a row that may be its own is left alone for a while, and a server that
//! refused a login gets no further one: accounts are locked for less.

use std::collections::HashMap;
use std::time::Duration;

use super::limits::{Limits, SERVER, TOTAL};
use super::list::Retries;

/// After so many failures in a row a key is left alone for a while.
const IN_A_ROW: u32 = 3;

/// A VM as the scheduler sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    /// The places that it is read from.
    pub keys: Vec<String>,
    /// Bytes to copy; the more the earlier.
    pub bytes: u64,
}

/// What becomes of a VM whose run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is done.
    Done,
    /// It is tried again after this pause.
    Again(Duration),
    /// It failed for good.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting { not_before: Duration },
    Running,
    Over,
}

#[derive(Debug)]
struct Vm {
    keys: Vec<usize>,
    phase: Phase,
    attempts: usize,
    /// The key without a free place when it was last looked at.
    limited_by: Option<usize>,
    /// Since when it could have started.
    since: Duration,
    /// Its source was read: only its place among all is still taken.
    is_read: bool,
}

#[derive(Debug)]
struct Key {
    name: String,
    limit: Option<u32>,
    taken: u32,
    in_a_row: u32,
    paused_until: Duration,
    stopped: bool,
}

impl Key {
    fn is_free(&self, now: Duration) -> bool {
        !self.stopped && self.paused_until <= now && self.limit.is_none_or(|limit| self.taken < limit)
    }
}

/// The states of all VMs and places.
#[derive(Debug)]
pub(super) struct Scheduler {
    vms: Vec<Vm>,
    /// Indices of those that are not over, in the order in which they are looked at.
    open: Vec<usize>,
    keys: Vec<Key>,
    total: u32,
    running: u32,
    retries: Retries,
    stopped: bool,
}

impl Scheduler {
    /// All VMs wait.
    pub fn new(work: &[Work], limits: &Limits, retries: Retries) -> Self {
        let (mut keys, mut known) = (Vec::new(), HashMap::new());
        let mut key = |name: &String| {
            *known.entry(name.clone()).or_insert_with(|| {
                let limit = limits.of(name);
                let key = Key {
                    name: name.clone(),
                    limit,
                    taken: 0,
                    in_a_row: 0,
                    paused_until: Duration::ZERO,
                    stopped: false,
                };
                keys.push(key);
                keys.len() - 1
            })
        };
        let vm = |work: &Work| {
            let mut keys: Vec<usize> = work.keys.iter().map(&mut key).collect();
            // A key that is named twice is one place.
            keys.sort_unstable();
            keys.dedup();
            let phase = Phase::Waiting { not_before: Duration::ZERO };
            Vm { keys, phase, attempts: 0, limited_by: None, since: Duration::ZERO, is_read: false }
        };
        let vms: Vec<Vm> = work.iter().map(vm).collect();
        let mut open: Vec<usize> = (0..vms.len()).collect();
        open.sort_by_key(|index| std::cmp::Reverse(work[*index].bytes));
        Self { vms, open, keys, total: limits.total(), running: 0, retries, stopped: false }
    }

    /// The VM to start now, which then counts as running. `extra` may refuse one, for a reason of its own.
    pub fn next(&mut self, now: Duration, mut extra: impl FnMut(usize) -> bool) -> Option<usize> {
        if self.stopped || self.running >= self.total {
            return None;
        }
        let mut found = None;
        for index in &self.open {
            let vm = &mut self.vms[*index];
            if !matches!(vm.phase, Phase::Waiting { not_before } if not_before <= now) {
                continue;
            }
            match vm.keys.iter().find(|key| !self.keys[**key].is_free(now)) {
                Some(key) => vm.limited_by = Some(*key),
                None if extra(*index) => {
                    found = Some(*index);
                    break;
                }
                None => {}
            }
        }
        let index = found?;
        let vm = &mut self.vms[index];
        vm.phase = Phase::Running;
        vm.attempts += 1;
        vm.is_read = false;
        vm.keys.iter().for_each(|key| self.keys[*key].taken += 1);
        self.running += 1;
        Some(index)
    }

    /// What a VM waited for that is started at `now`; `None`: for nothing.
    pub fn limited_by(&self, index: usize, now: Duration) -> Option<&str> {
        let vm = &self.vms[index];
        let waited = now.saturating_sub(vm.since) > Duration::from_millis(500);
        vm.limited_by.map(|key| self.keys[key].name.as_str()).or_else(|| waited.then_some(TOTAL))
    }

    /// The places of a VM's source are free again: it was read.
    pub fn source_is_read(&mut self, index: usize) {
        let vm = &mut self.vms[index];
        if vm.phase == Phase::Running && !std::mem::replace(&mut vm.is_read, true) {
            vm.keys.iter().for_each(|key| self.keys[*key].taken -= 1);
        }
    }

    /// The run of a VM ended with this exit code.
    pub fn ended(&mut self, index: usize, code: u8, now: Duration) -> Next {
        self.source_is_read(index);
        self.running -= 1;
        let (vm, keys) = (&mut self.vms[index], &mut self.keys);
        for key in &vm.keys {
            let key = &mut keys[*key];
            key.in_a_row = if matches!(code, 74 | 75 | 77) { key.in_a_row + 1 } else { 0 };
            if key.in_a_row >= IN_A_ROW {
                key.in_a_row = 0;
                key.paused_until = now + self.retries.place;
            }
            key.stopped |= code == 77 && key.name.split_once(':').is_some_and(|(kind, _)| kind == SERVER);
        }
        let pause = self.retries.pauses.get(vm.attempts - 1).filter(|_| matches!(code, 74 | 75));
        let next = match (code, pause) {
            (0, _) => Next::Done,
            (_, Some(pause)) => Next::Again(*pause + jitter(index, vm.attempts, *pause)),
            _ => Next::Failed,
        };
        match next {
            Next::Again(after) => {
                (vm.since, vm.limited_by) = (now + after, None);
                vm.phase = Phase::Waiting { not_before: now + after };
            }
            _ => self.settle(index),
        }
        next
    }

    /// A VM is over without a run: it was done before, or is not to be started.
    pub fn settle(&mut self, index: usize) {
        self.vms[index].phase = Phase::Over;
        self.open.retain(|open| *open != index);
    }

    /// Those that wait for a server that gets no further login; they are over.
    pub fn give_up(&mut self) -> Vec<(usize, String)> {
        let stopped = |key: &&usize| self.keys[**key].stopped;
        let waits = |vm: &Vm| matches!(vm.phase, Phase::Waiting { .. });
        let of = |index: &usize| Some((*index, *self.vms[*index].keys.iter().find(stopped)?));
        let given_up = self.open.iter().filter(|index| waits(&self.vms[**index])).filter_map(of);
        let given_up: Vec<(usize, String)> =
            given_up.map(|(index, key)| (index, self.keys[key].name.clone())).collect();
        for (index, _) in &given_up {
            self.vms[*index].phase = Phase::Over;
        }
        let vms = &self.vms;
        self.open.retain(|index| vms[*index].phase != Phase::Over);
        given_up
    }

    /// No VM is started for the first time any more; what waits to be tried again still is.
    pub fn close(&mut self) {
        let vms = &mut self.vms;
        for index in &self.open {
            let vm = &mut vms[*index];
            if vm.attempts == 0 {
                vm.phase = Phase::Over;
            }
        }
        self.open.retain(|index| vms[*index].phase != Phase::Over);
    }

    /// Nothing is started any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether nothing runs and nothing will.
    pub fn is_over(&self) -> bool {
        self.running == 0 && (self.stopped || self.open.is_empty())
    }

    /// The next moment at which something may start that may not now, whatever ends meanwhile.
    #[cfg(test)]
    pub fn wake(&self, now: Duration) -> Option<Duration> {
        let later = |moment: Duration| (moment > now).then_some(moment);
        let vms = self.open.iter().filter_map(|index| match self.vms[*index].phase {
            Phase::Waiting { not_before } => later(not_before),
            _ => None,
        });
        vms.chain(self.keys.iter().filter_map(|key| later(key.paused_until))).min()
    }
}

/// Up to a quarter of a pause, so that not all that failed at once is tried again at once.
fn jitter(index: usize, attempt: usize, pause: Duration) -> Duration {
    // A multiplier by Knuth: neighbours get far apart.
    let spread = (index as u64 * 31 + attempt as u64).wrapping_mul(2_654_435_761) % 1000;
    pause * u32::try_from(spread).unwrap_or(0) / 4000
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
