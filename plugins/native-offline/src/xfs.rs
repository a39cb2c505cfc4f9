//! XFS of version 5, with a log in which nothing is left to do (Linux, `fs/xfs/libxfs/xfs_format.h`, `xfs_log_format.h`).
//!
//! Every block of metadata is held against its checksum, its place, its owner and its filesystem. Data has no checksum there.

mod inode;
mod log;
mod map;
mod superblock;

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, FileKind, Result, Stat};

use crate::bytes::{be16, be32, be64, crc32c_without, damaged, read, read_into};
use crate::tree::{MAX_ENTRIES, MAX_FILE, MAX_TARGET, Named, Nodes, kind_of_mode};
use inode::{EXTENTS_BTREE, EXTENTS_LIST, Inode, LOCAL};
use map::Extent;
use superblock::Superblock;

/// Bytes of the header of a block of a folder's entries.
const FOLDER_HEADER: usize = 64;
/// Where the entries of a folder end and its index begins, in bytes of its own.
const INDEX: u64 = 1 << 35;
/// Bytes of the header of a symlink's block.
const LINK_HEADER: usize = 56;

/// A filesystem.
pub struct Xfs {
    source: Arc<dyn BlockSource>,
    superblock: Superblock,
}

impl Xfs {
    /// Opens a filesystem that is known in all that it says of itself.
    pub fn open(source: Arc<dyn BlockSource>) -> Result<Self> {
        let superblock = Superblock::read(&source)?;
        log::check(&source, &superblock)?;
        let opened = Self { source, superblock };
        let root = opened.inode(opened.superblock.root)?;
        if root.stat.kind == FileKind::Dir { Ok(opened) } else { Err(damaged("its top folder is none")) }
    }

    fn inode(&self, number: u64) -> Result<Inode> {
        Inode::read(&self.source, &self.superblock, number)
    }

    fn extents(&self, inode: &Inode) -> Result<Vec<Extent>> {
        map::extents(&self.source, &self.superblock, inode)
    }

    /// Holds a block of metadata against what it says of itself, from the place of its checksum on.
    fn verify(&self, block: &[u8], what: &str, inode: &Inode, at: u64, places: &Places) -> Result<()> {
        let is_right = be32(block, 0) == places.magic
            && crc32c_without(block, places.checksum).to_le_bytes() == block[places.checksum..places.checksum + 4]
            && be64(block, places.place) == at / 512
            && block[places.uuid..places.uuid + 16] == self.superblock.uuid
            && be64(block, places.owner) == inode.number;
        if is_right { Ok(()) } else { Err(damaged(format!("{what} of inode {} is damaged", inode.number))) }
    }

    /// The range of a file's own bytes, holes as zeros.
    fn fill(&self, extents: &[Extent], start: u64, bytes: &mut [u8]) -> Result<()> {
        let end = start + bytes.len() as u64;
        let first = extents.partition_point(|extent| extent.file + extent.length <= start);
        for extent in extents[first..].iter().take_while(|extent| extent.file < end).filter(|one| !one.unwritten) {
            let (from, to) = (extent.file.max(start), (extent.file + extent.length).min(end));
            let part = &mut bytes[size(from - start)..size(to - start)];
            read_into(&self.source, extent.device + (from - extent.file), part)?;
        }
        Ok(())
    }

    fn folder(&self, inode: &Inode) -> Result<Vec<Named<u64>>> {
        let mut entries = Vec::new();
        if inode.format == LOCAL {
            self.short_folder(inode, &mut entries)?;
            return Ok(entries);
        }
        let extents = self.extents(inode)?;
        let length = self.superblock.folder_block;
        let mut next = 0;
        for extent in extents.iter().take_while(|extent| extent.file < INDEX) {
            // A block of a folder may be of several blocks of the filesystem, and of several extents.
            let (mut at, end) = ((extent.file / length * length).max(next), extent.file + extent.length);
            while at < end.min(INDEX) {
                let mut block = vec![0; size(length)];
                self.fill(&extents, at, &mut block)?;
                let place = map::place(&extents, at).ok_or_else(|| damaged("a folder has a hole"))?;
                self.folder_block(inode, &block, place, &mut entries)?;
                at += length;
            }
            next = at;
        }
        Ok(entries)
    }

    fn folder_block(&self, inode: &Inode, block: &[u8], at: u64, entries: &mut Vec<Named<u64>>) -> Result<()> {
        // One block alone has its index behind its entries.
        let single = be32(block, 0) == 0x5844_4233;
        let magic = if single { 0x5844_4233 } else { 0x5844_4433 };
        let places = Places { magic, checksum: 4, place: 8, uuid: 24, owner: 40 };
        self.verify(block, "a block of the folder", inode, at, &places)?;
        let bad = || damaged(format!("the folder of inode {} has an entry that ends outside", inode.number));
        let index =
            if single { (be32(block, block.len() - 8) as usize).saturating_mul(8).saturating_add(8) } else { 0 };
        let end = block.len().checked_sub(index).filter(|end| *end >= FOLDER_HEADER).ok_or_else(bad)?;
        let mut at = FOLDER_HEADER;
        while at < end {
            if be16(block, at) == 0xffff {
                let free = usize::from(be16(block, at + 2));
                at = Some(at + free).filter(|next| free >= 8 && *next <= end).ok_or_else(bad)?;
                continue;
            }
            let length = usize::from(*block.get(at + 8).ok_or_else(bad)?);
            // Number, length, name, kind, and at the end its own place.
            let next = at + (12 + length).next_multiple_of(8);
            if length == 0 || next > end {
                return Err(bad());
            }
            let name = &block[at + 9..at + 9 + length];
            push(entries, name, be64(block, at), block[at + 9 + length])?;
            at = next;
        }
        Ok(())
    }

