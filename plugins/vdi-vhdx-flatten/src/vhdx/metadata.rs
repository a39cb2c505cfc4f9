//! The metadata (2.6): sizes of the disk, of its blocks and sectors, and whether it hangs on a parent.

use vmdk2kvm_plugin_api::{BlockSource, Result};

use super::regions::Region;
use super::{part, refused, u32_at, u64_at};
use crate::blocks::bad;

/// Bytes of the table of items.
const TABLE: u64 = 64 << 10;
/// The most items (2.6.1.1).
const MAX_ITEMS: u16 = 2047;
/// CAA16737-FA36-4D43-B3B6-33F0AA44E76B, as it is stored: block size and flags.
const PARAMETERS: [u8; 16] =
    [0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b];
/// 2FA54224-CD1B-4876-B211-5DBED83BF4B8: capacity.
const CAPACITY: [u8; 16] =
    [0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8];
/// 8141BF1D-A96F-4709-BA47-F233A8FAAB5F: logical sector.
const SECTOR: [u8; 16] =
    [0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f];
/// The sizes of a block, in bytes (2.6.2.1).
const BLOCKS: std::ops::RangeInclusive<u32> = 1 << 20..=256 << 20;
/// The largest disk, in bytes (2.6.2.2): 64 TiB.
const MAX_CAPACITY: u64 = 64 << 40;

/// What the metadata says.
pub struct Metadata {
    /// Capacity in bytes.
    pub capacity: u64,
    /// Bytes of a block.
    pub block: u64,
    /// Bytes of a logical sector.
    pub sector: u64,
}

/// Reads the metadata.
pub fn read(file: &dyn BlockSource, region: Region) -> Result<Metadata> {
    let table = part(file, "metadata", region.offset, TABLE.min(region.length))?;
    let count = u16::from_le_bytes([*table.get(10).unwrap_or(&0), *table.get(11).unwrap_or(&0)]);
    if !table.starts_with(b"metadata") || count > MAX_ITEMS {
        return Err(bad("its metadata is damaged".to_owned()));
    }
    let item = |wanted: [u8; 16], what: &str, length: u64| {
        let items = table.get(32..).unwrap_or_default().chunks_exact(32).take(usize::from(count));
        let found = items.into_iter().find(|item| item.first_chunk() == Some(&wanted));
        let found = found.ok_or_else(|| bad(format!("its metadata has no {what}")))?;
        let at = u64::from(u32_at(found, 16));
        // Behind the table, inside of the region (2.6.1.2).
        if at < TABLE || at + length > region.length {
            let (offset, region) = (region.offset, region.length);
            return Err(bad(format!(
                "its {what}, at {at} in the metadata of {region} bytes at offset {offset}, lies in its table or outside of it"
            )));
        }
        part(file, what, region.offset + at, length)
    };
    let parameters = item(PARAMETERS, "block size", 8)?;
    let (block, flags) = (u32_at(&parameters, 0), u32_at(&parameters, 4));
    let capacity = u64_at(&item(CAPACITY, "capacity", 8)?, 0);
    let sector = u32_at(&item(SECTOR, "sector size", 4)?, 0);
    if flags & 2 != 0 {
        return Err(refused(
            "it hangs on a parent, and chains of VHDX images are not read",
            "merge its checkpoints first: Merge-VHD, or 'qemu-img convert' where that reads the chain",
        ));
    }
    if !block.is_power_of_two() || !BLOCKS.contains(&block) {
        return Err(bad(format!(
            "its blocks of {block} bytes are none that are read (powers of two from {} to {})",
            BLOCKS.start(),
            BLOCKS.end()
        )));
    }
    if !matches!(sector, 512 | 4096) {
        return Err(bad(format!("its sectors of {sector} bytes are none that are read (512 and 4096)")));
    }
    if capacity == 0 || capacity > MAX_CAPACITY || capacity % u64::from(sector) != 0 {
        return Err(bad(format!(
            "its capacity of {capacity} bytes is no number of sectors up to {MAX_CAPACITY} bytes"
        )));
    }
    Ok(Metadata { capacity, block: u64::from(block), sector: u64::from(sector) })
}
