//! Puts what the workers finished back into the order of the disk.
//!
//! Owns the content digest's running state, the totals, and the progress reports. Knows nothing of reading.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::Result;

use super::content_digest::{ChunkDigest, ContentDigest};
use super::control::{Control, Progress};
use super::sink::{Placed, Sink};
use super::tasks::CLUSTER;

/// How far the workers may run ahead of the slowest, in tasks: bounds what waits here to about a megabyte.
pub(super) const MAX_AHEAD: u64 = 1024;

/// Progress is reported at most this often.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// A task that was carried out.
pub(super) struct Done {
    pub placed: Placed,
    /// Where the span ends in the disk.
    pub end: u64,
    /// Data bytes of the task.
    pub data: u64,
    /// Digests of the chunks that are not all zero.
    pub chunks: Vec<ChunkDigest>,
}

/// The totals of a whole pass.
pub(super) struct Passed {
    /// Data bytes that the map named and that were read.
    pub data: u64,
    /// Bytes of the clusters that were not zero.
    pub stored: u64,
    /// See [`super::content_digest`].
    pub content_sha256: String,
}

/// What is settled so far.
pub(super) struct Settle {
    next: u64,
    waiting: BTreeMap<u64, Done>,
    digest: ContentDigest,
    stored: u64,
    progress: Progress,
    reported: Option<Instant>,
}

impl Settle {
    pub(super) fn new(capacity: u64, virtual_size: u64) -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            digest: ContentDigest::new(virtual_size),
            stored: 0,
            progress: Progress { capacity, ..Progress::default() },
            reported: None,
        }
    }

    /// Whether the task of this number is so far ahead that its worker should wait.
    pub(super) fn too_far_ahead(&self, sequence: u64) -> bool {
        sequence >= self.next + MAX_AHEAD
    }

    /// Takes a finished task, and settles all that is now in order.
    pub(super) fn add(
        &mut self,
        sequence: u64,
        done: Done,
        known_data: u64,
        sink: &dyn Sink,
        control: &Control<'_>,
    ) -> Result<()> {
        self.progress.done += done.data;
        self.progress.data = self.progress.data.max(known_data);
        self.waiting.insert(sequence, done);
        while let Some(done) = self.waiting.remove(&self.next) {
            self.next += 1;
            done.chunks.iter().for_each(|chunk| self.digest.add(chunk));
            self.stored += done.placed.filled.count() * CLUSTER as u64;
            self.progress.position = done.end;
            sink.settle(done.placed)?;
        }
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.reported = Some(Instant::now());
            (control.progress)(self.progress);
        }
        Ok(())
    }

    /// All tasks are settled.
    pub(super) fn finish(mut self, control: &Control<'_>) -> Passed {
        debug_assert!(self.waiting.is_empty());
        self.progress.position = self.progress.capacity;
        (control.progress)(self.progress);
        Passed { data: self.progress.done, stored: self.stored, content_sha256: self.digest.finish() }
    }
}
