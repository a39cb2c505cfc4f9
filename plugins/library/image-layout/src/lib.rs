//! What lies where in an image file: no two structures at one place. A table that points into the header, or at one place twice, gives the guest
//! bytes that it has never written.
//!
//! An error is a sentence about the image, for the caller to complete.

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
    pub const fn new(what: &'static str, start: u64, length: u64) -> Self {
        Self { what, start, end: start.saturating_add(length) }
    }
}

/// Sorts the parts, and refuses two that overlap.
pub fn refuse_overlaps(parts: &mut Vec<Part>) -> Result<(), String> {
    parts.retain(|part| part.start < part.end);
    parts.sort_by_key(|part| part.start);
    match parts.windows(2).find(|pair| pair[1].start < pair[0].end) {
        None => Ok(()),
        Some(pair) => Err(format!("its {} and its {} overlap at offset {}", pair[0].what, pair[1].what, pair[1].start)),
    }
}

/// Refuses blocks of `length` bytes that overlap each other, or one of these parts. The places are those of their first bytes, in any order, counted
/// in `unit` bytes as the image's table counts them; every block lies inside of the file. They are sorted, so that the cost grows with the table.
pub fn refuse_blocks<Place>(mut places: Vec<Place>, unit: u64, length: u64, parts: &[Part]) -> Result<(), String>
where
    Place: Copy + Ord + Into<u64>,
{
    places.sort_unstable();
    let start = |place: Place| place.into() * unit;
    if let Some(pair) = places.windows(2).find(|pair| start(pair[1]) - start(pair[0]) < length) {
        return Err(format!("two of its blocks overlap at offset {}", start(pair[1])));
    }
    for part in parts {
        // No two blocks overlap: only the last one that begins before the part's end can reach into it.
        let before = places.partition_point(|place| start(*place) < part.end);
        let Some(start) = before.checked_sub(1).map(|last| start(places[last])) else { continue };
        if start + length > part.start {
            let at = start.max(part.start);
            return Err(format!("its {} and one of its blocks overlap at offset {at}", part.what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 20 bytes at places that are counted in tens.
    fn check(parts: &[(&'static str, u64, u64)], places: &[u32]) -> Result<(), String> {
        let mut parts = parts.iter().map(|(what, start, length)| Part::new(what, *start, *length)).collect();
        refuse_overlaps(&mut parts)?;
        refuse_blocks(places.to_vec(), 10, 20, &parts)?;
        let bytes = places.iter().map(|place| u64::from(*place) * 10).collect();
        refuse_blocks::<u64>(bytes, 1, 20, &parts)
    }

    #[test]
    fn whatever_touches_but_does_not_overlap_is_fine() {
        assert_eq!(check(&[], &[]), Ok(()));
        assert_eq!(check(&[("b", 10, 10), ("a", 0, 10), ("empty", 5, 0), ("c", 40, 5)], &[5, 2, 7]), Ok(()));
        assert_eq!(check(&[("far", u64::MAX - 1, 10)], &[5]), Ok(()));
    }

    #[test]
    fn each_overlap_is_named_with_its_place() {
        for (parts, places, expected) in [
            (vec![("b", 9, 1), ("a", 0, 10)], vec![], "its a and its b overlap at offset 9"),
            (vec![("b", 0, 10), ("a", 0, 10)], vec![], "its b and its a overlap at offset 0"),
            (vec![], vec![4, 2, 5], "two of its blocks overlap at offset 50"),
            (vec![], vec![2, 2], "two of its blocks overlap at offset 20"),
            (vec![("a", 0, 10)], vec![0], "its a and one of its blocks overlap at offset 0"),
            (vec![("a", 39, 1)], vec![2, 9], "its a and one of its blocks overlap at offset 39"),
            (vec![("a", 0, 21)], vec![2, 9], "its a and one of its blocks overlap at offset 20"),
            (vec![("a", 25, 100)], vec![9, 2], "its a and one of its blocks overlap at offset 90"),
            (vec![("a", 45, 100)], vec![9, 2], "its a and one of its blocks overlap at offset 90"),
        ] {
            assert_eq!(check(&parts, &places), Err(expected.to_owned()));
        }
    }
}
