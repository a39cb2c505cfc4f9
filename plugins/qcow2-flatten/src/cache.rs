//! A cache of byte blocks with a fixed number of bytes, shared by all images of a chain and by all reading threads.
//!
//! Used twice: for pages of L1 and L2 tables, and for inflated clusters. What was used longest ago goes first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::Result;

/// Which block: the image's number in the chain, and an offset in its file.
pub type Key = (usize, u64);

/// The cache.
#[derive(Debug)]
pub struct Cache {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blocks: HashMap<Key, (Arc<[u8]>, u64)>,
    bytes: usize,
    clock: u64,
}

impl Cache {
    /// A cache of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// The block of this key, made by `make` when it is not there. Two threads may make the same block; neither waits.
    pub fn get(&self, key: Key, make: impl FnOnce() -> Result<Arc<[u8]>>) -> Result<Arc<[u8]>> {
        {
            let mut state = self.lock();
            state.clock += 1;
            let now = state.clock;
            if let Some((block, used)) = state.blocks.get_mut(&key) {
                *used = now;
                return Ok(Arc::clone(block));
            }
        }
        let block = make()?;
        self.lock().insert(key, Arc::clone(&block), self.limit);
        Ok(block)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Every state between two statements is a valid one, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, key: Key, block: Arc<[u8]>, limit: usize) {
        if block.len() > limit {
            return;
        }
        // A scan for the oldest costs microseconds and happens beside a read from the file; blocks are few and large.
        while self.bytes + block.len() > limit {
            let Some(oldest) = self.blocks.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key) else {
                break;
            };
            if let Some((gone, _)) = self.blocks.remove(&oldest) {
                self.bytes -= gone.len();
            }
        }
        self.bytes += block.len();
        if let Some((old, _)) = self.blocks.insert(key, (block, self.clock)) {
            self.bytes -= old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_is_used_and_never_more_than_its_limit() {
        let cache = Cache::new(100);
        let block = |n: u8| Ok(Arc::from(vec![n; 40]));
        let mut made = 0;
        for n in [1, 2, 1, 3, 1, 2] {
            let got = cache
                .get((0, n), || {
                    made += 1;
                    block(n as u8)
                })
                .unwrap();
            assert_eq!(got[0], n as u8);
            assert!(cache.lock().bytes <= 100);
        }
        // 1 and 2 made; 3 drives 2 out; 2 made again.
        assert_eq!(made, 4);
        assert_eq!(cache.get((0, 9), || Ok(Arc::from(vec![9; 200]))).unwrap().len(), 200);
        assert!(cache.lock().bytes <= 100);
        let failed = cache.get((1, 1), || Err(crate::header::bad("torn")));
        assert_eq!(failed.unwrap_err().message, "torn");
    }
}
