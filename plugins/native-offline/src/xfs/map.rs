//! Where the content of an inode of XFS is.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result};

use super::inode::{EXTENTS_BTREE, EXTENTS_LIST, Inode};
use super::superblock::Superblock;
use crate::bytes::{be16, be32, be64, crc32c_without, damaged, read};

/// Most extents of one inode.
const MAX_EXTENTS: usize = 1 << 20;
/// Deepest tree.
const MAX_LEVEL: u16 = 8;
/// Bytes of the header of a block of the tree.
const HEADER: usize = 72;

/// Blocks in a row. All in bytes.
pub struct Extent {
    /// Where in the content.
    pub file: u64,
    /// Where on the device.
    pub device: u64,
    /// How many.
    pub length: u64,
    /// Nothing was written there: zeros.
    pub unwritten: bool,
}

/// Where a byte of the content is on the device.
pub fn place(extents: &[Extent], at: u64) -> Option<u64> {
    let extent = extents.iter().find(|one| one.file <= at && at < one.file + one.length)?;
    (!extent.unwritten).then(|| extent.device + (at - extent.file))
}

/// All extents of an inode, in the order of its content.
pub fn extents(source: &Arc<dyn BlockSource>, superblock: &Superblock, inode: &Inode) -> Result<Vec<Extent>> {
    let mut found = Found { source, superblock, inode, extents: Vec::new() };
    let fork = inode.data();
    match inode.format {
        EXTENTS_LIST => {
            let count = usize::try_from(inode.extents).unwrap_or(usize::MAX);
            let raw = count.checked_mul(16).and_then(|length| fork.get(..length)).ok_or_else(|| found.bad())?;
            found.add(raw)?;
        }
        EXTENTS_BTREE => {
            let (level, count) = (be16(fork, 0), usize::from(be16(fork, 2)));
            let room = fork.len().saturating_sub(4) / 16;
            if level == 0 || level > MAX_LEVEL || count > room {
                return Err(found.bad());
            }
            for index in 0..count {
                found.tree(be64(fork, 4 + room * 8 + index * 8), level - 1)?;
            }
            if found.extents.len() as u64 != inode.extents {
                return Err(found.bad());
            }
        }
        _ => return Err(found.bad()),
    }
    Ok(found.extents)
}

struct Found<'a> {
    source: &'a Arc<dyn BlockSource>,
    superblock: &'a Superblock,
    inode: &'a Inode,
    extents: Vec<Extent>,
}

impl Found<'_> {
    fn tree(&mut self, block: u64, level: u16) -> Result<()> {
        let at = self.superblock.place(block, 1)?;
        let raw = read(self.source, at, usize::try_from(self.superblock.block).unwrap_or(0))?;
        let is_right = be32(&raw, 0) == 0x424d_4133
            && be16(&raw, 4) == level
            && be64(&raw, 24) == at / 512
            && raw[40..56] == self.superblock.uuid
            && be64(&raw, 56) == self.inode.number
            && crc32c_without(&raw, 64).to_le_bytes() == raw[64..68];
        let (count, room) = (usize::from(be16(&raw, 6)), (raw.len() - HEADER) / 16);
        if !is_right || count > room || self.extents.len() > MAX_EXTENTS {
            return Err(self.bad());
        }
        if level == 0 {
            return self.add(&raw[HEADER..HEADER + count * 16]);
        }
        (0..count).try_for_each(|index| self.tree(be64(&raw, HEADER + room * 8 + index * 8), level - 1))
    }

    /// Adds records: a bit, 54 bits of place in the content, 52 of place on the device, 21 of length.
    fn add(&mut self, records: &[u8]) -> Result<()> {
        for record in records.chunks_exact(16) {
            let (high, low) = (be64(record, 0), be64(record, 8));
            let (file, count) = ((high >> 9) & ((1 << 54) - 1), low & ((1 << 21) - 1));
            let device = self.superblock.place((high & 0x1ff) << 43 | low >> 21, count)?;
            let block = self.superblock.block;
            let file = file.checked_mul(block).filter(|file| *file < 1 << 62).ok_or_else(|| self.bad())?;
            let end = self.extents.last().map_or(0, |last| last.file + last.length);
            if count == 0 || file < end || self.extents.len() >= MAX_EXTENTS {
                return Err(self.bad());
            }
            self.extents.push(Extent { file, device, length: count * block, unwritten: high >> 63 != 0 });
        }
        Ok(())
    }

    fn bad(&self) -> vmdk2kvm_plugin_api::PluginError {
        damaged(format!("the map of inode {} is damaged", self.inode.number))
    }
}
