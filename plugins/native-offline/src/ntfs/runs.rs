//! Where the clusters of an attribute are: pairs of a length and a distance, each of as many bytes as it needs.

use vmdk2kvm_plugin_api::Result;

use crate::bytes::damaged;

/// Clusters in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first of the attribute's own clusters.
    pub first: u64,
    /// How many.
    pub length: u64,
    /// The first of the volume's; `None`: a hole.
    pub place: Option<u64>,
}

impl Run {
    /// The cluster behind the last one of its own.
    pub fn end(&self) -> u64 {
        self.first + self.length
    }
}

/// The runs of `count` clusters from `lowest` on, of a volume of so many `clusters`.
pub fn decode(pairs: &[u8], lowest: u64, count: u64, clusters: u64) -> Result<Vec<Run>> {
    let bad = || damaged("a list of clusters is damaged");
    let end = lowest.checked_add(count).filter(|end| *end < 1 << 52).ok_or_else(bad)?;
    let (mut runs, mut at, mut first, mut before) = (Vec::new(), 0, lowest, 0i64);
    loop {
        let head = *pairs.get(at).ok_or_else(bad)?;
        if head == 0 {
            return if first == end { Ok(runs) } else { Err(bad()) };
        }
        let (length_width, place_width) = (usize::from(head & 15), usize::from(head >> 4));
        let length_at = at + 1;
        let place_at = length_at + length_width;
        at = place_at + place_width;
        let length = number(pairs.get(length_at..place_at).ok_or_else(bad)?).ok_or_else(bad)?;
        let length = u64::try_from(length).ok().filter(|length| *length > 0).ok_or_else(bad)?;
        let next = first.checked_add(length).filter(|next| *next <= end).ok_or_else(bad)?;
        let place = if place_width == 0 {
            None
        } else {
            let distance = number(pairs.get(place_at..at).ok_or_else(bad)?).ok_or_else(bad)?;
            before = before.checked_add(distance).ok_or_else(bad)?;
            let place = u64::try_from(before).map_err(|_| bad())?;
            Some(place)
                .filter(|place| place.checked_add(length).is_some_and(|end| end <= clusters))
                .map(Some)
                .ok_or_else(bad)?
        };
        runs.push(Run { first, length, place });
        first = next;
    }
}

/// A signed number of one to eight bytes.
fn number(raw: &[u8]) -> Option<i64> {
    let last = *raw.last()?;
    let mut bytes = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
    bytes.get_mut(..raw.len())?.copy_from_slice(raw);
    Some(i64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_relative_and_may_be_holes() {
        // 24 clusters at 0x5634, a hole of 8, and 16 clusters 0x20 before the first ones.
        let pairs = [0x21, 0x18, 0x34, 0x56, 0x01, 0x08, 0x11, 0x10, 0xe0, 0x00];
        let run = |first, length, place| Run { first, length, place };
        let wanted = [run(0, 24, Some(0x5634)), run(24, 8, None), run(32, 16, Some(0x5614))];
        assert_eq!(decode(&pairs, 0, 48, 1 << 20).unwrap(), wanted);
        assert_eq!(decode(&pairs, 100, 48, 1 << 20).unwrap()[2].first, 132);
        assert_eq!(decode(&[0], 0, 0, 10).unwrap(), []);
    }

    #[test]
    fn what_does_not_fit_is_damaged() {
        for (pairs, count, clusters) in [
            (&[0x11, 4, 9, 0][..], 4, 12),
            (&[0x11, 4, 2, 0], 5, 12),
            (&[0x11, 4, 2, 0], 3, 12),
            (&[0x11, 4, 2], 4, 12),
            (&[0x11, 0, 2, 0], 0, 12),
            (&[0x11, 4, 0xfe, 0], 4, 12),
            (&[0x10, 4, 0], 4, 12),
            (&[0x09, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 4, 12),
            (&[], 0, 12),
        ] {
            assert!(decode(pairs, 0, count, clusters).is_err(), "{pairs:?} {count}");
        }
    }
}
