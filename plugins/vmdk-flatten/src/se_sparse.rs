//! The headers of a `seSparse` extent: the data of a snapshot on newer ESX datastores.
//!
//! VMware does not publish the format. The facts are those that independent readers agree on: little-endian numbers of 64 bits,
//! lengths and offsets in sectors; a constant header, and a volatile one that says whether the journal must be replayed first.

use std::sync::Arc;

use vmdk2kvm_plugin_api::Result;

use crate::descriptor::LARGEST_DISK;
use crate::dialect::Dialect;
use crate::entries::Layout;
use crate::fault::{damaged, unusable};
use crate::files::File;
use crate::storage::SECTOR;
use crate::tables::Shape;

/// `0xcafebabe`, little-endian, the first four bytes.
pub const MAGIC: [u8; 4] = 0xcafe_babe_u32.to_le_bytes();

/// First bytes of the volatile header: `0xcafecafe`.
const VOLATILE_MAGIC: u64 = 0xcafe_cafe;

/// The only version: 2.1.
const VERSION: u64 = 0x2_0000_0001;

/// Bytes of a grain, always.
pub const GRAIN: u64 = 4096;

/// Sectors of a grain table, always: 4,096 entries.
const TABLE_SECTORS: u64 = 64;

/// Reads the headers of `file`.
pub fn read(file: &Arc<File>) -> Result<Shape> {
    let object = file.object();
    let newer =
        |what: std::fmt::Arguments<'_>| unusable(object, what).hint("the file is damaged, or newer than this plugin");
    if !file.holds(0, SECTOR) {
        return Err(damaged(object, format_args!("it is too short for a seSparse header: {} bytes", file.size())));
    }
    let header = numbers(file, 0)?;
    let [magic, version, capacity, grain, table, flags, r1, r2, r3, r4, volatile, ..] = header;
    if magic != u64::from(u32::from_le_bytes(MAGIC)) {
        return Err(damaged(object, "it is not a seSparse extent: its first bytes are not 0xcafebabe"));
    }
    if version != VERSION {
        return Err(newer(format_args!("version {version:#x} of the seSparse format is not known ({VERSION:#x} is)")));
    }
    if (grain, table) != (GRAIN / SECTOR, TABLE_SECTORS) {
        return Err(newer(format_args!(
            "its grains of {grain} and tables of {table} sectors are not the 8 and {TABLE_SECTORS} that are known"
        )));
    }
    if flags != 0 || [r1, r2, r3, r4] != [0; 4] {
        return Err(newer(format_args!("its header has flags or fields that are not known")));
    }
    let bytes = |name: &str, sectors: u64| {
        sectors.checked_mul(SECTOR).ok_or_else(|| damaged(object, format_args!("its header has an absurd {name}")))
    };
    // At 0 is the header; and a place of 0 would mean that there is no table or grain.
    let place = |name: &str, sector: u64| bytes(name, sector.checked_sub(1).map_or(u64::MAX, |_| sector));
    let capacity = bytes("capacity", capacity)?;
    if capacity > LARGEST_DISK {
        return Err(damaged(
            object,
            format_args!("its header has a capacity of {capacity} bytes: more than {} TiB", LARGEST_DISK >> 40),
        ));
    }
    check_volatile(file, bytes("volatile header offset", volatile)?)?;
    let layout = Layout {
        capacity,
        grain: GRAIN,
        compressed: false,
        dialect: Dialect::SeSparse {
            tables: place("grain table offset", header[18])?,
            grains: place("grain offset", header[24])?,
        },
    };
    let (directory, listed) =
        (bytes("grain directory offset", header[16])?, bytes("grain directory size", header[17])?);
    if listed < layout.directory_bytes() {
        return Err(damaged(
            object,
            format_args!("its grain directory has {listed} bytes, and its capacity needs {}", layout.directory_bytes()),
        ));
    }
    Ok(Shape { layout, directory, redundant: None, header: SECTOR, unclean: false })
}

/// Changes that are in the journal only are lost to a reader that does not replay it.
fn check_volatile(file: &Arc<File>, at: u64) -> Result<()> {
    let object = file.object();
    if !file.holds(at, SECTOR) {
        return Err(damaged(
            object,
            format_args!("its volatile header at offset {at} lies outside of the file of {} bytes", file.size()),
        ));
    }
    let [magic, _, _, replay, ..] = numbers(file, at)?;
    if magic != VOLATILE_MAGIC {
        return Err(damaged(object, "its volatile header does not begin with 0xcafecafe"));
    }
    if replay != 0 {
        return Err(unusable(
            object,
            "its journal holds changes that were not applied: its last writer did not close it",
        )
        .hint("start and shut down the virtual machine on ESX, or consolidate its snapshots, and copy it again"));
    }
    Ok(())
}

/// A sector as numbers.
fn numbers(file: &Arc<File>, at: u64) -> Result<[u64; 64]> {
    let mut bytes = [0; SECTOR as usize];
    file.read(at, &mut bytes)?;
    let mut numbers = [0; 64];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    }
    Ok(numbers)
}
