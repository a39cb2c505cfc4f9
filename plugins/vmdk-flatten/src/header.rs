//! The header of a hosted sparse extent: 512 bytes, parsed and checked against sense before anything is looked up by it.
//!
//! Format: "Virtual Disk Format 5.0", section "Hosted Sparse Extents", `SparseExtentHeader`; numbers are little-endian, offsets
//! and lengths in sectors. The footer of a `streamOptimized` file is a second copy of the same structure.

use std::sync::Arc;

use vmdk2kvm_plugin_api::Result;

use crate::descriptor::LARGEST_DISK;
use crate::dialect::{Dialect, ENTRIES};
use crate::entries::Layout;
use crate::fault::{damaged, unusable};
use crate::files::File;
use crate::storage::SECTOR;
use crate::tables::Shape;

/// `KDMV`, the first four bytes.
pub const MAGIC: [u8; 4] = *b"KDMV";

/// `gdOffset` of a file whose directory is found by its footer.
pub const DIRECTORY_AT_END: u64 = u64::MAX;

/// Grain sizes accepted, in sectors: 8 is the specification's smallest, 128 the usual one.
const GRAIN_SECTORS: std::ops::RangeInclusive<u64> = 8..=4096;

const FLAG_NEWLINE_TEST: u32 = 1;
const FLAG_REDUNDANT: u32 = 1 << 1;
const FLAG_ZERO_GRAIN: u32 = 1 << 2;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;

/// What a header says, in bytes where it says sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Capacity of the extent in bytes. Zero when the file only carries a descriptor.
    pub capacity: u64,
    /// Bytes of a grain, a power of two.
    pub grain: u64,
    /// Where the embedded descriptor is, and how long: offset and length in bytes.
    pub descriptor: Option<(u64, u64)>,
    /// Where the grain directory is, in bytes; `None` when the footer says it.
    pub directory: Option<u64>,
    /// Where the redundant grain directory is, in bytes.
    pub redundant: Option<u64>,
    /// Whether a table entry of 1 means a grain of zeros.
    pub zero_grains: bool,
    /// Whether grains are zlib streams behind markers.
    pub compressed: bool,
    /// Whether the file was open when its last writer died.
    pub unclean: bool,
}

/// Reads the header of a sparse file; for a file whose directory is at its end, that of its footer.
pub fn read(file: &Arc<File>) -> Result<Header> {
    let mut bytes = [0u8; 512];
    if !file.holds(0, SECTOR) {
        return Err(damaged(file.object(), format_args!("it is too short for a sparse header: {} bytes", file.size())));
    }
    file.read(0, &mut bytes)?;
    let header = Header::parse(file.object(), &bytes)?;
    if header.directory.is_some() || header.capacity == 0 {
        return Ok(header);
    }
    let footer = read_footer(file)?;
    if (footer.capacity, footer.grain, footer.compressed) != (header.capacity, header.grain, header.compressed) {
        return Err(damaged(file.object(), "its footer and its header contradict each other"));
    }
    // The embedded descriptor is at the front, and only the header is sure to say where.
    Ok(Header { descriptor: header.descriptor, unclean: header.unclean || footer.unclean, ..footer })
}

/// What stands at the end of a stream, in bytes: three sectors.
const TAIL: usize = 3 * 512;
/// So much padding is looked through, in bytes.
const MOST_PADDING: u64 = 64 << 20;

/// The last three sectors of a streamed file, behind which there may be zeros: a marker of type 3 (footer), the footer, and a marker of type 0 (end of stream),
/// which is all zeros. "Virtual Disk Format 5.0", section "Stream-Optimized Compressed Sparse Extents".
fn read_footer(file: &Arc<File>) -> Result<Header> {
    let torn = |what: &str| {
        unusable(file.object(), format_args!("the stream-optimized file is torn: {what}"))
            .hint("its end is missing: the export or the copy was interrupted, repeat it")
    };
    let mut tail = [0u8; TAIL];
    if let Some(end) = before_padding(file)? {
        file.read(end - TAIL as u64, &mut tail)?;
    }
    if !has_footer(&tail) {
        if file.size() % SECTOR != 0 || !file.holds(SECTOR, TAIL as u64) {
            return Err(torn("it does not end at a sector's end with a footer"));
        }
        file.read(file.size() - TAIL as u64, &mut tail)?;
    }
    if !has_footer(&tail) {
        return Err(torn("it has no footer"));
    }
    let (footer, end) = tail[512..].split_at(512);
    if end.iter().any(|byte| *byte != 0) {
        return Err(torn("it has no end-of-stream marker"));
    }
    let mut bytes = [0u8; 512];
    bytes.copy_from_slice(footer);
    let footer = Header::parse(file.object(), &bytes)?;
    match footer.directory {
        Some(_) => Ok(footer),
        None => Err(torn("its footer does not say where the grain directory is")),
    }
}

