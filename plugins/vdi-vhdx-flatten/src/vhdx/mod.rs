//! VHDX: two headers, two region tables, metadata, and the table of blocks, each checked. Specification: [MS-VHDX] 7.0; section numbers in the
//! rooms below are its own.

mod checksum;
mod metadata;
mod regions;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use crate::blocks::{Blocks, NOWHERE, bad};

/// Bits of an entry of the table that hold its state; the place is in the bits from 20 on, in MiB (2.5.1).
const STATE: u64 = 7;
const PLACE: u64 = !0xf_ffff;
/// States of a block (2.5.1.1). Undefined, zero and unmapped blocks read as zeros.
const NOT_PRESENT: u64 = 0;
const UNMAPPED: u64 = 3;
const FULLY_PRESENT: u64 = 6;

/// Reads and checks everything but the data.
pub fn read(file: &dyn BlockSource) -> Result<Blocks> {
    let regions = regions::read(file)?;
    let metadata = metadata::read(file, regions.metadata)?;
    let count = Blocks::count(metadata.capacity, metadata.block)?;
    // Behind each chunk of blocks is an entry for the bitmap of their sectors, which only chains use (2.5).
    let ratio = (1 << 23) * metadata.sector / metadata.block;
    let entries = count + (count - 1) / ratio;
    if entries * 8 > regions.table.length {
        return Err(bad(format!(
            "its table has {} bytes, and its {count} blocks need {}",
            regions.table.length,
            entries * 8
        )));
    }
    let mut bytes = vec![0; (entries * 8) as usize];
    read_exact_at(file, regions.table.offset, &mut bytes)?;
    let mut places = Vec::with_capacity(count as usize);
    for number in 0..count {
        let at = (number + number / ratio) as usize * 8;
        let entry = bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        places.push(match entry & STATE {
            NOT_PRESENT..=UNMAPPED => NOWHERE,
            FULLY_PRESENT => entry & PLACE,
            state => {
                return Err(bad(format!(
                    "its block {number} is in state {state}, which an image without a parent does not have"
                )));
            }
        });
    }
    Blocks::new("vhdx", metadata.capacity, metadata.block, places, file.size(), regions.parts)
}

/// Reads `length` bytes at `offset`, which must lie inside of the file.
fn part(file: &dyn BlockSource, what: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
    if offset.checked_add(length).is_none_or(|end| end > file.size()) {
        return Err(bad(format!(
            "its {what}, {length} bytes at offset {offset}, lies outside of the file of {} bytes; the file is cut off or damaged",
            file.size()
        )));
    }
    let mut bytes = vec![0; length as usize];
    read_exact_at(file, offset, &mut bytes)?;
    Ok(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// An image of a kind that is not read.
fn refused(what: &str, hint: &str) -> PluginError {
    PluginError::unusable(what).hint(hint)
}
