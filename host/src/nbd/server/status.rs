//! Answers block status requests from a source's map.

use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, Result};

use crate::copy::map_walk::MapWalk;
use crate::nbd::wire::{STATE_HOLE, STATE_ZERO};

/// The most extents in an answer; the client asks again for the rest.
const MAX_EXTENTS: usize = 16 << 10;

/// The first look at the map: most clients want one extent, and the map grows by itself where there is little in it.
const FIRST_WINDOW: u64 = 16 << 20;

/// What `offset..offset + length` holds, as lengths and NBD states, at least one. With `one`, the first run alone.
pub(super) fn base_allocation(
    source: &dyn BlockSource,
    offset: u64,
    length: u32,
    one: bool,
) -> Result<Vec<(u32, u32)>> {
    let mut walk = MapWalk::starting_with(source, offset, offset + u64::from(length), FIRST_WINDOW);
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
    Ok(runs)
}

fn state(kind: ExtentKind) -> u32 {
    match kind {
        ExtentKind::Data => 0,
        ExtentKind::Zero => STATE_ZERO,
        ExtentKind::Hole => STATE_HOLE | STATE_ZERO,
    }
}
