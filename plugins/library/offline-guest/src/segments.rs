//! A block source put together from parts of others, one after the other or in turns: a logical volume, a linear array.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result};

use crate::window::inside;

/// A row of segments without gaps.
pub struct Segments {
    segments: Vec<Segment>,
    size: u64,
}

/// A part of it.
pub struct Segment {
    start: u64,
    length: u64,
    /// Bytes of each stripe in turn.
    turn: u64,
    /// Sources and where on each the segment begins.
    stripes: Vec<(Arc<dyn BlockSource>, u64)>,
}

impl Segments {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { segments: Vec::new(), size: 0 }
    }

    /// Adds `length` bytes: so many bytes of each stripe in turn. `None` when the stripes do not have them.
    pub fn push(&mut self, length: u64, turn: u64, stripes: Vec<(Arc<dyn BlockSource>, u64)>) -> Option<()> {
        let turn = if stripes.len() == 1 { length } else { turn };
        let share = length.checked_div(stripes.len() as u64).filter(|share| *share > 0)?;
        if turn == 0 || share % turn != 0 || share.checked_mul(stripes.len() as u64) != Some(length) {
            return None;
        }
        stripes
            .iter()
            .all(|(source, at)| at.checked_add(share).is_some_and(|end| end <= source.size()))
            .then_some(())?;
        let end = self.size.checked_add(length)?;
        self.segments.push(Segment { start: self.size, length, turn, stripes });
        self.size = end;
        Some(())
    }
}

impl BlockSource for Segments {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        inside(offset, buffer.len() as u64, self.size)?;
        if buffer.is_empty() {
            return Ok(0);
        }
        let segment = &self.segments[self.segments.partition_point(|one| one.start + one.length <= offset)];
        let (turn, count) = (segment.turn, segment.stripes.len() as u64);
        let (number, within) = ((offset - segment.start) / turn, (offset - segment.start) % turn);
        let (source, at) = &segment.stripes[usize::try_from(number % count).unwrap_or(0)];
        let length = usize::try_from(turn - within).unwrap_or(usize::MAX).min(buffer.len());
        source.read_at(at + number / count * turn + within, &mut buffer[..length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmdk2kvm_plugin_api::read_exact_at;

    struct Letters(&'static [u8]);

    impl BlockSource for Letters {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
            Ok(buffer.len())
        }
    }

    #[test]
    fn parts_follow_each_other_and_stripes_take_turns() {
        let (one, two): (Arc<dyn BlockSource>, Arc<dyn BlockSource>) =
            (Arc::new(Letters(b"abcdefgh")), Arc::new(Letters(b"ABCDEFGH")));
        let mut row = Segments::new();
        row.push(3, 0, vec![(one.clone(), 5)]).unwrap();
        row.push(8, 2, vec![(two.clone(), 4), (one.clone(), 0)]).unwrap();
        row.push(1, 0, vec![(two.clone(), 0)]).unwrap();
        let mut all = [0; 12];
        read_exact_at(&row, 0, &mut all).unwrap();
        assert_eq!(&all, b"fghEFabGHcdA");
        for at in 0..12 {
            let mut rest = vec![0; 12 - at];
            read_exact_at(&row, at as u64, &mut rest).unwrap();
            assert_eq!(rest, all[at..]);
        }
        assert!(row.read_at(11, &mut [0; 2]).is_err() && row.read_at(u64::MAX, &mut [0; 2]).is_err());
    }

    #[test]
    fn what_the_stripes_do_not_have_is_refused() {
        let one: Arc<dyn BlockSource> = Arc::new(Letters(b"abcdefgh"));
        let mut row = Segments::new();
        for (length, turn, places) in [
            (9, 0, &[0][..]),
            (1, 0, &[8]),
            (0, 0, &[0]),
            (4, 0, &[0, 4]),
            (6, 2, &[0, 4]),
            (5, 1, &[0, 4]),
            (1, 1, &[]),
            (2, 0, &[u64::MAX]),
        ] {
            let stripes = places.iter().map(|at| (one.clone(), *at)).collect();
            assert!(row.push(length, turn, stripes).is_none(), "{length} {turn} {places:?}");
        }
    }
}