/// Whether these last sectors of a stream have a footer behind its marker.
fn has_footer(tail: &[u8; TAIL]) -> bool {
    tail[12] == 3 && tail[13..16] == [0; 3] && tail[512..516] == MAGIC
}

/// The end of a stream behind which zeros were written until a larger unit was full: a sector behind the last byte that is none. `None`
/// where that is the file's end, or no such byte is near.
fn before_padding(file: &Arc<File>) -> Result<Option<u64>> {
    let mut piece = vec![0u8; 64 << 10];
    let mut end = file.size();
    let least = file.size().saturating_sub(MOST_PADDING);
    while end > least {
        let length = end.min(piece.len() as u64) as usize;
        let begin = end - length as u64;
        file.read(begin, &mut piece[..length])?;
        if let Some(last) = piece[..length].iter().rposition(|byte| *byte != 0) {
            let stream = (begin + last as u64 + 1).next_multiple_of(SECTOR) + SECTOR;
            return Ok(Some(stream).filter(|stream| *stream < file.size() && *stream >= TAIL as u64));
        }
        end = begin;
    }
    Ok(None)
}

impl Header {
    /// Parses the header of `object`.
    pub fn parse(object: &str, bytes: &[u8; 512]) -> Result<Self> {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if bytes[..4] != MAGIC {
            return Err(damaged(object, "it is not a sparse extent: its first bytes are not KDMV"));
        }
        let version = u32_at(4);
        if !(1..=3).contains(&version) {
            return Err(unusable(
                object,
                format_args!("version {version} of the sparse format is not known (1 to 3 are)"),
            )
            .hint("the file is damaged, or newer than this plugin"));
        }
        let flags = u32_at(8);
        if flags & FLAG_NEWLINE_TEST != 0 && bytes[73..77] != *b"\n \r\n" {
            return Err(unusable(
                object,
                "its line-end check bytes were changed: the file went through a text-mode transfer",
            )
            .hint("copy the file again in binary mode"));
        }
        let sectors = |name: &str, at: usize| {
            u64_at(at)
                .checked_mul(SECTOR)
                .ok_or_else(|| damaged(object, format_args!("its header has an absurd {name}")))
        };
        let capacity = sectors("capacity", 12)?;
        if capacity > LARGEST_DISK {
            return Err(damaged(
                object,
                format_args!("its header has a capacity of {capacity} bytes: more than {} TiB", LARGEST_DISK >> 40),
            ));
        }
        let grain = u64_at(20);
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
        let entries = u32_at(44);
        if entries as usize != ENTRIES {
            return Err(damaged(object, format_args!("its grain tables have {entries} entries instead of {ENTRIES}")));
        }
        let descriptor = match (sectors("descriptor offset", 28)?, sectors("descriptor size", 36)?) {
            (0, _) | (_, 0) => None,
            place => Some(place),
        };
        let directory = match u64_at(56) {
            DIRECTORY_AT_END => None,
            // An absurd one lies outside of every file; where there is a second directory, that one is used.
            offset => Some(offset.saturating_mul(SECTOR)),
        };
        // Without the flag the field means nothing; a bad offset costs only the redundancy.
        let redundant = match u64_at(48) {
            0 | DIRECTORY_AT_END => None,
            offset if flags & FLAG_REDUNDANT != 0 => offset.checked_mul(SECTOR),
            _ => None,
        };
        let algorithm = u16::from_le_bytes([bytes[77], bytes[78]]);
        let compressed = match (algorithm, flags & (FLAG_COMPRESSED | FLAG_MARKERS)) {
            (0, 0) => false,
            (1, both) if both == FLAG_COMPRESSED | FLAG_MARKERS => true,
            (0 | 1, _) => {
                return Err(damaged(
                    object,
                    format_args!("its compression algorithm {algorithm} contradicts its flags {flags:#x}"),
                ));
            }
            _ => {
                return Err(unusable(
                    object,
                    format_args!("its compression algorithm {algorithm} is not known (1 is: deflate)"),
                )
                .hint("the file is damaged, or newer than this plugin"));
            }
        };
        Ok(Self {
            capacity,
            grain: grain * SECTOR,
            descriptor,
            directory,
            redundant,
            zero_grains: flags & FLAG_ZERO_GRAIN != 0,
            compressed,
            unclean: bytes[72] != 0,
        })
    }

    /// What it says about the grains; `None` when the file has no directory.
    pub fn shape(&self) -> Option<Shape> {
        let layout = Layout {
            capacity: self.capacity,
            grain: self.grain,
            compressed: self.compressed,
            dialect: Dialect::Hosted { zero_grains: self.zero_grains },
        };
        let (redundant, unclean) = (self.redundant, self.unclean);
        self.directory.map(|directory| Shape { layout, directory, redundant, header: SECTOR, unclean })
    }
}
