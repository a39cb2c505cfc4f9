//! An own look at the folders of an ext filesystem whose metadata has no checksums.
//!
//! The crate takes the length of an entry as it is: behind a damaged one it gives no further entry and no error. Its interface shows neither the
//! lengths nor the blocks of a folder, so that each folder on a path is read here, too, as strictly as the kernel checks it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use crate::bytes::{damaged, le16, le32, read};
use crate::tree::{MAX_ENTRIES, MAX_FOLDERS};

const ROOT: u32 = 2;
const WIDE: u32 = 0x80;
/// The map of an inode is a tree of extents, and not of pointers.
const BY_EXTENTS: u32 = 0x8_0000;
const EXTENT_MAGIC: u16 = 0xf30a;
/// Levels below the inode that a tree of extents has at most.
const MAX_DEPTH: u16 = 5;
/// The inode, the length and the length of the name are before an entry's name.
const ENTRY_HEAD: usize = 8;

/// The inodes by the names of a folder.
pub type Names = Arc<HashMap<Vec<u8>, u32>>;

/// The folders of a filesystem.
pub struct Folders {
    source: Arc<dyn BlockSource>,
    block: usize,
    blocks: u64,
    inodes: u32,
    inodes_in_group: u32,
    inode_size: u64,
    group_size: u64,
    known: Mutex<HashMap<String, Names>>,
}

impl Folders {
    /// Those of the filesystem with this superblock, whose blocks have this size and number.
    pub fn new(raw: &[u8], block: u64, blocks: u64, source: Arc<dyn BlockSource>) -> Result<Self> {
        let is_wide = le32(raw, 0x60) & WIDE != 0;
        // The first revision has no field for it.
        let inode_size = if le32(raw, 0x4c) == 0 { 128 } else { le16(raw, 0x58).into() };
        let inodes_in_group = le32(raw, 0x28);
        if inodes_in_group == 0 || inode_size < 128 || inode_size > block {
            return Err(damaged("its superblock gives no place of its inodes"));
        }
        let group_size = if is_wide { le16(raw, 0xfe).max(64).into() } else { 32 };
        let (inodes, known) = (le32(raw, 0), Mutex::default());
        // 64 KiB at most.
        let block = usize::try_from(block).unwrap_or(usize::MAX);
        Ok(Self { source, block, blocks, inodes, inodes_in_group, inode_size, group_size, known })
    }

    /// The inode of a path whose folders are sound.
    pub fn find(&self, path: &str) -> Result<Option<u32>> {
        if path == "/" {
            return Ok(Some(ROOT));
        }
        let (above, name) = path.rsplit_once('/').ok_or_else(|| PluginError::defect(format!("{path}: no path")))?;
        let names = self.names(if above.is_empty() { "/" } else { above })?;
        Ok(names.and_then(|names| names.get(name.as_bytes()).copied()))
    }

