//! Proves that a hive is sound, from its bytes alone.
//!
//! Shares nothing with what reads, replays and edits hives but the table of upper case: a mistake there shows here. Proven are: a header
//! that Windows loads without its logs; bins and cells that tile the file; every reference hits the start of a used cell and each cell is
//! used once; parents, counts, order and hashes of keys; lengths within the cells and within what a key says is its longest; the ring of
//! security descriptors and their numbers of users. Used cells that nothing refers to are counted: Windows itself leaves some when it
//! deletes, and they harm nothing, but whoever edits must leave no more than there were.

mod cells;
mod keys;
mod security;

use std::fmt;

use cells::Cells;
pub(super) use keys::{Contents, Node, Stored};

/// No list of faults is longer: the first ones are what a person reads.
const MOST: usize = 64;

/// Something that a sound hive has not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Where: bytes from the first bin; 0 also for the header.
    pub at: u32,
    /// What is wrong there, a sentence's end.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:#x}: {}", self.at, self.what)
    }
}

/// Proves a hive sound. A failure lists at most 64 faults, and at least one.
pub fn check(bytes: &[u8]) -> Result<(), Vec<Fault>> {
    contents(bytes).map(|_| ())
}

/// What a hive holds, and how many used cells nothing refers to.
pub(super) fn contents(bytes: &[u8]) -> Result<(Contents<'_>, usize), Vec<Fault>> {
    let mut faults = Faults::default();
    let mut cells = Cells::read(bytes, &mut faults)?;
    let contents = keys::walk(&mut cells, &mut faults);
    security::walk(&mut cells, &contents, &mut faults);
    faults.none()?;
    Ok((contents, cells.lost()))
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, at: u32, what: impl Into<String>) {
        if self.0.len() < MOST {
            self.0.push(Fault { at, what: what.into() });
        }
    }

    fn none(self) -> Result<(), Vec<Fault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    /// The part that is there, or a fault and nothing.
    fn expect<T>(&mut self, found: Option<T>, at: u32, what: &str) -> Option<T> {
        if found.is_none() {
            self.add(at, what);
        }
        found
    }
}

#[cfg(test)]
mod tests;
