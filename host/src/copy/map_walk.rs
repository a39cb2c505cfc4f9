//! Walks a source's map in windows, so that time and memory grow with the data and not with the capacity.
//!
//! Owns the size of the windows. Does not read data.

use vmdk2kvm_plugin_api::{BlockSource, Extent, Result, check_map};

/// Every window begins at a multiple of this, so that what is built on a window never straddles two.
pub(crate) const WINDOW_ALIGNMENT: u64 = 4 << 20;

/// The first window: enough for the map of a small disk in few calls, little enough to start copying at once.
const FIRST_WINDOW: u64 = 256 << 20;

/// The most extents that one answer may hold if the whole window alternates at the source's own alignment. With 24 bytes an
/// extent this bounds an answer to 48 MiB.
const EXTENTS_PER_WINDOW: u64 = 2 << 20;

/// An answer with fewer extents than this lets the next window grow.
const FEW: usize = 1 << 10;

/// The map of `start..end` of a source, a window at a time.
pub(crate) struct MapWalk<'a> {
    source: &'a dyn BlockSource,
    position: u64,
    end: u64,
    window: u64,
    largest: u64,
}

impl<'a> MapWalk<'a> {
    /// The map of `start..end`.
    pub(crate) fn new(source: &'a dyn BlockSource, start: u64, end: u64) -> Self {
        Self::starting_with(source, start, end, FIRST_WINDOW)
    }

    /// The same with another first window, for a caller that may only want the first extent.
    pub(crate) fn starting_with(source: &'a dyn BlockSource, start: u64, end: u64, window: u64) -> Self {
        let alignment = u64::from(source.hints().alignment.max(512));
        let largest = (alignment * EXTENTS_PER_WINDOW).next_power_of_two().clamp(1 << 30, 1 << 42);
        Self { source, position: start, end, window, largest }
    }

    /// How wide the next window is to be: what a walk that goes on at the end of this one begins with.
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// The next window's extents: in order, without gaps, never empty; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Extent>>> {
        if self.position >= self.end {
            return Ok(None);
        }
        let limit = (self.position - self.position % WINDOW_ALIGNMENT).saturating_add(self.window).min(self.end);
        let length = limit - self.position;
        let extents = self.source.extents(self.position, length)?;
        check_map(&extents, self.position, length)?;
        self.position = limit;
        if extents.len() < FEW {
            self.window = (self.window * 4).min(self.largest);
        } else if extents.len() as u64 > EXTENTS_PER_WINDOW / 4 {
            self.window = (self.window / 4).max(WINDOW_ALIGNMENT);
        }
        Ok(Some(extents))
    }
}
