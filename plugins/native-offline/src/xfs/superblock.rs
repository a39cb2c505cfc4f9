//! What an XFS says of itself as a whole.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result};

use crate::bytes::{be16, be32, be64, cannot, crc32c_without, damaged, known_only, read};

/// Kinds in entries, sparse inodes, a metadata UUID, wide times, wide counts, exchanged ranges, parent pointers.
const INCOMPAT: u64 = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80;
/// Free inodes, reverse map, shared extents, counts of inode blocks.
const RO_COMPAT: u64 = 0xf;
/// A metadata UUID of its own.
const META_UUID: u32 = 0x4;
/// Names that differ in case are the same.
const ANY_CASE: u16 = 0x4000;

/// The geometry.
pub struct Superblock {
    /// Bytes of a block.
    pub block: u64,
    /// Bytes of a block of a folder.
    pub folder_block: u64,
    /// Bytes of an inode.
    pub inode: usize,
    /// The UUID in all blocks.
    pub uuid: [u8; 16],
    /// The top folder.
    pub root: u64,
    /// First block of the log, and how many.
    pub log: (u64, u64),
    blocks: u64,
    group_blocks: u64,
    groups: u64,
    group_log: u32,
    inodes_log: u32,
}

impl Superblock {
    /// Reads it, and refuses what is not known.
    pub fn read(source: &Arc<dyn BlockSource>) -> Result<Self> {
        let first = read(source, 0, 512)?;
        let sector = usize::from(be16(&first, 102));
        if !first.starts_with(b"XFSB") || !(512..=32768).contains(&sector) || !sector.is_power_of_two() {
            return Err(damaged("its superblock is damaged"));
        }
        let version = be16(&first, 100);
        if version & 0xf != 5 {
            return Err(cannot(format!("it is of version {}, which has no checksums", version & 0xf)));
        }
        let raw = read(source, 0, sector)?;
        if crc32c_without(&raw, 224).to_le_bytes() != raw[224..228] {
            return Err(damaged("the checksum of its superblock is wrong"));
        }
        known_only("its incompatible features", be32(&raw, 216).into(), INCOMPAT)?;
        known_only("its features for writing", be32(&raw, 212).into(), RO_COMPAT)?;
        known_only("the features of its log", be32(&raw, 220).into(), 0)?;
        if version & ANY_CASE != 0 {
            return Err(cannot("it is case-insensitive"));
        }
        if be32(&raw, 216) & 1 == 0 {
            return Err(cannot("its folders have no file types (ftype=0)"));
        }
        if raw[126] != 0 {
            return Err(damaged("its mkfs did not finish"));
        }
        if be64(&raw, 16) != 0 {
            return Err(cannot("it has a part for real time"));
        }
        if be64(&raw, 48) == 0 {
            return Err(cannot("its log is on another device"));
        }
        let uuid = if be32(&raw, 216) & META_UUID != 0 { &raw[248..264] } else { &raw[32..48] };
        let found = Self {
            block: u64::from(be32(&raw, 4)),
            folder_block: u64::from(be32(&raw, 4)).checked_shl(raw[192].into()).unwrap_or(0),
            inode: usize::from(be16(&raw, 104)),
            uuid: uuid.try_into().unwrap_or_default(),
            root: be64(&raw, 56),
            log: (be64(&raw, 48), be32(&raw, 96).into()),
            blocks: be64(&raw, 8),
            group_blocks: be32(&raw, 84).into(),
            groups: be32(&raw, 88).into(),
            group_log: raw[124].into(),
            inodes_log: raw[123].into(),
        };
        let is_power = |value: u64, log: u8| value == 1u64.checked_shl(log.into()).unwrap_or(0);
        let is_sane = (1024..=65536).contains(&found.block)
            && is_power(found.block, raw[120])
            && (512..=2048).contains(&found.inode)
            && is_power(found.inode as u64, raw[122])
            && u32::from(raw[120]).checked_sub(raw[122].into()) == Some(found.inodes_log)
            && (found.block..=65536).contains(&found.folder_block)
            && found.group_log < 32
            && found.group_blocks > 0
            && found.group_blocks <= 1 << found.group_log
            && found.groups > 0
            && found.groups.checked_mul(found.group_blocks).is_some_and(|all| all >= found.blocks)
            && found.blocks.checked_mul(found.block).is_some_and(|end| end <= source.size());
        if is_sane { Ok(found) } else { Err(damaged("its geometry makes no sense, or its device is cut off")) }
    }

    /// Where blocks are on the device, in bytes.
    pub fn place(&self, block: u64, count: u64) -> Result<u64> {
        let (group, within) = (block >> self.group_log, block & ((1 << self.group_log) - 1));
        let first = group * self.group_blocks + within;
        let fits = within.checked_add(count).is_some_and(|end| end <= self.group_blocks)
            && group < self.groups
            && first + count <= self.blocks;
        if fits { Ok(first * self.block) } else { Err(damaged(format!("block {block} lies outside"))) }
    }

    /// Where an inode is on the device, in bytes.
    pub fn inode_place(&self, number: u64) -> Result<u64> {
        let within = number & ((1 << self.inodes_log) - 1);
        Ok(self.place(number >> self.inodes_log, 1)? + within * self.inode as u64)
    }
}
