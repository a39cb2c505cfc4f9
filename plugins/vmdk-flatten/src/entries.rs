//! Blocks of entries: decoded, and checked that what they list can be true.
//!
//! A grain or a table lies inside the file, not on the file's own metadata, and not where another one of the same block lies. So no
//! table can be its own grain, and a small file cannot pretend to be full of data. Reads nothing.

use std::ops::Range;
use std::sync::Arc;

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::dialect::{ABSENT, Dialect, ENTRIES, ZERO};
use crate::fault::damaged;
use crate::storage::SECTOR;

/// 512 entries as bytes of the file, [`ABSENT`] or [`ZERO`]. `None` where all are absent.
pub type Block = Option<Arc<[u64; ENTRIES]>>;

/// How grains are laid out, and what their entries mean.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Bytes of the extent.
    pub capacity: u64,
    /// Bytes of a grain, a power of two.
    pub grain: u64,
    /// Grains are streams behind markers: their length is not known from the tables.
    pub compressed: bool,
    /// How entries are read.
    pub dialect: Dialect,
}

impl Layout {
    /// Bytes of the disk that one block of a table maps.
    pub fn block_span(&self) -> u64 {
        self.grain * ENTRIES as u64
    }

    /// Bytes of the disk that one table maps.
    pub fn table_span(&self) -> u64 {
        self.block_span() * self.dialect.table_blocks()
    }

    /// Number of tables.
    pub fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.table_span())
    }

    /// Bytes of the directory.
    pub fn directory_bytes(&self) -> u64 {
        self.tables() * self.dialect.width()
    }
}

/// Checks the entries of one file.
#[derive(Debug)]
pub struct Checker {
    /// Name of the file.
    pub object: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where its header and its directories are: nothing else can be there.
    pub reserved: Vec<Range<u64>>,
    /// What the entries are of.
    pub layout: Layout,
}

impl Checker {
    /// Block `number` of the directory, from its bytes.
    pub fn directory(&self, number: u64, bytes: &[u8]) -> Result<Block> {
        let dialect = self.layout.dialect;
        let mut entries = dialect.numbers(bytes);
        let length = dialect.table_bytes();
        for (slot, entry) in entries.iter_mut().enumerate() {
            let index = number * ENTRIES as u64 + slot as u64;
            let what = |what: &str| damaged(&self.object, format_args!("its grain table {index} {what}"));
            let at = dialect.table(*entry).ok_or_else(|| what("has a directory entry that means nothing"))?;
            if at != ABSENT {
                if !self.holds(at, length) {
                    return Err(self.outside(format_args!("its grain table {index}"), at));
                }
                if self.is_reserved(at, length) {
                    return Err(what("overlaps the file's own header or directory"));
                }
            }
            *entry = at;
        }
        let listed = entries.iter().copied().filter(|at| *at != ABSENT);
        if let Some(at) = overlap(listed.map(|at| (at, length))) {
            return Err(damaged(
                &self.object,
                format_args!("its grain directory lists overlapping tables at sector {}", at / SECTOR),
            ));
        }
        Ok(entries.iter().any(|entry| *entry != ABSENT).then(|| Arc::from(entries)))
    }

    /// Block `number` of all tables, from its bytes, which were found at `found`.
    pub fn table(&self, number: u64, found: u64, bytes: &[u8]) -> Result<Block> {
        let Layout { capacity, grain, dialect, .. } = self.layout;
        let mut entries = dialect.numbers(bytes);
        let base = number * self.layout.block_span();
        let grains = capacity.saturating_sub(base).div_ceil(grain).min(ENTRIES as u64) as usize;
        entries[grains..].fill(0); // What lies past the capacity means nothing.
        let own = found..found + bytes.len() as u64;
        for (slot, entry) in entries.iter_mut().enumerate() {
            if *entry == 0 {
                continue; // Absent in every dialect.
            }
            let start = base + slot as u64 * grain;
            let what = |what: &str| damaged(&self.object, format_args!("the grain at byte {start} of the disk {what}"));
            let at = dialect.grain(*entry).map_err(what)?;
            if at > ZERO {
                let length = self.needed(start);
                if !self.holds(at, length) {
                    return Err(self.outside(format_args!("the grain at byte {start} of the disk"), at));
                }
                if self.is_reserved(at, length) || meets(&own, at, length) {
                    return Err(what("overlaps the file's own header, directory or table"));
                }
            }
            *entry = at;
        }
        let stored = entries.iter().enumerate().filter(|(_, at)| **at > ZERO);
        if let Some(at) = overlap(stored.map(|(slot, at)| (*at, self.needed(base + slot as u64 * grain)))) {
            return Err(damaged(
                &self.object,
                format_args!(
                    "two grains within bytes {base} to {} of the disk share sector {} of the file",
                    base + self.layout.block_span(),
                    at / SECTOR
                ),
            ));
        }
        Ok(entries.iter().any(|entry| *entry != ABSENT).then(|| Arc::from(entries)))
    }

    /// What the file must hold of the grain at `start`: the last one of a disk may be cut at the capacity.
    fn needed(&self, start: u64) -> u64 {
        match self.layout.compressed {
            true => crate::grain::MARKER,
            false => self.layout.grain.min(self.layout.capacity - start),
        }
    }

    fn holds(&self, at: u64, length: u64) -> bool {
        at.checked_add(length).is_some_and(|end| end <= self.size)
    }

    fn is_reserved(&self, at: u64, length: u64) -> bool {
        self.reserved.iter().any(|range| meets(range, at, length))
    }

    fn outside(&self, what: std::fmt::Arguments<'_>, at: u64) -> PluginError {
        damaged(
            &self.object,
            format_args!(
                "{what} lies outside of the file: at sector {}, and the file has {} bytes",
                at / SECTOR,
                self.size
            ),
        )
    }
}

fn meets(range: &Range<u64>, at: u64, length: u64) -> bool {
    at < range.end && range.start < at + length
}

/// Where the second of two places begins that overlap, each given by its beginning and length.
fn overlap(places: impl Iterator<Item = (u64, u64)> + Clone) -> Option<u64> {
    // Writers append, so that the places nearly always ascend.
    let mut end = 0;
    let ascending = places.clone().all(|(at, length)| at >= std::mem::replace(&mut end, at + length));
    if ascending {
        return None;
    }
    let mut sorted: Vec<_> = places.collect();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0).map(|pair| pair[1].0)
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn overlaps_are_found_in_any_order() {
        let find = |places: &[(u64, u64)]| overlap(places.iter().copied());
        assert_eq!(find(&[(0, 5), (5, 5), (20, 1)]), None);
        assert_eq!(find(&[(20, 1), (5, 5), (0, 5)]), None);
        assert_eq!(find(&[(0, 6), (5, 5)]), Some(5));
        assert_eq!(find(&[(20, 1), (0, 5), (20, 1)]), Some(20));
    }
}
