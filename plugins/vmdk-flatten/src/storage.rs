//! `Storage`: what one extent of a link offers, whatever its format.
//!
//! A new extent format is one more file that implements [`Storage`], and one more arm where `link.rs` opens extents. Offsets here
//! are bytes from the beginning of the extent.

use std::ops::Range;

use vmdk2kvm_plugin_api::{Hints, Result};

/// Bytes in a sector, the unit of every number in a VMDK.
pub const SECTOR: u64 = 512;

/// A run of an extent's bytes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First byte.
    pub offset: u64,
    /// Length in bytes, never zero.
    pub length: u64,
    /// What it holds.
    pub kind: RunKind,
}

/// What a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// Bytes stored in this link.
    Data,
    /// This link says that they are zeros.
    Zero,
    /// A hole of a flat file: zeros in this link, whatever its parent holds.
    Hole,
    /// This link holds nothing here: the parent decides.
    Absent,
}

/// One extent, opened and checked.
pub trait Storage: Send + Sync {
    /// Fills `buffer` from `offset`. Ranges that this extent does not hold are left as they are and told to `absent`, as
    /// positions within `buffer`. The caller stays inside the extent.
    fn read(&self, offset: u64, buffer: &mut [u8], absent: &mut Absent) -> Result<()>;

    /// Tells what `offset..offset + length` holds, in order and without gaps.
    fn map(&self, offset: u64, length: u64, visit: &mut dyn FnMut(Run) -> Result<()>) -> Result<()>;

    /// The unit in which this extent is stored, in bytes: requests aligned to it are cheapest.
    fn unit(&self) -> u64;

    /// How the file wants to be read whose bytes are the disk's own; `None`: it is no such extent.
    fn file_hints(&self) -> Option<Hints> {
        None
    }
}

/// Collects the ranges of a buffer that a link could not fill.
#[derive(Debug, Default)]
pub struct Absent {
    base: usize,
    ranges: Vec<Range<usize>>,
}

impl Absent {
    /// Positions of what is told next are relative to `base`.
    pub fn rebase(&mut self, base: usize) {
        self.base = base;
    }

    /// Adds a range; ranges come in ascending order, and what touches is merged.
    pub fn push(&mut self, range: Range<usize>) {
        let range = range.start + self.base..range.end + self.base;
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }

    /// The merged ranges.
    pub fn into_ranges(self) -> Vec<Range<usize>> {
        self.ranges
    }
}

/// An extent of type `ZERO`: no file, all zeros.
pub struct ZeroStorage;

impl Storage for ZeroStorage {
    fn read(&self, _offset: u64, buffer: &mut [u8], _absent: &mut Absent) -> Result<()> {
        buffer.fill(0);
        Ok(())
    }

    fn map(&self, offset: u64, length: u64, visit: &mut dyn FnMut(Run) -> Result<()>) -> Result<()> {
        visit(Run { offset, length, kind: RunKind::Zero })
    }

    fn unit(&self) -> u64 {
        SECTOR
    }
}
