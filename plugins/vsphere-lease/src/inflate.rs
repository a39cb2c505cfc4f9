//! Grains, inflated and written by several threads while another one reads the stream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, available_parallelism, scope};

use libdeflater::Decompressor;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::stream::{Broken, Grain, wrong};

/// Packed bytes that are handed over at once.
const BATCH: usize = 512 << 10;
/// Batches that wait.
const WAITING: usize = 8;
/// The most threads: more than a stream needs would wait.
const MOST: usize = 4;

/// What inflates grains, one after the other.
#[derive(Default)]
pub struct Inflate {
    inflate: Decompressor,
    buffer: Vec<u8>,
}

impl Inflate {
    /// The content of a grain.
    pub fn grain(&mut self, grain: Grain, packed: &[u8]) -> Result<&[u8], Broken> {
        self.buffer.resize(grain.limit, 0);
        let found = self.inflate.zlib_decompress(packed, &mut self.buffer);
        if found.map_err(|_| wrong("a grain does not inflate"))? < grain.bytes {
            return Err(wrong("a grain is too short"));
        }
        Ok(&self.buffer[..grain.bytes])
    }
}

/// Puts bytes where they belong.
pub type Write<'a> = dyn Fn(u64, &[u8]) -> Result<()> + Sync + 'a;

/// Grains, and where each ends.
#[derive(Default)]
struct Batch {
    packed: Vec<u8>,
    grains: Vec<(Grain, usize)>,
}

/// Hands grains over.
pub struct Feed<'a> {
    batches: SyncSender<Batch>,
    filling: Batch,
    failed: &'a AtomicBool,
}

impl Feed<'_> {
    /// Has a grain inflated and written, some time.
    pub fn push(&mut self, grain: Grain, packed: &[u8]) -> Result<(), Broken> {
        self.filling.packed.extend_from_slice(packed);
        self.filling.grains.push((grain, self.filling.packed.len()));
        if self.filling.packed.len() >= BATCH { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Broken> {
        // Its own error comes before this one.
        let gone = || Broken::Wrong(PluginError::defect("the threads that write the disk are gone"));
        if self.failed.load(Ordering::Relaxed) {
            return Err(gone());
        }
        self.batches.send(std::mem::take(&mut self.filling)).map_err(|_| gone())
    }
}

/// Reads by `read`, and has every grain that it pushes written, until that is done too. The first error counts.
pub fn inflating<T>(write: &Write<'_>, read: impl FnOnce(&mut Feed<'_>) -> Result<T, Broken>) -> Result<T, Broken> {
    let (sender, batches) = sync_channel(WAITING);
    let (batches, failed, failure) = (Mutex::new(batches), AtomicBool::new(false), Mutex::new(None));
    let result = scope(|scope| {
        let threads = available_parallelism().map_or(1, |found| found.get().min(MOST));
        for _ in 0..threads {
            let inflate = || {
                if let Err(broken) = take(&batches, write, &failed) {
                    failed.store(true, Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(broken);
                    // Nobody may wait for a place in the queue.
                    while next(&batches).is_some() {}
                }
            };
            let started = Builder::new().name("inflate".to_owned()).spawn_scoped(scope, inflate);
            started.map_err(|error| PluginError::io(format!("a thread cannot be started: {error}")))?;
        }
        let mut feed = Feed { batches: sender, filling: Batch::default(), failed: &failed };
        let result = read(&mut feed)?;
        feed.hand_over().map(|()| result)
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(broken) => Err(broken),
        None => result,
    }
}

fn next(batches: &Mutex<Receiver<Batch>>) -> Option<Batch> {
    batches.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Writes batches until there are no more, or another thread failed.
fn take(batches: &Mutex<Receiver<Batch>>, write: &Write<'_>, failed: &AtomicBool) -> Result<(), Broken> {
    let mut inflate = Inflate::default();
    while let Some(batch) = next(batches) {
        if failed.load(Ordering::Relaxed) {
            continue;
        }
        let mut from = 0;
        for (grain, to) in batch.grains {
            let bytes = inflate.grain(grain, &batch.packed[from..to])?;
            // A hole stays one.
            if bytes.iter().any(|byte| *byte != 0) {
                write(grain.offset, bytes)?;
            }
            from = to;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "inflate_tests.rs"]
mod tests;
