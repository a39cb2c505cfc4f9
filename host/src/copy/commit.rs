//! Commits: how a copy that is interrupted loses seconds and not hours.
//!
//! Owns when a commit is due, what its record in the log says, and the order that makes it true: the image's data is synced first, then the record
//! is appended and synced. A record lists the spans settled since the one before it, so that the image's tables and the content digest can be
//! built again without reading the disk.
//!
//! A record is, in 64-bit little-endian numbers: the offset of the disk that everything before is committed; the length of the image then; the data
//! bytes read so far; then for each span its start, its filled clusters (a bit each), where they lie, where a table was written just before (0: none), and
//! the BLAKE3 hash of each of its chunks that has a filled cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vmdk2kvm_plugin_api::Result;

use super::image_file::ImageFile;
use super::span::{DIGEST, Filled, Placed, Span};
use super::tasks::{CHUNK, CLUSTER};
use crate::journal::Log;

/// How often to commit, and with how many threads to copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// After this many bytes were stored.
    pub bytes: u64,
    /// After this long, if anything was stored.
    pub after: Duration,
    /// Threads; `None` for what suits the source.
    pub workers: Option<usize>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes: 256 << 20, after: Duration::from_secs(5), workers: None }
    }
}

/// A record is not let grow beyond this many bytes.
const LONG_RECORD: usize = 4 << 20;

/// Offset, length, data.
const HEAD: usize = 3 * 8;

/// Start, filled clusters, place, table.
const SPAN: usize = 4 * 8;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    /// Everything before this offset of the disk is in the image.
    pub position: u64,
    /// Length of the image then, in bytes; what lies behind it counts for nothing.
    pub image_end: u64,
    /// Data bytes read so far.
    pub data: u64,
    /// The spans since the last commit.
    pub spans: Vec<Span>,
}

/// The spans settled since the last commit, as bytes of the next record.
#[derive(Debug, Default)]
pub(super) struct Notes {
    bytes: Vec<u8>,
    stored: u64,
}

impl Notes {
    pub(super) fn add(&mut self, placed: &Placed, table: u64, chunks: impl Iterator<Item = [u8; DIGEST]>) {
        if placed.filled.count() == 0 {
            return;
        }
        self.stored += placed.filled.count() * CLUSTER as u64;
        self.bytes.extend([placed.start, placed.filled.0, placed.host, table].map(u64::to_le_bytes).as_flattened());
        chunks.for_each(|digest| self.bytes.extend(digest));
    }

    /// Whether there is something to commit, and the time has come.
    pub(super) fn due(&self, pace: &Pace, since: Duration) -> bool {
        !self.bytes.is_empty() && (self.stored >= pace.bytes || since >= pace.after || self.bytes.len() >= LONG_RECORD)
    }

    /// The record; the notes begin anew.
    pub(super) fn take(&mut self, position: u64, image_end: u64, data: u64) -> Vec<u8> {
        let spans = std::mem::take(self).bytes;
        let mut record = Vec::with_capacity(HEAD + spans.len());
        record.extend([position, image_end, data].map(u64::to_le_bytes).as_flattened());
        record.extend(spans);
        record
    }
}

impl Commit {
    /// What a record says; `None` for one that cannot be true of a disk of this size.
    pub(super) fn decode(record: &[u8], virtual_size: u64) -> Option<Self> {
        let (head, mut rest) = record.split_at_checked(HEAD)?;
        let [position, image_end, data] = numbers(head)?;
        let mut spans = Vec::new();
        let mut after = 0;
        while !rest.is_empty() {
            let (span, digests) = rest.split_at_checked(SPAN)?;
            let [start, filled, host, table] = numbers(span)?;
            let filled = Filled(filled);
            let last = 63u64.checked_sub(filled.0.leading_zeros().into())?;
            let end = start.checked_add(last * CLUSTER as u64)?;
            if start < after || start % CHUNK as u64 != 0 || end >= virtual_size {
                return None;
            }
            after = end + 1;
            let (chunks, next) = digests.split_at_checked(filled.chunks().count() * DIGEST)?;
            let chunks = chunks.chunks_exact(DIGEST).map(|digest| std::array::from_fn(|at| digest[at])).collect();
            spans.push(Span { placed: Placed { start, filled, host }, table, chunks });
            rest = next;
        }
        (position >= after).then_some(Self { position, image_end, data, spans })
    }
}

fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let mut numbers = bytes.chunks_exact(8).map(|bytes| bytes.try_into().map(u64::from_le_bytes));
    let mut all = [0; N];
    for number in &mut all {
        *number = numbers.next()?.ok()?;
    }
    Some(all)
}

/// Commits one record at a time.
pub(super) struct Committer<'a> {
    file: &'a ImageFile,
    log: Mutex<Log>,
    pub pace: Pace,
    busy: AtomicBool,
}

impl<'a> Committer<'a> {
    pub(super) fn new(file: &'a ImageFile, log: Log, pace: Pace) -> Self {
        Self { file, log: Mutex::new(log), pace, busy: AtomicBool::new(false) }
    }

    /// Whether nobody else is at it; then nobody else is until [`Self::commit`] has ended.
    pub(super) fn claim(&self) -> bool {
        !self.busy.swap(true, Ordering::Acquire)
    }

    /// Makes a record true, then writes it.
    pub(super) fn commit(&self, record: &[u8]) -> Result<()> {
        self.file.sync()?;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).append(record)?;
        self.busy.store(false, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(start: u64, filled: u64, chunks: u8) -> Span {
        let placed = Placed { start, filled: Filled(filled), host: start + 65_536 };
        Span { placed, table: start / 2, chunks: (0..chunks).map(|number| [number; DIGEST]).collect() }
    }

    fn record(spans: &[Span]) -> Vec<u8> {
        let mut notes = Notes::default();
        spans.iter().for_each(|span| notes.add(&span.placed, span.table, span.chunks.iter().copied()));
        notes.take(8 << 20, 9 << 20, 7)
    }

    #[test]
    fn a_record_comes_back_or_is_refused() {
        let spans = vec![span(0, 1, 1), span(4 << 20, (1 << 63) | 0b11 << 15, 3)];
        let record = record(&spans);
        let commit = Commit { position: 8 << 20, image_end: 9 << 20, data: 7, spans };
        assert_eq!(Commit::decode(&record, 8 << 20), Some(commit));
        assert_eq!(Commit::decode(&record, 7 << 20), None);
        for cut in (0..record.len()).filter(|cut| ![HEAD, HEAD + SPAN + DIGEST].contains(cut)) {
            assert_eq!(Commit::decode(&record[..cut], 8 << 20), None, "cut at {cut}");
        }
        for spans in [[span(1 << 20, 1, 1), span(0, 1, 1)], [span(0, 1, 1), span(0, 1, 1)]] {
            assert_eq!(Commit::decode(&self::record(&spans), 8 << 20), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), size in any::<u64>()) {
            Commit::decode(&bytes, size);
        }
    }
}
