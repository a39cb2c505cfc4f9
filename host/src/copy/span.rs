//! Spans: the pieces in which a disk is copied, as they are kept and remembered.

use super::tasks::{CHUNK, CLUSTER};

/// Bytes of a digest.
pub(super) const DIGEST: usize = 32;

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

/// A span as a record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub placed: Placed,
    /// Where a table was written just before this span was settled; 0 when none was.
    pub table: u64,
    /// Digests of the chunks that have a filled cluster.
    pub chunks: Vec<[u8; DIGEST]>,
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
