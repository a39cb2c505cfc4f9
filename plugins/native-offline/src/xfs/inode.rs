//! An inode of XFS.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result, Stat};

use super::stat;
use super::superblock::Superblock;
use crate::bytes::{be16, be32, be64, cannot, crc32c_without, damaged, read};

/// Formats: its content is in the inode; a list of extents is; the root of a tree of extents is.
pub const LOCAL: u8 = 1;
pub const EXTENTS_LIST: u8 = 2;
pub const EXTENTS_BTREE: u8 = 3;

/// Bytes before the content.
const CORE: usize = 176;

/// An inode.
pub struct Inode {
    /// Its number.
    pub number: u64,
    /// How its content is stored.
    pub format: u8,
    /// Bytes of its content.
    pub size: u64,
    /// Extents of its content.
    pub extents: u64,
    /// What the guest is told.
    pub stat: Stat,
    raw: Vec<u8>,
    end: usize,
}

impl Inode {
    /// Reads one that is in use.
    pub fn read(source: &Arc<dyn BlockSource>, superblock: &Superblock, number: u64) -> Result<Self> {
        let raw = read(source, superblock.inode_place(number)?, superblock.inode)?;
        let is_right = raw.starts_with(b"IN")
            && raw[4] == 3
            && crc32c_without(&raw, 100).to_le_bytes() == raw[100..104]
            && be64(&raw, 152) == number
            && raw[160..176] == superblock.uuid;
        if !is_right || be16(&raw, 2) == 0 {
            return Err(damaged(format!("inode {number} is damaged, or not in use")));
        }
        if be16(&raw, 90) & 1 != 0 {
            return Err(cannot("a file lies in the part for real time"));
        }
        // Wide counts have a place of their own.
        let extents = if be64(&raw, 120) & 0x10 != 0 { be64(&raw, 24) } else { be32(&raw, 76).into() };
        let end = match usize::from(raw[82]) * 8 {
            0 => raw.len(),
            fork => CORE + fork,
        };
        if end > raw.len() {
            return Err(damaged(format!("inode {number} has no space for its content")));
        }
        let size = be64(&raw, 56);
        let stat = stat(be16(&raw, 2), size, be32(&raw, 8), be32(&raw, 12));
        Ok(Self { number, format: raw[5], size, extents, stat, raw, end })
    }

    /// What the inode holds of its content, or of where that is.
    pub fn data(&self) -> &[u8] {
        &self.raw[CORE..self.end]
    }
}
