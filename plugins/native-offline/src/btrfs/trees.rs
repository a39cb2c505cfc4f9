//! The trees of a btrfs: nodes that are right, items by their keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{BlockSource, Result};

use super::chunks::Chunks;
use super::superblock::Superblock;
use super::{FS_TREE, ROOT};
use crate::bytes::{crc32c, damaged, le32, le64, read};

/// Bytes of a node's header, of a pointer, of an item.
const HEADER: usize = 101;
const POINTER: usize = 33;
const ITEM: usize = 25;
/// Deepest tree.
const MAX_LEVEL: u8 = 7;
/// Most nodes that are kept, of at most 64 KiB each.
const KEPT: usize = 256;
/// Chunks in the tree of chunks.
const CHUNKS: u64 = 256;
const CHUNK: u8 = 228;

/// The key of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What it is about.
    pub object: u64,
    /// What it says.
    pub kind: u8,
    /// Which of them.
    pub offset: u64,
}

/// Where a tree begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    address: u64,
    level: u8,
    generation: u64,
}

/// An item.
pub type Item = (Key, Vec<u8>);

/// The trees of a filesystem.
pub struct Trees {
    pub(super) source: Arc<dyn BlockSource>,
    pub(super) superblock: Superblock,
    pub(super) chunks: Chunks,
    kept: Mutex<HashMap<u64, Arc<Vec<u8>>>>,
}

impl Trees {
    /// Opens a filesystem's trees, and knows all its chunks.
    pub fn open(source: Arc<dyn BlockSource>) -> Result<Self> {
        let superblock = Superblock::read(&source)?;
        let chunks = Chunks::of_superblock(&superblock.chunks, superblock.device)?;
        let mut trees = Self { source, superblock, chunks, kept: Mutex::default() };
        let (address, level, generation) = trees.superblock.chunk_root;
        let items = trees.items(Root { address, level, generation }, CHUNKS, CHUNK, usize::MAX)?;
        for (key, item) in items {
            trees.chunks.add(key.offset, &item, trees.superblock.device)?;
        }
        Ok(trees)
    }

    /// The tree of roots.
    pub fn roots(&self) -> Root {
        let (address, level, generation) = self.superblock.root;
        Root { address, level, generation }
    }

    /// Where the tree of a subvolume begins, and its flags.
    pub fn subvolume(&self, number: u64) -> Result<(Root, u64)> {
        if number != FS_TREE && number < 256 {
            return Err(damaged(format!("{number} is no subvolume")));
        }
        self.tree(number)
    }

    /// Where a tree begins.
    pub fn tree(&self, number: u64) -> Result<(Root, u64)> {
        let found = self.items(self.roots(), number, ROOT, 1 << 16)?;
        let (_, item) = found
            .last()
            .filter(|(_, item)| item.len() >= 239)
            .ok_or_else(|| damaged(format!("there is no tree {number}")))?;
        Ok((Root { address: le64(item, 176), level: item[238], generation: le64(item, 160) }, le64(item, 208)))
    }

    /// The item of a key.
    pub fn find(&self, root: Root, key: Key) -> Result<Option<Vec<u8>>> {
        let found = self.range(root, key, key, 1)?;
        Ok(found.into_iter().next().map(|(_, item)| item))
    }

    /// All items of a kind about an object, of which there are at most so many.
    pub fn items(&self, root: Root, object: u64, kind: u8, most: usize) -> Result<Vec<Item>> {
        self.range(root, Key { object, kind, offset: 0 }, Key { object, kind, offset: u64::MAX }, most)
    }

    /// All items from one key to another.
    pub fn range(&self, root: Root, from: Key, to: Key, most: usize) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        if root.level > MAX_LEVEL {
            return Err(damaged("a tree is too deep"));
        }
        self.collect(root, from, to, most, &mut found)?;
        Ok(found)
    }

    fn collect(&self, root: Root, from: Key, to: Key, most: usize, found: &mut Vec<Item>) -> Result<()> {
        let node = self.node(root)?;
        let bad = || damaged(format!("the node at {} is damaged", root.address));
        let count = le32(&node, 0x60) as usize;
        let width = if root.level == 0 { ITEM } else { POINTER };
        if count > (node.len() - HEADER) / width {
            return Err(bad());
        }
        let at = |index: usize| HEADER + index * width;
        if (1..count).any(|index| key(&node, at(index - 1)) >= key(&node, at(index))) {
            return Err(bad());
        }
        if root.level == 0 {
            for index in (0..count).filter(|index| (from..=to).contains(&key(&node, at(*index)))) {
                if found.len() >= most {
                    return Err(damaged(format!("more than {most} items of object {}", from.object)));
                }
                let (offset, length) = (le32(&node, at(index) + 17) as usize, le32(&node, at(index) + 21) as usize);
                let start = HEADER.saturating_add(offset);
                let item = node.get(start..start.saturating_add(length)).ok_or_else(bad)?;
                found.push((key(&node, at(index)), item.to_vec()));
            }
            return Ok(());
        }
        for index in 0..count {
            let is_behind = index + 1 < count && key(&node, at(index + 1)) <= from;
            if is_behind || key(&node, at(index)) > to {
                continue;
            }
            let (address, generation) = (le64(&node, at(index) + 17), le64(&node, at(index) + 25));
            self.collect(Root { address, level: root.level - 1, generation }, from, to, most, found)?;
        }
        Ok(())
    }

    /// A node that is the one meant: of two copies the first that is right.
    fn node(&self, root: Root) -> Result<Arc<Vec<u8>>> {
        let is_right = |node: &[u8]| {
            le64(node, 0x30) == root.address
                && le64(node, 0x50) == root.generation
                && node[0x64] == root.level
                && node[0x20..0x30] == self.superblock.uuid
        };
        let bad = || damaged(format!("the node at {} is damaged", root.address));
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&root.address).cloned();
        if let Some(node) = known {
            return if is_right(&node) { Ok(node) } else { Err(bad()) };
        }
        let length = self.superblock.node;
        for place in self.chunks.places(root.address, length as u64)? {
            let node = read(&self.source, place, length)?;
            if crc32c(&[&node[0x20..]]) == le32(&node, 0) && is_right(&node) {
                let node = Arc::new(node);
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() >= KEPT {
                    kept.clear();
                }
                kept.insert(root.address, node.clone());
                return Ok(node);
            }
        }
        Err(bad())
    }
}

fn key(node: &[u8], at: usize) -> Key {
    Key { object: le64(node, at), kind: node.get(at + 8).copied().unwrap_or(0), offset: le64(node, at + 9) }
}
