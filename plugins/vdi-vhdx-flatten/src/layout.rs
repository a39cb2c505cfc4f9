//! What lies where in the file: no two structures at one place. A table that points into the header, or at one place twice, gives the guest bytes that
//! it has never written.

use vmdk2kvm_plugin_api::Result;

use crate::blocks::bad;

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What it is, for messages: `header`.
    pub what: &'static str,
    /// First byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
}

impl Part {
    /// A part of `length` bytes.
    pub fn new(what: &'static str, start: u64, length: u64) -> Self {
        Self { what, start, end: start.saturating_add(length) }
    }
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

/// Refuses blocks of `length` bytes at these places that overlap each other, or one of these parts. They are sorted for it, so that the cost grows
/// with the table. Every place lies inside of the file.
pub fn refuse_blocks(mut places: Vec<u64>, length: u64, parts: &[Part]) -> Result<()> {
    places.sort_unstable();
    if let Some(pair) = places.windows(2).find(|pair| pair[1] - pair[0] < length) {
        return Err(bad(format!("two of its blocks overlap at offset {}", pair[1])));
    }
    for part in parts {
        // No two blocks overlap: only the last one that begins before the part's end can reach into it.
        let before = places.partition_point(|start| *start < part.end);
        let Some(start) = before.checked_sub(1).map(|last| places[last]) else { continue };
        if start + length > part.start {
            let at = start.max(part.start);
            return Err(bad(format!("its {} and one of its blocks overlap at offset {at}", part.what)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[(&'static str, u64, u64)], places: &[u64]) -> Result<(), String> {
        let mut parts = parts.iter().map(|(what, start, length)| Part::new(what, *start, *length)).collect();
        let checked = refuse_overlaps(&mut parts).and_then(|()| refuse_blocks(places.to_vec(), 20, &parts));
        checked.map_err(|error| error.message)
    }

    #[test]
    fn whatever_touches_but_does_not_overlap_is_fine() {
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(check(&[("b", 10, 10), ("a", 0, 10), ("empty", 5, 0), ("c", 40, 5)], &[50, 20, 70]), Ok(()));
        assert_eq!(check(&[("far", u64::MAX - 1, 10)], &[50]), Ok(()));
    }

    #[test]
    fn each_overlap_is_named_with_its_place() {
        for (parts, places, expected) in [
            (vec![("b", 9, 1), ("a", 0, 10)], vec![], "its a and its b overlap at offset 9"),
            (vec![("b", 0, 10), ("a", 0, 10)], vec![], "its b and its a overlap at offset 0"),
            (vec![], vec![40, 20, 50], "two of its blocks overlap at offset 50"),
            (vec![], vec![20, 20], "two of its blocks overlap at offset 20"),
            (vec![("a", 0, 10)], vec![0], "its a and one of its blocks overlap at offset 0"),
            (vec![("a", 39, 1)], vec![20, 90], "its a and one of its blocks overlap at offset 39"),
            (vec![("a", 0, 21)], vec![20, 90], "its a and one of its blocks overlap at offset 20"),
            (vec![("a", 45, 100)], vec![90, 20], "its a and one of its blocks overlap at offset 90"),
        ] {
            assert_eq!(check(&parts, &places), Err(expected.to_owned()));
        }
    }
}
