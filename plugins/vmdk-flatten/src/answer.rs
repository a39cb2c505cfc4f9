//! The map of a disk, collected on the grid of its alignment, so that its length has a bound.
//!
//! A snapshot may change from data to nothing at every sector: a window of the map would have millions of extents. Where one
//! ends within a unit of the grid, the whole unit counts as data if any of it is. Data may still be zero, so that nothing is lost.

use vmdk2kvm_plugin_api::{Extent, ExtentKind};

/// A map of a range that is being collected, from front to back.
pub struct Answer {
    unit: u64,
    start: u64,
    end: u64,
    extents: Vec<Extent>,
}

impl Answer {
    /// An empty map of `start..end`, whose extents meet at multiples of `unit` only.
    pub fn new(unit: u64, start: u64, end: u64) -> Self {
        Self { unit, start, end, extents: Vec::new() }
    }

    /// Adds the run that follows the one before.
    pub fn push(&mut self, offset: u64, length: u64, kind: ExtentKind) {
        let stop = offset + length;
        if kind == ExtentKind::Data {
            let from = (offset - offset % self.unit).max(self.start);
            self.cut(from);
            return self.append(self.up(stop), kind);
        }
        match self.extents.last_mut() {
            // Two kinds of zeros that meet within a unit: the first takes all of it.
            Some(last) if last.kind != kind => {
                let middle = (last.offset + last.length).next_multiple_of(self.unit).min(self.end);
                last.length = middle - last.offset;
            }
            _ => {}
        }
        self.append(stop, kind);
    }

    /// The extents.
    pub fn into_extents(self) -> Vec<Extent> {
        self.extents
    }

    fn up(&self, offset: u64) -> u64 {
        offset.next_multiple_of(self.unit).min(self.end)
    }

    /// Where the extents so far end.
    fn covered(&self) -> u64 {
        self.extents.last().map_or(self.start, |last| last.offset + last.length)
    }

    /// Takes away what is not data from `from` on.
    fn cut(&mut self, from: u64) {
        while let Some(last) = self.extents.last_mut().filter(|last| last.kind != ExtentKind::Data) {
            if last.offset < from {
                last.length = last.length.min(from - last.offset);
                return;
            }
            self.extents.pop();
        }
    }

    /// Adds what is missing up to `stop`.
    fn append(&mut self, stop: u64, kind: ExtentKind) {
        let offset = self.covered();
        if stop <= offset {
            return;
        }
        match self.extents.last_mut() {
            Some(last) if last.kind == kind => last.length += stop - offset,
            _ => self.extents.push(Extent::new(offset, stop - offset, kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ExtentKind::{Data, Hole, Zero};

    fn map(start: u64, runs: &[(u64, ExtentKind)]) -> Vec<(u64, ExtentKind)> {
        let end = start + runs.iter().map(|run| run.0).sum::<u64>();
        let mut answer = Answer::new(10, start, end);
        let mut at = start;
        for (length, kind) in runs {
            answer.push(at, *length, *kind);
            at += length;
        }
        let extents = answer.into_extents();
        let mut next = start;
        for extent in &extents {
            assert_eq!(extent.offset, next);
            next += extent.length;
        }
        assert_eq!(next, end);
        extents.iter().map(|extent| (extent.length, extent.kind)).collect()
    }

    #[test]
    fn what_meets_on_the_grid_stays_as_it_is() {
        let runs = [(20, Data), (10, Hole), (10, Zero), (30, Data), (5, Hole)];
        assert_eq!(map(0, &runs), runs);
        assert_eq!(map(5, &[(3, Hole), (3, Hole)]), [(6, Hole)]);
    }

    #[test]
    fn a_unit_with_some_data_is_data() {
        assert_eq!(map(0, &[(15, Hole), (1, Data), (24, Hole)]), [(10, Hole), (10, Data), (20, Hole)]);
        assert_eq!(map(0, &[(5, Hole), (1, Zero), (1, Data), (33, Zero)]), [(10, Data), (30, Zero)]);
        assert_eq!(map(3, &[(1, Hole), (1, Data), (1, Hole)]), [(3, Data)]);
        assert_eq!(map(0, &[(25, Data), (1, Hole), (1, Data), (1, Zero)]), [(28, Data)]);
        let many: Vec<_> = (0..1000).map(|number| (1, [Data, Hole, Zero][number % 3])).collect();
        assert_eq!(map(0, &many), [(1000, Data)]);
    }

    #[test]
    fn of_two_kinds_of_zeros_the_first_takes_the_unit() {
        assert_eq!(map(0, &[(12, Hole), (18, Zero)]), [(20, Hole), (10, Zero)]);
        let many: Vec<_> = (0..100).map(|number| (1, [Hole, Zero][number % 2])).collect();
        assert!(map(0, &many).len() <= 10);
    }
}
