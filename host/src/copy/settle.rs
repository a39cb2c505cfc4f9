//! Puts what the workers finished back into the order of the disk.
//!
//! Owns the content digest's running state, the totals, and the progress reports. Knows nothing of reading.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::Result;

use super::commit::{Commit, Notes, Pace};
use super::content_digest::{ChunkDigest, ContentDigest};
use super::control::{Control, Progress};
use super::sink::Sink;
use super::span::Placed;
use super::tasks::{CHUNK, CLUSTER};

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
    /// For the next commit; `None` where nothing is committed.
    notes: Option<Notes>,
    committed: Instant,
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
            notes: None,
            committed: Instant::now(),
        }
    }

    /// From now on notes are taken for commits.
    pub(super) fn take_notes(&mut self) {
        self.notes = Some(Notes::default());
    }

    /// Takes over what a former run committed.
    pub(super) fn restore(&mut self, commit: &Commit) {
        for span in &commit.spans {
            let first = span.placed.start / CHUNK as u64;
            for (chunk, blake3) in span.placed.filled.chunks().zip(&span.chunks) {
                self.digest.add(&ChunkDigest { index: first + chunk as u64, blake3: *blake3 });
            }
            self.stored += span.placed.filled.count() * CLUSTER as u64;
        }
        self.progress.position = commit.position;
        self.progress.done = commit.data;
        self.progress.data = commit.data;
    }

    /// How far a copy is.
    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether all tasks before this number are settled.
    pub(super) fn is_settled(&self, sequence: u64) -> bool {
        self.next >= sequence
    }

    /// Whether it is time for a commit.
    pub(super) fn commit_is_due(&self, pace: &Pace) -> bool {
        self.notes.as_ref().is_some_and(|notes| notes.due(pace, self.committed.elapsed()))
    }

    /// The record of what was settled since the last commit.
    pub(super) fn take_record(&mut self, sink: &dyn Sink) -> Vec<u8> {
        self.committed = Instant::now();
        let Progress { position, done, .. } = self.progress;
        self.notes.get_or_insert_default().take(position, sink.end(position), done)
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
            let table = sink.settle(done.placed)?;
            if let Some(notes) = &mut self.notes {
                notes.add(&done.placed, table, done.chunks.iter().map(|chunk| chunk.blake3));
            }
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
