//! The table of blocks, as both formats come down to it: for each block of the disk its place in the file, or none.

use vmdk2kvm_image_layout::{Part, refuse_blocks, refuse_overlaps};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The largest table, in bytes as it is kept in memory: 8 for each block.
const MAX_TABLE: u64 = 128 << 20;
/// In the table: the block is nowhere and reads as zeros.
pub const NOWHERE: u64 = u64::MAX;

/// A checked table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The word for reports, e.g. `vdi/dynamic`.
    pub format: &'static str,
    /// Capacity in bytes, whole sectors.
    pub capacity: u64,
    /// Bytes of a block.
    pub block: u64,
    places: Vec<u64>,
}

impl Blocks {
    /// How many blocks a disk has; refuses more than are kept in memory.
    pub fn count(capacity: u64, block: u64) -> Result<u64> {
        let count = capacity.div_ceil(block);
        if count > MAX_TABLE / 8 {
            return Err(bad(format!("it has {count} blocks; the limit is {}", MAX_TABLE / 8)));
        }
        Ok(count)
    }

    /// A table of the places in a file of `size` bytes that has these other parts. Each block must lie inside of the file, and nothing else at its place.
    pub fn new(
        format: &'static str,
        capacity: u64,
        block: u64,
        places: Vec<u64>,
        size: u64,
        mut parts: Vec<Part>,
    ) -> Result<Self> {
        for (number, start) in places.iter().enumerate().filter(|(_, place)| **place != NOWHERE) {
            // The last block may be cut off behind the end of the disk.
            let length = block.min(capacity - number as u64 * block);
            if start.checked_add(length).is_none_or(|end| end > size) {
                return Err(bad(format!(
                    "its block {number}, {length} bytes at offset {start}, lies outside of the file of {size} bytes; the file is cut off or damaged"
                )));
            }
        }
        if let Some((last, others)) = places.split_last() {
            if *last != NOWHERE {
                parts.push(Part::new("last block", *last, block.min(capacity - others.len() as u64 * block)));
            }
            refuse_overlaps(&mut parts).map_err(bad)?;
            let places = others.iter().copied().filter(|place| *place != NOWHERE).collect();
            refuse_blocks::<u64>(places, 1, block, &parts).map_err(bad)?;
        }
        Ok(Self { format, capacity, block, places })
    }

    /// Where a block is, in bytes; `None`: nowhere.
    pub fn place(&self, number: u64) -> Option<u64> {
        self.places.get(usize::try_from(number).ok()?).copied().filter(|place| *place != NOWHERE)
    }
}

/// An image that cannot be used.
pub fn bad(what: String) -> PluginError {
    PluginError::unusable(what).hint("copy the image again")
}