    /// What is in a folder; `None` where the path is no folder.
    pub fn names(&self, path: &str) -> Result<Option<Names>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = known().get(path) {
            return Ok(Some(names.clone()));
        }
        let Some(inode) = self.find(path)? else { return Ok(None) };
        let inode = self.inode(inode)?;
        if le16(&inode, 0) & 0xf000 != 0x4000 {
            return Ok(None);
        }
        let names = Arc::new(self.entries(&inode)?);
        let mut known = known();
        if known.len() >= MAX_FOLDERS {
            known.clear();
        }
        known.insert(path.to_owned(), names.clone());
        Ok(Some(names))
    }

    fn inode(&self, number: u32) -> Result<Vec<u8>> {
        let index = number.checked_sub(1).filter(|index| *index < self.inodes);
        let index = index.ok_or_else(|| damaged(format!("there is no inode {number}")))?;
        let (group, index) = (u64::from(index / self.inodes_in_group), u64::from(index % self.inodes_in_group));
        // The descriptors are behind the block of the superblock, which is the second one where blocks are as small as what is before it.
        let descriptors = if self.block == 1024 { 2048 } else { self.block as u64 };
        let descriptor = read(&self.source, descriptors + group * self.group_size, self.group_size as usize)?;
        let high = if self.group_size > 32 { le32(&descriptor, 0x28) } else { 0 };
        let table = self.inside(u64::from(high) << 32 | u64::from(le32(&descriptor, 0x8)))?;
        read(&self.source, table * self.block as u64 + index * self.inode_size, 128)
    }

    fn inside(&self, block: u64) -> Result<u64> {
        (block < self.blocks).then_some(block).ok_or_else(|| damaged(format!("block {block} is outside of it")))
    }

    fn read_block(&self, block: u64) -> Result<Vec<u8>> {
        read(&self.source, self.inside(block)? * self.block as u64, self.block)
    }

    /// The entries of a folder, which fill its blocks from end to end.
    fn entries(&self, inode: &[u8]) -> Result<HashMap<Vec<u8>, u32>> {
        let size = u64::from(le32(inode, 0x6c)) << 32 | u64::from(le32(inode, 0x4));
        let wanted = usize::try_from(size / self.block as u64).unwrap_or(usize::MAX);
        if size % self.block as u64 != 0 || wanted > MAX_ENTRIES {
            return Err(damaged(format!("a folder has {size} bytes")));
        }
        let mut names = HashMap::new();
        for block in self.map(inode, wanted)? {
            let block = self.read_block(block)?;
            let mut rest = block.as_slice();
            while !rest.is_empty() {
                let (length, name) = (usize::from(le16(rest, 4)), usize::from(*rest.get(6).unwrap_or(&0)));
                let (inode, least) = (le32(rest, 0), ENTRY_HEAD + name.max(1).next_multiple_of(4));
                if length % 4 != 0 || length < least || length > rest.len() || inode > self.inodes {
                    return Err(damaged("an entry of a folder does not fit its block"));
                }
                let is_double =
                    inode != 0 && names.insert(rest[ENTRY_HEAD..ENTRY_HEAD + name].to_vec(), inode).is_some();
                if is_double || names.len() > MAX_ENTRIES {
                    return Err(damaged("a folder has a name twice, or too many"));
                }
                rest = &rest[length..];
            }
        }
        names.retain(|name, _| name != b"." && name != b"..");
        Ok(names)
    }

    /// The blocks of a folder, which has no holes.
    fn map(&self, inode: &[u8], wanted: usize) -> Result<Vec<u64>> {
        let (map, mut blocks) = (&inode[0x28..0x64], Vec::new());
        if le32(inode, 0x20) & BY_EXTENTS != 0 {
            self.extents(map, None, wanted, &mut blocks)?;
        } else {
            for (depth, pointers) in [(0, &map[..48]), (1, &map[48..52]), (2, &map[52..56]), (3, &map[56..])] {
                self.pointers(pointers, depth, wanted, &mut blocks)?;
            }
        }
        let is_whole = blocks.len() >= wanted;
        blocks.truncate(wanted);
        is_whole.then_some(blocks).ok_or_else(|| damaged("a folder has more bytes than blocks"))
    }

    fn pointers(&self, pointers: &[u8], depth: u8, wanted: usize, blocks: &mut Vec<u64>) -> Result<()> {
        for pointer in pointers.chunks_exact(4) {
            if blocks.len() >= wanted {
                break;
            }
            match (le32(pointer, 0).into(), depth) {
                (0, _) => return Err(damaged("a folder has a hole")),
                (block, 0) => blocks.push(block),
                (block, depth) => self.pointers(&self.read_block(block)?, depth - 1, wanted, blocks)?,
            }
        }
        Ok(())
    }

    /// Walks a node of extents, whose depth is known but for that of the root.
    fn extents(&self, node: &[u8], depth: Option<u16>, wanted: usize, blocks: &mut Vec<u64>) -> Result<()> {
        let (entries, here) = (usize::from(le16(node, 2)), le16(node, 6));
        let is_sound = le16(node, 0) == EXTENT_MAGIC && here <= MAX_DEPTH && depth.is_none_or(|depth| depth == here);
        // Only the root may be empty, so that each node adds a block: no tree is walked for ever.
        let is_sound = is_sound && (entries > 0 || depth.is_none());
        let Some(entries) = node.get(12..12 + entries * 12).filter(|_| is_sound) else {
            return Err(damaged("the map of a folder is damaged"));
        };
        for entry in entries.chunks_exact(12) {
            if blocks.len() >= wanted {
                break;
            }
            if le32(entry, 0) as usize != blocks.len() {
                return Err(damaged("a folder has a hole"));
            }
            if here > 0 {
                let below = u64::from(le16(entry, 8)) << 32 | u64::from(le32(entry, 4));
                self.extents(&self.read_block(below)?, Some(here - 1), wanted, blocks)?;
                continue;
            }
            let first = u64::from(le16(entry, 6)) << 32 | u64::from(le32(entry, 8));
            let left = (wanted - blocks.len()) as u64;
            // More marks blocks that were never written, which a folder has not.
            let length = Some(u64::from(le16(entry, 4))).filter(|length| (1..=0x8000).contains(length));
            let length = length.ok_or_else(|| damaged("the map of a folder is damaged"))?.min(left);
            blocks.extend(first..first + length);
        }
        Ok(())
    }
}
