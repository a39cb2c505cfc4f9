//! Runs: stretches of a guest disk that one image stores in one way.

/// How an image stores a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Not at all: the backing file decides, or it was never written.
    Nowhere,
    /// As zeros.
    Zero,
    /// As it is, at this offset of the image's file.
    Plain(u64),
    /// Inside a compressed cluster: `length` bytes at `offset` of the file. Such a run never spans clusters.
    Compressed {
        /// File offset of the compressed data.
        offset: u64,
        /// Its length in bytes, rounded up to the sectors it touches.
        length: u64,
    },
}

/// A stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First guest byte.
    pub start: u64,
    /// Guest byte behind the last; greater than `start`.
    pub end: u64,
    /// How it is stored.
    pub stored: Stored,
}

impl Run {
    /// Whether the run has this guest byte.
    pub fn contains(&self, offset: u64) -> bool {
        (self.start..self.end).contains(&offset)
    }

    /// The part of the run from `start`, which it contains, to `end` at most.
    pub fn part(&self, start: u64, end: u64) -> Self {
        let stored = match self.stored {
            Stored::Plain(offset) => Stored::Plain(offset + (start - self.start)),
            other => other,
        };
        Self { start, end: end.min(self.end), stored }
    }

    /// Takes `next` in when it continues this run.
    pub fn join(&mut self, next: &Self) -> bool {
        let continues = match (self.stored, next.stored) {
            (Stored::Nowhere, Stored::Nowhere) | (Stored::Zero, Stored::Zero) => true,
            (Stored::Plain(here), Stored::Plain(there)) => here.checked_add(self.end - self.start) == Some(there),
            _ => false,
        };
        if continues && next.start == self.end {
            self.end = next.end;
            return true;
        }
        false
    }
}
