//! Answers block status requests from a source's map.

use std::sync::{Mutex, MutexGuard, PoisonError};

use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, Result};

use crate::copy::map_walk::MapWalk;
use crate::nbd::wire::{STATE_HOLE, STATE_ZERO};

/// The most extents in an answer; the client asks again for the rest.
const MAX_EXTENTS: usize = 16 << 10;

/// The first look at the map: most clients want one extent, and the map grows by itself where there is little in it.
const FIRST_WINDOW: u64 = 16 << 20;

/// Where clients are in the map. A request has 32 bits for its length: a map that there is little in is asked for piece by piece, and each
/// piece goes on with the window that the one before had reached.
#[derive(Default)]
pub(super) struct Walked(Mutex<Option<(u64, u64)>>);

impl Walked {
    /// The first window at an offset.
    fn window(&self, offset: u64) -> u64 {
        match *self.lock() {
            Some((end, window)) if end == offset => window,
            _ => FIRST_WINDOW,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `offset..offset + length` holds, as lengths and NBD states, at least one. With `one`, the first run alone.
pub(super) fn base_allocation(
    source: &dyn BlockSource,
    walked: &Walked,
    offset: u64,
    length: u32,
    one: bool,
) -> Result<Vec<(u32, u32)>> {
    let end = offset + u64::from(length);
    let mut walk = MapWalk::starting_with(source, offset, end, walked.window(offset));
    let mut runs: Vec<(u32, u32)> = Vec::new();
    while let Some(extents) = walk.next()? {
        for extent in extents {
            // Within `length`, which has 32 bits.
            let (length, state) = (extent.length as u32, state(extent.kind));
            let full = if one { !runs.is_empty() } else { runs.len() == MAX_EXTENTS };
            match runs.last_mut() {
                Some(last) if last.1 == state => last.0 += length,
                _ if full => return Ok(runs),
                _ => runs.push((length, state)),
            }
        }
    }
    // All that was asked for was told: there is little in it.
    *walked.lock() = Some((end, walk.window()));
    Ok(runs)
}

fn state(kind: ExtentKind) -> u32 {
    match kind {
        ExtentKind::Data => 0,
        ExtentKind::Zero => STATE_ZERO,
        ExtentKind::Hole => STATE_HOLE | STATE_ZERO,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use vmdk2kvm_plugin_api::{Extent, PluginError};

    use super::*;

    /// A disk of one hole, which counts how often its map is asked for.
    struct Hole(AtomicUsize);

    impl BlockSource for Hole {
        fn size(&self) -> u64 {
            1 << 44
        }

        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize> {
            Err(PluginError::defect("only the map was asked for"))
        }

        fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(vec![Extent::new(offset, length, ExtentKind::Hole)])
        }
    }

    #[test]
    fn a_map_that_is_asked_for_piece_by_piece_goes_on() {
        let (hole, walked, piece) = (Hole(AtomicUsize::new(0)), Walked::default(), 2u32 << 30);
        for one in [false, true] {
            for number in 0..1000 {
                let runs = base_allocation(&hole, &walked, number * u64::from(piece), piece, one).unwrap();
                assert_eq!(runs, [(piece, STATE_HOLE | STATE_ZERO)]);
            }
        }
        // The first pieces of each round find out that there is little.
        assert!((2000..2030).contains(&hole.0.load(Ordering::Relaxed)), "{:?}", hole.0);
    }
}
