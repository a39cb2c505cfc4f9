//! Whether there is something left to do in the log of an XFS: whether its last record is that of an unmount.
//!
//! The log is a ring of sectors, each of which begins with the number of its round. Where the number falls, the newest record ends.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::superblock::Superblock;
use crate::bytes::{be32, cannot, damaged, read};

const SECTOR: u64 = 512;
const MAGIC: u32 = 0xfeed_babe;
/// Sectors before and behind the newest record that are looked at: as many as can be on their way to the disk at once, with the largest
/// buffers of a log with the usual ones.
const NEAR: u64 = 4096;
/// Bytes of a record for which one sector of header is enough.
const PER_HEADER: u32 = 32768;
/// An operation that ends the use of the filesystem.
const UNMOUNT: u8 = 0x20;

/// Refuses a log in which changes are left that are not in their places yet.
pub fn check(source: &Arc<dyn BlockSource>, superblock: &Superblock) -> Result<()> {
    let (first, count) = superblock.log;
    let (begin, sectors) = (superblock.place(first, count)?, count * superblock.block / SECTOR);
    if sectors < 512 {
        return Err(damaged("its log is too small"));
    }
    let log = Log { source, begin, sectors };
    let newest = log.round(0)?;
    // Rounds fall once: what has the newest number is in front.
    let (mut low, mut high) = (0, sectors);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if log.round(middle)? == newest { low = middle } else { high = middle }
    }
    let head = high;
    let before = log.rounds(head.saturating_sub(NEAR), head)?;
    let behind = log.rounds(head, (head + NEAR).min(sectors))?;
    let last = newest.wrapping_sub(1);
    if newest == 0 || before.iter().any(|round| *round != newest) || behind.iter().any(|round| *round != last) {
        return Err(dirty());
    }
    log.ends_with_unmount(head)
}

struct Log<'a> {
    source: &'a Arc<dyn BlockSource>,
    begin: u64,
    sectors: u64,
}

impl Log<'_> {
    fn read(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        read(self.source, self.begin + from * SECTOR, usize::try_from((to - from) * SECTOR).unwrap_or(0))
    }

    fn round(&self, sector: u64) -> Result<u32> {
        Ok(round(&self.read(sector, sector + 1)?))
    }

    fn rounds(&self, from: u64, to: u64) -> Result<Vec<u32>> {
        Ok(self.read(from, to)?.chunks_exact(512).map(round).collect())
    }

    /// The record that ends at a sector is an unmount, and nothing else.
    fn ends_with_unmount(&self, head: u64) -> Result<()> {
        let from = head.saturating_sub(NEAR / 4);
        let near = self.read(from, head)?;
        let sectors: Vec<&[u8]> = near.chunks_exact(512).collect();
        let begins = sectors.iter().rposition(|sector| be32(sector, 0) == MAGIC).ok_or_else(dirty)?;
        let header = sectors[begins];
        let headers = if be32(header, 8) & 2 != 0 { be32(header, 320).div_ceil(PER_HEADER).max(1) } else { 1 };
        let body = begins + headers as usize;
        let ends = body + be32(header, 12).div_ceil(512) as usize;
        let operation = sectors.get(body).ok_or_else(dirty)?;
        // Transaction, length, client, flags.
        let is_unmount = ends == sectors.len() && be32(header, 40) == 1 && operation[9] & UNMOUNT != 0;
        if is_unmount && self.sectors >= head { Ok(()) } else { Err(dirty()) }
    }
}

/// A sector with a record's header has its magic first.
fn round(sector: &[u8]) -> u32 {
    if be32(sector, 0) == MAGIC { be32(sector, 4) } else { be32(sector, 0) }
}

fn dirty() -> PluginError {
    cannot("its log holds changes that have to be replayed, as after a power cut")
}
