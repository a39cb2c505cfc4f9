//! VDI: header and table, checked. Numbers are little-endian; offsets of fields are those of `VDIHEADER1PLUS` in VirtualBox.

use vmdk2kvm_image_layout::{Part, refuse_overlaps};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use crate::blocks::{Blocks, NOWHERE, bad};

/// Length of what is read, in bytes.
const LENGTH: u64 = 512;
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x1_0001;
const SECTOR: u64 = 512;
/// The sizes of a block that are read, in bytes.
const SIZES: std::ops::RangeInclusive<u32> = 4096..=256 << 20;
/// Entries from here on have no block: discarded (the lower), or never written.
const NO_BLOCK: u32 = u32::MAX - 1;
const MERGE: &str = "merge its snapshots first: VBoxManage clonemedium DISK NEW.vdi";

/// Reads and checks header and table.
pub fn read(file: &dyn BlockSource) -> Result<Blocks> {
    let size = file.size();
    if size < LENGTH {
        return Err(bad(format!("it has {size} bytes, fewer than the header of a VDI")));
    }
    let mut header = [0; LENGTH as usize];
    read_exact_at(file, 0, &mut header)?;
    let number = |at: usize| header[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    if number(0x40) != SIGNATURE {
        return Err(bad("it has no header of a VDI".to_owned()));
    }
    if number(0x44) != VERSION {
        let version = number(0x44);
        return Err(bad(format!("it is of version {}.{}; version 1.1 is read", version >> 16, version & 0xffff)));
    }
    let format = match number(0x4c) {
        1 => "vdi/dynamic",
        2 => "vdi/fixed",
        other => {
            let what = format!("it is of type {other}; dynamic (1) and fixed (2) are read");
            return Err(PluginError::unusable(what).hint(MERGE));
        }
    };
    // Ids of the image that this one hangs on.
    if header[0x1a8..0x1c8].iter().any(|byte| *byte != 0) {
        let what = "it hangs on another image, and chains of VDI images are not read";
        return Err(PluginError::unusable(what).hint(MERGE));
    }
    let block = number(0x178);
    if !block.is_power_of_two() || !SIZES.contains(&block) || number(0x17c) != 0 {
        return Err(bad(format!(
            "its blocks of {block} bytes and {} more are none that are read (powers of two from {} to {}, and none more)",
            number(0x17c),
            SIZES.start(),
            SIZES.end()
        )));
    }
    let block = u64::from(block);
    let stated = header[0x170..0x178].try_into().map_or(0, u64::from_le_bytes);
    let capacity = stated
        .checked_next_multiple_of(SECTOR)
        .filter(|capacity| *capacity > 0 && capacity.div_ceil(block) <= u64::from(number(0x180)))
        .ok_or_else(|| bad(format!("its {} blocks of {block} bytes do not make its {stated} bytes", number(0x180))))?;
    let length = Blocks::count(capacity, block)? * 4;
    let (table, data) = (u64::from(number(0x154)), u64::from(number(0x158)));
    if table + length > size {
        return Err(bad(format!(
            "its table of {length} bytes at offset {table} lies outside of the file of {size} bytes"
        )));
    }
    let mut parts = vec![Part::new("header", 0, LENGTH), Part::new("table", table, length)];
    refuse_overlaps(&mut parts).map_err(bad)?;
    let mut bytes = vec![0; length as usize];
    read_exact_at(file, table, &mut bytes)?;
    let allocated = number(0x184);
    let place = |(number, entry): (usize, &[u8])| match entry.try_into().map_or(NO_BLOCK, u32::from_le_bytes) {
        entry if entry >= NO_BLOCK => Ok(NOWHERE),
        entry if entry >= allocated => Err(bad(format!(
            "its block {number} is stored as number {entry}, and it has only {allocated} stored blocks"
        ))),
        entry => Ok(data + u64::from(entry) * block),
    };
    let places = bytes.chunks_exact(4).enumerate().map(place).collect::<Result<_>>()?;
    Blocks::new(format, capacity, block, places, size, parts)
}
