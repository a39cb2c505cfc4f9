//! Headers and region tables (2.2): which is current, that nothing waits in the log, and where table and metadata are.

use vmdk2kvm_image_layout::{Part, refuse_overlaps};
use vmdk2kvm_plugin_api::{BlockSource, Result};

use super::checksum::sums_up;
use super::{part, refused, u32_at, u64_at};
use crate::blocks::bad;

const KIB: u64 = 1 << 10;
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const HEADER: u64 = 4 * KIB;
const TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const TABLE: u64 = 64 * KIB;
/// Identifier, headers and region tables have the first MiB for themselves (2.2).
const FRONT: u64 = 1024 * KIB;
/// The most regions of a table (2.2.3.1).
const MAX_REGIONS: u32 = 2047;
/// 2DC27766-F623-4200-9D64-115E9BFD4A08, as it is stored.
const BLOCKS: [u8; 16] =
    [0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08];
/// 8B7CA206-4790-4B9A-B8FE-575F050F886E.
const METADATA: [u8; 16] =
    [0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e];

/// A region of the file, inside of it.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// The regions that are read.
pub struct Regions {
    /// The table of blocks.
    pub table: Region,
    /// The metadata.
    pub metadata: Region,
    /// All regions, the log and the headers, as parts of the file; no two overlap.
    pub parts: Vec<Part>,
}

/// Reads headers and region tables.
pub fn read(file: &dyn BlockSource) -> Result<Regions> {
    if !part(file, "identifier", 0, 8)?.starts_with(b"vhdxfile") {
        return Err(bad("it has no identifier of a VHDX".to_owned()));
    }
    let mut current: Option<Vec<u8>> = None;
    for at in HEADERS {
        let header = part(file, "header", at, HEADER)?;
        let newer = current.as_ref().is_none_or(|other| u64_at(&header, 8) > u64_at(other, 8));
        if header.starts_with(b"head") && sums_up(&header) && newer {
            current = Some(header);
        }
    }
    let header = current.ok_or_else(|| bad("both of its headers are damaged".to_owned()))?;
    let version = u16::from_le_bytes([header[66], header[67]]);
    if version != 1 {
        return Err(bad(format!("it is of version {version}; version 1 is read")));
    }
    if header[48..64].iter().any(|byte| *byte != 0) {
        return Err(refused(
            "it was not closed, and changes wait in its log",
            "let Hyper-V or 'qemu-img check -r all' replay them on a copy, then run again",
        ));
    }
    let log = Part::new("log", u64_at(&header, 72), u64::from(u32_at(&header, 68)));
    let mut damaged = true;
    for at in TABLES {
        let table = part(file, "region table", at, TABLE)?;
        if table.starts_with(b"regi") && sums_up(&table) && u32_at(&table, 8) <= MAX_REGIONS {
            damaged = false;
            if let Some(regions) = regions(&table, log, file.size())? {
                return Ok(regions);
            }
        }
    }
    Err(bad(if damaged { "both of its region tables are damaged" } else { "it has no table of blocks or no metadata" }
        .to_owned()))
}

fn regions(table: &[u8], log: Part, size: u64) -> Result<Option<Regions>> {
    let (mut blocks, mut metadata) = (None, None);
    let mut parts = vec![Part::new("headers", 0, FRONT), log];
    for entry in table[16..].chunks_exact(32).take(u32_at(table, 8) as usize) {
        let region = Region { offset: u64_at(entry, 16), length: u64::from(u32_at(entry, 24)) };
        let (what, slot) = match entry.first_chunk() {
            Some(&BLOCKS) => ("table", &mut blocks),
            Some(&METADATA) => ("metadata", &mut metadata),
            _ if u32_at(entry, 28) & 1 == 0 => {
                parts.push(Part::new("region of another kind", region.offset, region.length));
                continue;
            }
            _ => return Err(bad("it needs a region that is not known".to_owned())),
        };
        if region.offset.checked_add(region.length).is_none_or(|end| end > size) {
            return Err(bad(format!(
                "a region of it, {} bytes at offset {}, lies outside of the file of {size} bytes; the file is cut off or damaged",
                region.length, region.offset
            )));
        }
        parts.push(Part::new(what, region.offset, region.length));
        *slot = Some(region);
    }
    refuse_overlaps(&mut parts).map_err(bad)?;
    Ok(blocks.zip(metadata).map(|(table, metadata)| Regions { table, metadata, parts }))
}
