//! What the engine asks of an image that is being written.

use vmdk2kvm_plugin_api::Result;

use super::commit::Span;
use super::tasks::{CHUNK, CLUSTER};

/// Which clusters of a span hold something other than zeros, bit 0 being the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Filled(pub u64);

impl Filled {
    pub(super) fn set(&mut self, cluster: usize) {
        self.0 |= 1 << cluster;
    }

    pub(super) fn count(self) -> u64 {
        u64::from(self.0.count_ones())
    }

    /// Numbers of the chunks that have a filled cluster, ascending.
    pub(super) fn chunks(self) -> impl Iterator<Item = usize> {
        const PER_CHUNK: usize = CHUNK / CLUSTER;
        (0..64 / PER_CHUNK).filter(move |chunk| self.0 >> (chunk * PER_CHUNK) & ((1 << PER_CHUNK) - 1) != 0)
    }

    /// The filled clusters, ascending.
    pub(super) fn clusters(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |cluster| self.0 >> cluster & 1 == 1)
    }

    /// Runs of filled clusters as byte ranges of a span of `length` bytes.
    pub(super) fn runs(self, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let rest = self.0.checked_shr(next).unwrap_or(0);
            if rest == 0 {
                return None;
            }
            let first = next + rest.trailing_zeros();
            let count = (self.0 >> first).trailing_ones();
            next = first + count;
            Some(first as usize * CLUSTER..(next as usize * CLUSTER).min(length))
        })
    }
}

/// Where a span's filled clusters went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// First byte of the span in the disk.
    pub start: u64,
    /// Which of its clusters are stored.
    pub filled: Filled,
    /// Where the first of them lies in the image; the others follow one another.
    pub host: u64,
}

/// An image that is being written.
pub(super) trait Sink: Sync {
    /// Writes the filled clusters of the span at `start`. Called from any thread, in any order, never twice for a span.
    fn store(&self, start: u64, span: &[u8], filled: Filled) -> Result<Placed>;

    /// Takes note of a stored span. Called for every span once, in ascending order, one call at a time. Returns where a table was written
    /// that had become full; 0 when none had.
    fn settle(&self, placed: Placed) -> Result<u64>;

    /// Length of the image in bytes, when everything before `position` of the disk is settled and nothing behind it was stored.
    fn end(&self, position: u64) -> u64;
}

/// A sink with a file behind it, which can be begun again where a commit left it.
pub(super) trait Image: Sink {
    /// Makes the file `end` bytes long: everything behind the last commit is forgotten. 0 for a new image.
    fn begin(&self, end: u64) -> Result<()>;

    /// Takes note of a span that a former run stored; called in the order of the spans, before [`Self::begin`]. False when it cannot be.
    fn restore(&self, span: &Span) -> bool;

    /// Writes what is left to write.
    fn finish(&self) -> Result<()>;
}

/// Stores nothing: for a digest of a source.
pub(super) struct Discard;

impl Sink for Discard {
    fn store(&self, start: u64, _: &[u8], filled: Filled) -> Result<Placed> {
        Ok(Placed { start, filled, host: 0 })
    }

    fn settle(&self, _: Placed) -> Result<u64> {
        Ok(0)
    }

    fn end(&self, _: u64) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_filled_clusters() {
        let runs = |bits: u64, length| {
            let runs = Filled(bits).runs(length).map(|run| (run.start, run.end));
            runs.collect::<Vec<_>>()
        };
        assert!(runs(0, 4 << 20).is_empty());
        assert_eq!(runs(u64::MAX, 4 << 20), [(0, 4 << 20)]);
        assert_eq!(runs(0b1101, 4 << 20), [(0, CLUSTER), (2 * CLUSTER, 4 * CLUSTER)]);
        assert_eq!(runs(1 << 63, 4 << 20), [(63 * CLUSTER, 4 << 20)]);
        assert_eq!(runs(0b10, CLUSTER + 512), [(CLUSTER, CLUSTER + 512)]);
    }

    #[test]
    fn chunks_with_filled_clusters() {
        let chunks = |bits: u64| Filled(bits).chunks().collect::<Vec<_>>();
        assert!(chunks(0).is_empty());
        assert_eq!(chunks(1 << 15), [0]);
        assert_eq!(chunks(1 << 16 | 1 << 63), [1, 3]);
    }
}
