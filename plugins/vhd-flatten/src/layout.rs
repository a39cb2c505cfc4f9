//! What lies where in the file: no two structures at one place. A table that points into the header, or at one place twice, gives the guest bytes that
//! it has never written.

use vmdk2kvm_plugin_api::Result;

use crate::footer::bad;

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, for messages: `header`.
    pub what: String,
    /// First byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
}

impl Part {
    /// A part of `length` bytes, which lies inside of the file.
    pub fn new(what: impl Into<String>, start: u64, length: u64) -> Self {
        Self { what: what.into(), start, end: start + length }
    }
}

/// Blocks of one length: the places of all, in any order.
pub struct Places {
    /// First sectors.
    pub sectors: Vec<u32>,
    /// Sectors of a block.
    pub length: u64,
    /// Bytes of a sector.
    pub sector: u64,
}

/// Sorts the parts, and refuses two that overlap.
pub fn refuse_overlaps(parts: &mut Vec<Part>) -> Result<()> {
    parts.retain(|part| part.start < part.end);
    parts.sort_by_key(|part| part.start);
    match parts.windows(2).find(|pair| pair[1].start < pair[0].end) {
        None => Ok(()),
        Some(pair) => {
            Err(bad(format!("its {} and its {} overlap at offset {}", pair[0].what, pair[1].what, pair[1].start)))
        }
    }
}

impl Places {
    /// Refuses blocks that overlap each other, or one of these parts. They are sorted for it, so that the cost grows with the table.
    pub fn refuse_overlaps(mut self, parts: &[Part]) -> Result<()> {
        self.sectors.sort_unstable();
        let (sectors, sector) = (&self.sectors, self.sector);
        if let Some(pair) = sectors.windows(2).find(|pair| u64::from(pair[1] - pair[0]) < self.length) {
            return Err(bad(format!("two of its blocks overlap at offset {}", u64::from(pair[1]) * sector)));
        }
        for part in parts {
            // No two blocks overlap: only the last one that begins before the part's end can reach into it.
            let before = sectors.partition_point(|first| u64::from(*first) * sector < part.end);
            let Some(start) = before.checked_sub(1).map(|last| u64::from(sectors[last]) * sector) else { continue };
            if start + self.length * sector > part.start {
                let at = start.max(part.start);
                return Err(bad(format!("its {} and one of its blocks overlap at offset {at}", part.what)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[(&str, u64, u64)], sectors: &[u32]) -> Result<(), String> {
        let mut parts = parts.iter().map(|(what, start, length)| Part::new(*what, *start, *length)).collect();
        let places = Places { sectors: sectors.to_vec(), length: 2, sector: 10 };
        refuse_overlaps(&mut parts).and_then(|()| places.refuse_overlaps(&parts)).map_err(|error| error.message)
    }

    #[test]
    fn whatever_touches_but_does_not_overlap_is_fine() {
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(check(&[("b", 10, 10), ("a", 0, 10), ("empty", 5, 0), ("c", 40, 5)], &[5, 2, 7]), Ok(()));
    }

    #[test]
    fn each_overlap_is_named_with_its_place() {
        for (parts, sectors, expected) in [
            (vec![("b", 9, 1), ("a", 0, 10)], vec![], "its a and its b overlap at offset 9"),
            (vec![("b", 0, 10), ("a", 0, 10)], vec![], "its b and its a overlap at offset 0"),
            (vec![], vec![4, 2, 5], "two of its blocks overlap at offset 50"),
            (vec![], vec![2, 2], "two of its blocks overlap at offset 20"),
            (vec![("a", 0, 10)], vec![0], "its a and one of its blocks overlap at offset 0"),
            (vec![("a", 39, 1)], vec![2, 9], "its a and one of its blocks overlap at offset 39"),
            (vec![("a", 0, 21)], vec![2, 9], "its a and one of its blocks overlap at offset 20"),
            (vec![("a", 25, 100)], vec![9, 2], "its a and one of its blocks overlap at offset 90"),
        ] {
            assert_eq!(check(&parts, &sectors), Err(expected.to_owned()));
        }
    }
}
