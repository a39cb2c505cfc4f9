//! btrfs on one device, without a log that has to be replayed (Linux, `include/uapi/linux/btrfs_tree.h`).
//!
//! Every node is held against its checksum, its place, its filesystem and the generation that its parent says; data against its own
//! checksums, but for files that were made without.

mod chunks;
mod data;
mod file;
mod superblock;
mod trees;

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, FileKind, Result, Stat};

use crate::bytes::{damaged, le16, le32, le64};
use crate::tree::{MAX_ENTRIES, MAX_TARGET, Named, Nodes, kind_of_mode};
use trees::{Key, Root, Trees};

/// Kinds of items.
const INODE: u8 = 1;
const DIR_ITEM: u8 = 84;
const DIR_INDEX: u8 = 96;
const ROOT: u8 = 132;
/// Objects in the tree of roots.
const FS_TREE: u64 = 5;
const DIR_OF_ROOTS: u64 = 6;
/// The top folder of each subvolume.
const TOP: u64 = 256;
/// Bytes before the name of an entry.
const ENTRY: usize = 30;
/// A subvolume that only shows what was.
const READ_ONLY: u64 = 1;

/// A filesystem, as one of its subvolumes shows it.
pub struct Btrfs {
    trees: Trees,
    shown: Node,
    is_read_only: bool,
}

/// An inode of a subvolume.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Number of the subvolume.
    subvolume: u64,
    root: Root,
    number: u64,
}

/// An inode.
struct Inode {
    size: u64,
    mode: u32,
    owner: (u32, u32),
    flags: u64,
}

impl Btrfs {
    /// Opens a filesystem that is known in all that it says of itself; the subvolume at a path, or the one that it shows by itself. `None`:
    /// there is no such subvolume.
    pub fn open(source: Arc<dyn BlockSource>, subvolume: Option<&str>) -> Result<Option<Self>> {
        let trees = Trees::open(source)?;
        let mut opened =
            Self { shown: Node { subvolume: FS_TREE, root: trees.roots(), number: TOP }, trees, is_read_only: false };
        let number = match subvolume {
            Some(_) => FS_TREE,
            None => opened.default_subvolume()?,
        };
        opened.show(number)?;
        for name in subvolume.unwrap_or_default().split('/').filter(|name| !name.is_empty()) {
            if opened.stat(opened.shown)?.kind != FileKind::Dir {
                return Ok(None);
            }
            let entry = opened.list(opened.shown)?.into_iter().find(|entry| entry.name == name.as_bytes());
            let Some(entry) = entry else { return Ok(None) };
            opened.shown = entry.id;
        }
        if opened.shown.number != TOP {
            return Ok(None);
        }
        opened.show(opened.shown.subvolume)?;
        Ok(Some(opened))
    }

    /// Shows a subvolume by its number.
    fn show(&mut self, number: u64) -> Result<()> {
        let (root, flags) = self.subvolume(number)?;
        self.shown = Node { subvolume: number, root, number: TOP };
        self.is_read_only = flags & READ_ONLY != 0;
        Ok(())
    }

    /// Where a subvolume's tree is, and its flags.
    fn subvolume(&self, number: u64) -> Result<(Root, u64)> {
        self.trees.subvolume(number)
    }

    /// The subvolume that an entry in the tree of roots names.
    fn default_subvolume(&self) -> Result<u64> {
        let entries = self.trees.items(self.trees.roots(), DIR_OF_ROOTS, DIR_ITEM, 16)?;
        let entry = entries.iter().find(|(_, item)| item.get(ENTRY..) == Some(b"default"));
        Ok(entry.map_or(FS_TREE, |(_, item)| le64(item, 0)))
    }

    fn inode(&self, node: Node) -> Result<Inode> {
        let key = Key { object: node.number, kind: INODE, offset: 0 };
        let item = self.trees.find(node.root, key)?.filter(|item| item.len() >= 160);
        let item = item.ok_or_else(|| damaged(format!("there is no inode {}", node.number)))?;
        Ok(Inode {
            size: le64(&item, 16),
            mode: le32(&item, 52),
            owner: (le32(&item, 44), le32(&item, 48)),
            flags: le64(&item, 64),
        })
    }

    fn entry(&self, folder: Node, item: &[u8]) -> Result<Named<Node>> {
        let bad = || damaged(format!("the folder of inode {} is damaged", folder.number));
        let (object, kind, length) = (le64(item, 0), item.get(8).copied(), usize::from(le16(item, 27)));
        let name = item.get(ENTRY..ENTRY + length).filter(|name| !name.is_empty()).ok_or_else(bad)?;
        let (id, kind) = match (kind, item.get(29)) {
            (Some(ROOT), Some(2)) => {
                let (root, _) = self.subvolume(object)?;
                (Node { subvolume: object, root, number: TOP }, FileKind::Dir)
            }
            (Some(INODE), Some(kind)) => {
                let kind = match kind {
                    1 => FileKind::File,
                    2 => FileKind::Dir,
                    7 => FileKind::Symlink,
                    3..=6 => FileKind::Other,
                    _ => return Err(bad()),
                };
                (Node { number: object, ..folder }, kind)
            }
            _ => return Err(bad()),
        };
        Ok(Named { name: name.to_vec(), id, kind })
    }
}

impl Nodes for Btrfs {
    type Id = Node;

    fn root(&self) -> Node {
        self.shown
    }

    fn stat(&self, id: Node) -> Result<Stat> {
        let inode = self.inode(id)?;
        let kind = kind_of_mode(inode.mode);
        let mut stat = Stat::new(kind, if kind == FileKind::File { inode.size } else { 0 }, inode.mode & 0o7777);
        (stat.uid, stat.gid) = inode.owner;
        Ok(stat)
    }

    fn list(&self, id: Node) -> Result<Vec<Named<Node>>> {
        let items = self.trees.items(id.root, id.number, DIR_INDEX, MAX_ENTRIES)?;
        items.iter().map(|(_, item)| self.entry(id, item)).collect()
    }

    fn read(&self, id: Node) -> Result<Vec<u8>> {
        let inode = self.inode(id)?;
        if kind_of_mode(inode.mode) != FileKind::File {
            return Err(damaged(format!("inode {} is no file", id.number)));
        }
        file::content(&self.trees, id, &inode)
    }

    fn read_link(&self, id: Node) -> Result<Vec<u8>> {
        let inode = self.inode(id)?;
        if kind_of_mode(inode.mode) != FileKind::Symlink || inode.size > MAX_TARGET {
            return Err(damaged(format!("the symlink of inode {} is damaged", id.number)));
        }
        file::content(&self.trees, id, &inode)
    }

    fn is_read_only(&self) -> bool {
        self.is_read_only
    }
}
