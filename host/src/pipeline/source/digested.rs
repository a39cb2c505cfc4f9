//! A source that is digested while it is read: no byte is transferred once more for a digest that its origin states.
//!
//! A digest goes from the first byte to the last, and readers jump. What is read ahead of it is kept, within bounds, until the digest gets there; what was never
//! read, or was not kept, is read when all other reading is over. A range that nobody reads is also filled in when too much has gathered behind it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sha2::digest::DynDigest;
use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result, read_exact_at};

/// Bytes read at a time to fill a gap.
const STEP: u64 = 1 << 20;

/// Bytes that are kept ahead of all digests of a run together, and how much data a gap may have that is filled early.
const AHEAD: u64 = 64 << 20;

/// How much is kept ahead, shared by all sources of a run.
#[derive(Debug, Clone, Default)]
pub(in crate::pipeline) struct Kept(Arc<AtomicU64>);

impl Kept {
    fn take(&self, bytes: u64) -> bool {
        let more = |kept: u64| kept.checked_add(bytes).filter(|kept| *kept <= AHEAD);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The digests of one object, as far as they have come.
pub(in crate::pipeline) struct DigestPass {
    source: Arc<dyn BlockSource>,
    size: u64,
    state: Mutex<State>,
    came_on: Condvar,
    kept: Kept,
}

struct State {
    /// Everything before this is digested.
    next: u64,
    /// `None` while a thread digests.
    digests: Option<Vec<Box<dyn DynDigest + Send>>>,
    /// A thread reads what lies between `next` and what is ahead.
    is_filling: bool,
    ahead: BTreeMap<u64, Vec<u8>>,
}

impl State {
    fn new(digests: Vec<Box<dyn DynDigest + Send>>) -> Self {
        Self { next: 0, digests: Some(digests), is_filling: false, ahead: BTreeMap::new() }
    }
}

impl DigestPass {
    /// Digests of what `source` reads.
    pub fn new(source: Arc<dyn BlockSource>, digests: Vec<Box<dyn DynDigest + Send>>, kept: Kept) -> Self {
        let (size, state) = (source.size(), State::new(digests));
        Self { source, size, state: Mutex::new(state), came_on: Condvar::new(), kept }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what somebody has read.
    fn saw(&self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        let mut state = self.lock();
        loop {
            if end <= state.next || bytes.is_empty() {
                return;
            }
            let from = state.next.max(offset);
            let new = &bytes[(from - offset) as usize..];
            if offset <= state.next && state.digests.is_some() {
                return self.digest(state, new);
            }
            if state.ahead.get(&from).is_some_and(|known| known.len() >= new.len()) {
                return;
            }
            if self.kept.take(new.len() as u64) {
                if let Some(shorter) = state.ahead.insert(from, new.to_vec()) {
                    self.kept.give(shorter.len() as u64);
                }
                // Whoever digests may have looked for it just before.
                return self.come_on(state);
            }
            if state.digests.is_none() || state.is_filling {
                state = self.came_on.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let at = state.next;
            let first = state.ahead.keys().next().map_or(from, |first| from.min(*first));
            // Nobody else is kept from reading meanwhile.
            state.is_filling = true;
            drop(state);
            let gap = self.is_worth_filling(at, first).then(|| self.read(at, (first - at).min(STEP)));
            state = self.lock();
            state.is_filling = false;
            self.came_on.notify_all();
            match gap {
                // Somebody has come on meanwhile.
                _ if state.next != at || state.digests.is_none() => continue,
                Some(Ok(gap)) => {
                    self.digest(state, &gap);
                    state = self.lock();
                    continue;
                }
                // What cannot be read now is read at the end, whose error counts.
                Some(Err(_)) => return,
                None => {}
            }
            match state.ahead.last_entry().filter(|last| *last.key() > from) {
                Some(last) => self.kept.give(last.remove().len() as u64),
                None => return,
            }
        }
    }

    /// Whether so little data lies in a gap that reading it early is better than losing what lies behind it.
    fn is_worth_filling(&self, from: u64, to: u64) -> bool {
        if to - from <= AHEAD {
            return true;
        }
        let data = |extents: Vec<Extent>| {
            extents.iter().filter(|extent| extent.kind == ExtentKind::Data).map(|extent| extent.length).sum::<u64>()
        };
        self.source.extents(from, to - from).is_ok_and(|extents| data(extents) <= AHEAD)
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        read_exact_at(self.source.as_ref(), offset, &mut bytes).map(|()| bytes)
    }

    /// Digests the next bytes, and what lies ready behind them, without keeping others from reading.
    fn digest<'a>(&'a self, mut state: MutexGuard<'a, State>, bytes: &[u8]) {
        let Some(mut digests) = state.digests.take() else { return };
        drop(state);
        digests.iter_mut().for_each(|digest| digest.update(bytes));
        let mut state = self.lock();
        state.next += bytes.len() as u64;
        state.digests = Some(digests);
        self.came_on.notify_all();
        self.come_on(state);
    }

    /// Digests what lies ready.
    fn come_on<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        loop {
            let next = state.next;
            let Some(entry) = state.ahead.first_entry().filter(|entry| *entry.key() <= next) else { return };
            let begins = *entry.key();
            if state.digests.is_none() {
                return;
            }
            let Some(bytes) = state.ahead.remove(&begins) else { return };
            self.kept.give(bytes.len() as u64);
            let known = (next - begins).min(bytes.len() as u64) as usize;
            let Some(mut digests) = state.digests.take() else { return };
            drop(state);
            digests.iter_mut().for_each(|digest| digest.update(&bytes[known..]));
            state = self.lock();
            state.next += (bytes.len() - known) as u64;
            state.digests = Some(digests);
            self.came_on.notify_all();
        }
    }

    /// Reads what nobody has read, and gives the digests in hexadecimal digits, in their order. Nobody may read any more.
    pub fn finish(&self, stop: &dyn Fn() -> bool) -> Result<Vec<String>> {
        loop {
            let state = self.lock();
            let at = state.next;
            if at >= self.size {
                let digests = state.digests.iter().flatten().map(|digest| digest.box_clone().finalize());
                let hex = |digest: Box<[u8]>| digest.iter().map(|byte| format!("{byte:02x}")).collect();
                return Ok(digests.map(hex).collect());
            }
            if stop() {
                return Err(PluginError::interrupted());
            }
            let until = state.ahead.keys().next().map_or(self.size, |first| self.size.min(*first));
            drop(state);
            let gap = self.read(at, (until.max(at + 1) - at).min(STEP))?;
            self.saw(at, &gap);
        }
    }
}

impl Drop for DigestPass {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.kept.give(state.ahead.values().map(|bytes| bytes.len() as u64).sum());
    }
}

/// A source whose reads are digested.
pub(in crate::pipeline) struct Digested {
    pub source: Arc<dyn BlockSource>,
    pub pass: Arc<DigestPass>,
}

impl BlockSource for Digested {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = self.source.read_at(offset, buffer)?;
        self.pass.saw(offset, &buffer[..read]);
        Ok(read)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.source.extents(offset, length)
    }

    fn hints(&self) -> Hints {
        self.source.hints()
    }
}

#[cfg(test)]
#[path = "digested_tests.rs"]
mod tests;
