//! `BlockSource`: everything that can be read as a disk.
//!
//! A local file, a member of an archive, a remote object and a flattened snapshot chain look alike: a size, positioned reads,
//! and a map of what is data. Sources are shared between threads: the copy engine reads in parallel while the read-only
//! export serves the appliance.

use crate::model::grows;
use crate::{PluginError, Result};

/// Bytes that can be read at any offset.
///
/// Contract: the size never changes; the same range always gives the same bytes; a read past the end is an error; nothing is
/// ever filled with zeros in place of data that could not be read.
pub trait BlockSource: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Reads into `buffer` from `offset`, and returns how many bytes were read: at least one unless `buffer` is empty.
    /// An offset at or past the end, or a range that ends past it, is an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// What the range holds, in order, without gaps or overlaps, covering exactly `offset..offset + length`.
    /// The cost must grow with the answer, not with the range.
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        Ok(vec![Extent::new(offset, length, ExtentKind::Data)])
    }

    /// How this source likes to be read.
    fn hints(&self) -> Hints {
        Hints::default()
    }
}

/// A run of bytes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Length in bytes, never zero.
    pub length: u64,
    /// What the run holds.
    pub kind: ExtentKind,
}

impl Extent {
    /// A run of bytes of a kind.
    pub const fn new(offset: u64, length: u64, kind: ExtentKind) -> Self {
        Self { offset, length, kind }
    }
}

/// What a run of bytes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentKind {
    /// Bytes that must be read (they may still be zero).
    Data,
    /// Stored as zeros: reads as zeros.
    Zero,
    /// Never written: reads as zeros.
    Hole,
}

/// How a source likes to be read. Advice, not a limit: every range can be read whatever the hints say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hints {
    /// Requests that begin and end at multiples of this many bytes are cheapest (a grain, a sector).
    pub alignment: u32,
    /// The largest request that is still useful, in bytes.
    pub request: u32,
    /// How many requests at once still help; 0 when the source does not care (the host takes the number of processors).
    pub parallelism: u16,
}

impl Default for Hints {
    fn default() -> Self {
        Self { alignment: 4096, request: 1 << 20, parallelism: 0 }
    }
}

grows!(Extent, Hints);

/// Reads exactly `buffer.len()` bytes at `offset`.
pub fn read_exact_at(source: &dyn BlockSource, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        let at = offset + done as u64;
        let n = source.read_at(at, &mut buffer[done..])?;
        if n == 0 || n > buffer.len() - done {
            return Err(PluginError::defect(format!(
                "a read of {} bytes at offset {at} returned {n}",
                buffer.len() - done
            )));
        }
        done += n;
    }
    Ok(())
}

/// Checks an answer of [`BlockSource::extents`]: a source that leaves a gap in its map would lose data silently.
pub fn check_map(extents: &[Extent], offset: u64, length: u64) -> Result<()> {
    let mut expected = offset;
    let end = offset + length;
    for extent in extents {
        let next = extent.offset.checked_add(extent.length).filter(|next| *next <= end);
        match next {
            Some(next) if extent.offset == expected && extent.length > 0 => expected = next,
            _ => {
                return Err(PluginError::defect(format!(
                    "the map of {offset}..{end} has an extent {} + {} where {expected} was due",
                    extent.offset, extent.length
                )));
            }
        }
    }
    if expected == end {
        Ok(())
    } else {
        Err(PluginError::defect(format!("the map of {offset}..{end} stops at {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn extent(offset: u64, length: u64) -> Extent {
        Extent { offset, length, kind: ExtentKind::Data }
    }

    #[test]
    fn a_map_must_cover_exactly_what_was_asked() {
        assert!(check_map(&[extent(10, 5), extent(15, 5)], 10, 10).is_ok());
        for (extents, message) in [
            (vec![extent(10, 5)], "the map of 10..20 stops at 15"),
            (vec![], "the map of 10..20 stops at 10"),
            (vec![extent(10, 5), extent(16, 4)], "the map of 10..20 has an extent 16 + 4 where 15 was due"),
            (vec![extent(10, 5), extent(14, 6)], "the map of 10..20 has an extent 14 + 6 where 15 was due"),
            (vec![extent(10, 11)], "the map of 10..20 has an extent 10 + 11 where 10 was due"),
            (vec![extent(10, 0), extent(10, 10)], "the map of 10..20 has an extent 10 + 0 where 10 was due"),
            (vec![extent(10, u64::MAX)], "the map of 10..20 has an extent 10 + 18446744073709551615 where 10 was due"),
        ] {
            let error = check_map(&extents, 10, 10).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Defect, message));
        }
    }
}
