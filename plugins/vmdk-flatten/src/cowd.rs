//! The header of a `vmfsSparse` extent: the data of a snapshot on an ESX datastore.
//!
//! Format: "Virtual Disk Format 5.0", section "ESX Server Sparse Extents", `COWDisk_Header`: 2,048 bytes, little-endian numbers of 32
//! bits, lengths and offsets in sectors. The parent that it names is that of ESX 2; the descriptor's counts.

use std::sync::Arc;

use vmdk2kvm_plugin_api::Result;

use crate::dialect::Dialect;
use crate::entries::Layout;
use crate::fault::{damaged, unusable};
use crate::files::File;
use crate::storage::SECTOR;
use crate::tables::Shape;

/// `COWD`, the first four bytes.
pub const MAGIC: [u8; 4] = *b"COWD";

/// Bytes of the header.
const LENGTH: u64 = 2048;

/// Grain sizes accepted, in sectors: ESX writes 1.
const GRAIN_SECTORS: std::ops::RangeInclusive<u64> = 1..=4096;

/// Reads the header of `file`.
pub fn read(file: &Arc<File>) -> Result<Shape> {
    let object = file.object();
    if !file.holds(0, LENGTH) {
        return Err(damaged(object, format_args!("it is too short for a COWD header: {} bytes", file.size())));
    }
    let mut bytes = [0; LENGTH as usize];
    file.read(0, &mut bytes)?;
    if bytes[..4] != MAGIC {
        return Err(damaged(object, "it is not a vmfsSparse extent: its first bytes are not COWD"));
    }
    let number = |at: usize| u64::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let version = number(4);
    if version != 1 {
        return Err(unusable(object, format_args!("version {version} of the COWD format is not known (1 is)"))
            .hint("the file is damaged, or newer than this plugin"));
    }
    let grain = number(16);
    if !GRAIN_SECTORS.contains(&grain) || !grain.is_power_of_two() {
        return Err(damaged(
            object,
            format_args!(
                "its grain size of {grain} sectors is not a power of two between {} and {}",
                GRAIN_SECTORS.start(),
                GRAIN_SECTORS.end()
            ),
        ));
    }
    let layout =
        Layout { capacity: number(12) * SECTOR, grain: grain * SECTOR, compressed: false, dialect: Dialect::Cowd };
    let listed = number(24);
    if listed < layout.tables() {
        return Err(damaged(
            object,
            format_args!("its grain directory has {listed} entries, and its capacity needs {}", layout.tables()),
        ));
    }
    Ok(Shape { layout, directory: number(20) * SECTOR, redundant: None, header: LENGTH, unclean: number(1648) != 0 })
}
