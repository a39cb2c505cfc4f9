//! What of a disk was ever written to, by the library's word: what lies between is a hole.

use std::ops::Range;

use vmdk2kvm_plugin_api::{Extent, ExtentKind};

use crate::abi::{Block, SECTOR};

/// Sectors of a piece that the library answers for as a whole: 1 MiB, the unit in which VMFS gives room to a disk.
pub const PIECE: u64 = 2048;
/// The most pieces that one question may have.
pub const PIECES: u64 = 524_288;

/// The ranges of a disk that may hold something, in bytes, in their order, without overlaps.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Map(Vec<Range<u64>>);

impl Map {
    /// All of a disk of so many bytes.
    pub fn whole(size: u64) -> Self {
        let mut map = Self::default();
        map.push(0..size);
        map
    }

    /// Takes what was answered for some sectors. `false`: no disk is like that, and nothing of the answer counts.
    #[must_use]
    pub fn add(&mut self, asked: Range<u64>, blocks: &[Block]) -> bool {
        let mut at = asked.start;
        for block in blocks {
            let end = block.offset.checked_add(block.length).filter(|end| *end <= asked.end);
            match end {
                Some(end) if block.offset >= at && block.length > 0 => {
                    self.push(block.offset * SECTOR..end * SECTOR);
                    at = end;
                }
                _ => return false,
            }
        }
        true
    }

    /// Takes a range behind all others.
    pub fn push(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ if range.is_empty() => {}
            _ => self.0.push(range),
        }
    }

    /// What a part of the disk holds.
    pub fn extents(&self, offset: u64, length: u64) -> Vec<Extent> {
        let end = offset.saturating_add(length);
        let (mut at, mut extents) = (offset, Vec::new());
        let first = self.0.partition_point(|range| range.end <= offset);
        for range in self.0[first..].iter().take_while(|range| range.start < end) {
            let (from, to) = (range.start.max(offset), range.end.min(end));
            if from > at {
                extents.push(Extent::new(at, from - at, ExtentKind::Hole));
            }
            extents.push(Extent::new(from, to - from, ExtentKind::Data));
            at = to;
        }
        if end > at {
            extents.push(Extent::new(at, end - at, ExtentKind::Hole));
        }
        extents
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmdk2kvm_plugin_api::check_map;

    use super::*;

    fn block(offset: u64, length: u64) -> Block {
        Block { offset, length }
    }

    #[test]
    fn gaps_are_holes() {
        let mut map = Map::default();
        assert!(map.add(0..8192, &[block(0, 2048), block(2048, 2048), block(6144, 2048)]));
        assert!(map.add(8192..12288, &[]));
        map.push(12288 * SECTOR..12300 * SECTOR);
        let found: Vec<_> =
            map.extents(0, 12300 * SECTOR).iter().map(|it| (it.offset / SECTOR, it.length / SECTOR, it.kind)).collect();
        let (data, hole) = (ExtentKind::Data, ExtentKind::Hole);
        assert_eq!(
            found,
            [(0, 4096, data), (4096, 2048, hole), (6144, 2048, data), (8192, 4096, hole), (12288, 12, data)]
        );
    }

    #[test]
    fn answers_that_cannot_be_are_refused() {
        for blocks in [
            vec![block(0, 0)],
            vec![block(100, 10)],
            vec![block(2048, 4096)],
            vec![block(2048, u64::MAX)],
            vec![block(3000, 10), block(2048, 10)],
            vec![block(2048, 20), block(2060, 20)],
        ] {
            assert!(!Map::default().add(2048..4096, &blocks), "{blocks:?}");
        }
    }

    proptest! {
        #[test]
        fn every_part_is_covered(lengths in prop::collection::vec((1u64..9, 1u64..9), 0..30), from in 0u64..300, length in 1u64..300) {
            let mut map = Map::default();
            let mut at = 0;
            for (gap, long) in lengths {
                map.push((at + gap) * 100..(at + gap + long) * 100);
                at += gap + long;
            }
            check_map(&map.extents(from * 77, length * 77), from * 77, length * 77).unwrap();
        }
    }
}