    /// Entries in the inode itself.
    fn short_folder(&self, inode: &Inode, entries: &mut Vec<Named<u64>>) -> Result<()> {
        let fork = inode.data();
        let bad = || damaged(format!("the folder of inode {} is damaged", inode.number));
        let wide = *fork.get(1).ok_or_else(bad)? > 0;
        let number = |at: usize| if wide { be64(fork, at) } else { u64::from(be32(fork, at)) };
        let width = if wide { 8 } else { 4 };
        let mut at = 2 + width;
        for _ in 0..fork[0] {
            let length = usize::from(*fork.get(at).ok_or_else(bad)?);
            let kind = at + 3 + length;
            if length == 0 || kind + 1 + width > fork.len() || (kind + 1 + width) as u64 > inode.size {
                return Err(bad());
            }
            push(entries, &fork[at + 3..kind], number(kind + 1), fork[kind])?;
            at = kind + 1 + width;
        }
        Ok(())
    }
}

/// Where a block of metadata says what it is.
struct Places {
    magic: u32,
    checksum: usize,
    place: usize,
    uuid: usize,
    owner: usize,
}

fn push(entries: &mut Vec<Named<u64>>, name: &[u8], id: u64, kind: u8) -> Result<()> {
    if entries.len() >= MAX_ENTRIES {
        return Err(damaged(format!("a folder has more than {MAX_ENTRIES} entries")));
    }
    let kind = match kind {
        1 => FileKind::File,
        2 => FileKind::Dir,
        7 => FileKind::Symlink,
        3..=6 => FileKind::Other,
        _ => return Err(damaged(format!("a folder has an entry of the unknown kind {kind}"))),
    };
    if name != b"." && name != b".." {
        entries.push(Named { name: name.to_vec(), id, kind });
    }
    Ok(())
}

/// A length that was checked to be small.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Nodes for Xfs {
    type Id = u64;

    fn root(&self) -> u64 {
        self.superblock.root
    }

    fn stat(&self, id: u64) -> Result<Stat> {
        Ok(self.inode(id)?.stat)
    }

    fn list(&self, id: u64) -> Result<Vec<Named<u64>>> {
        let inode = self.inode(id)?;
        if inode.stat.kind == FileKind::Dir { self.folder(&inode) } else { Err(damaged("a folder is none")) }
    }

    fn read(&self, id: u64) -> Result<Vec<u8>> {
        let inode = self.inode(id)?;
        if inode.stat.kind != FileKind::File || inode.size > MAX_FILE {
            return Err(damaged(format!("inode {id} is no file, or of more than {MAX_FILE} bytes")));
        }
        if !matches!(inode.format, EXTENTS_LIST | EXTENTS_BTREE) {
            return Err(damaged(format!("inode {id} is of the unknown format {}", inode.format)));
        }
        let mut bytes = vec![0; size(inode.size)];
        self.fill(&self.extents(&inode)?, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn read_link(&self, id: u64) -> Result<Vec<u8>> {
        let inode = self.inode(id)?;
        let bad = || damaged(format!("the symlink of inode {id} is damaged"));
        if inode.stat.kind != FileKind::Symlink || inode.size == 0 || inode.size > MAX_TARGET {
            return Err(bad());
        }
        let length = size(inode.size);
        if inode.format == LOCAL {
            return inode.data().get(..length).map(<[u8]>::to_vec).ok_or_else(bad);
        }
        let mut target = Vec::new();
        for extent in self.extents(&inode)? {
            if extent.length > 16 * MAX_TARGET || extent.unwritten {
                return Err(bad());
            }
            let block = read(&self.source, extent.device, size(extent.length))?;
            let places = Places { magic: 0x5853_4c4d, checksum: 12, place: 40, uuid: 16, owner: 32 };
            self.verify(&block, "the target", &inode, extent.device, &places)?;
            let (at, count) = (be32(&block, 4) as usize, be32(&block, 8) as usize);
            let part = block.get(LINK_HEADER..LINK_HEADER.saturating_add(count)).ok_or_else(bad)?;
            if at != target.len() || target.len() + count > length {
                return Err(bad());
            }
            target.extend_from_slice(part);
        }
        if target.len() == length { Ok(target) } else { Err(bad()) }
    }
}

/// A mode, an owner and a group as what the guest is told.
fn stat(mode: u16, size: u64, uid: u32, gid: u32) -> Stat {
    let kind = kind_of_mode(u32::from(mode));
    let mut stat = Stat::new(kind, if kind == FileKind::File { size } else { 0 }, u32::from(mode) & 0o7777);
    (stat.uid, stat.gid) = (uid, gid);
    stat
}
