//! What a btrfs says of itself as a whole.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result};

use crate::bytes::{cannot, crc32c, damaged, known_only, le16, le32, le64, read};

/// Where it is, and how long.
const PLACE: u64 = 0x1_0000;
const LENGTH: usize = 0x1000;
/// Mixed references, a default subvolume, mixed groups, zstd, large nodes, extended references, small items, no holes, a UUID of its own
/// for metadata. Not LZO, RAID 5 and 6, zones, a later tree of extents.
const INCOMPAT: u64 = 0x1 | 0x2 | 0x4 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400;
/// A tree of free space and that it is right, verity, a tree of groups.
const RO_COMPAT: u64 = 0xf;
const LZO: u64 = 0x8;
const METADATA_UUID: u64 = 0x400;

/// Where the trees begin.
pub struct Superblock {
    /// The UUID in all nodes.
    pub uuid: [u8; 16],
    /// This device among those of the filesystem.
    pub device: u64,
    /// Bytes of a node.
    pub node: usize,
    /// Bytes with one checksum.
    pub sector: u64,
    /// The tree of roots: place, level, generation.
    pub root: (u64, u8, u64),
    /// The tree of chunks.
    pub chunk_root: (u64, u8, u64),
    /// Chunks with the tree of chunks.
    pub chunks: Vec<u8>,
}

impl Superblock {
    /// Reads it, and refuses what is not known.
    pub fn read(source: &Arc<dyn BlockSource>) -> Result<Self> {
        let raw = read(source, PLACE, LENGTH)?;
        if raw[0x40..0x48] != *b"_BHRfS_M" || le64(&raw, 0x30) != PLACE {
            return Err(damaged("its superblock is damaged"));
        }
        if le16(&raw, 0xc4) != 0 {
            return Err(cannot(format!("its checksums are of the kind {}", le16(&raw, 0xc4))));
        }
        if crc32c(&[&raw[0x20..]]) != le32(&raw, 0) {
            return Err(damaged("the checksum of its superblock is wrong"));
        }
        let incompat = le64(&raw, 0xbc);
        if incompat & LZO != 0 {
            return Err(cannot("files may be compressed with LZO"));
        }
        known_only("its incompatible features", incompat, INCOMPAT)?;
        known_only("its features for writing", le64(&raw, 0xb4), RO_COMPAT)?;
        known_only("the flags of its superblock", le64(&raw, 0x38), 1)?;
        if le64(&raw, 0x88) != 1 {
            return Err(cannot(format!("it uses {} devices", le64(&raw, 0x88))));
        }
        if le64(&raw, 0x60) != 0 {
            return Err(cannot("its log tree has to be replayed, as after a power cut"));
        }
        let sector = u64::from(le32(&raw, 0x90));
        let node = usize::try_from(le32(&raw, 0x94)).unwrap_or(0);
        let chunks = raw.get(0x32b..0x32b + (le32(&raw, 0xa0) as usize).min(2048)).unwrap_or_default().to_vec();
        let is_power = |value: u64, from: u64| value.is_power_of_two() && (from..=65536).contains(&value);
        if !is_power(sector, 4096) || !is_power(node as u64, 4096) || le64(&raw, 0x70) > source.size() {
            return Err(damaged("its geometry makes no sense, or its device is cut off"));
        }
        let uuid = if incompat & METADATA_UUID != 0 { &raw[0x23b..0x24b] } else { &raw[0x20..0x30] };
        Ok(Self {
            uuid: uuid.try_into().unwrap_or_default(),
            device: le64(&raw, 0xc9),
            node,
            sector,
            root: (le64(&raw, 0x50), raw[0xc6], le64(&raw, 0x48)),
            chunk_root: (le64(&raw, 0x58), raw[0xc7], le64(&raw, 0xa4)),
            chunks,
        })
    }
}
