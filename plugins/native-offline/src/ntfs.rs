//! NTFS 3.0 and 3.1, unmounted cleanly (Microsoft's public descriptions of its structures, and the Linux kernel's `fs/ntfs3/ntfs.h`).
//!
//! The format has no checksums. What it says twice is held against each other: boot sectors, the first records and their copies, numbers at
//! the ends of sectors, names in folders and in files, lists of attributes and what they list, folders' blocks and the map of them.

mod boot;
mod file;
mod index;
mod lznt1;
mod name;
mod record;
mod reparse;
mod runs;
mod state;
mod stream;

use std::sync::Arc;

use vmdk2kvm_offline_guest::Free;
use vmdk2kvm_plugin_api::{BlockSource, FileKind, Result, Stat};

use crate::bytes::{cannot, damaged, read};
use crate::tree::{MAX_FILE, Named, Nodes};
use boot::Boot;
use file::{DATA, File, REPARSE, Table};
use name::{FOLDER, FileName, REPARSE_POINT, UpCase};
use stream::{Clusters, Stream};

/// Records of what NTFS keeps for itself.
const JOURNAL: u64 = 2;
const VOLUME: u64 = 3;
const TOP: u64 = 5;
const MAP: u64 = 6;
const UPPER_CASE: u64 = 10;
/// The first record of a file of somebody's.
const FIRST: u64 = 16;
/// Records that there is a copy of.
const COPIED: usize = 4;
/// Largest map of clusters that free room is counted by: that of 1 TiB in clusters of 4 KiB.
const MAX_MAP: u64 = 32 << 20;
/// A piece of the map.
const PIECE: u64 = 64 << 10;

/// A filesystem.
pub struct Ntfs {
    table: Table,
    upcase: UpCase,
    top: u64,
}

/// A file by a name that a folder has for it.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// The reference to its record.
    reference: u64,
    /// The sum of what its folder says of the name; `None`: the top.
    name: Option<u32>,
    is_folder: bool,
}

impl Ntfs {
    /// Opens a filesystem that was unmounted cleanly, and is known in all that it says of itself.
    pub fn open(source: Arc<dyn BlockSource>) -> Result<Self> {
        let boot = Boot::read(&source)?;
        let clusters = Clusters { source, size: boot.cluster };
        let table = Table::open(clusters, boot.clusters, boot.record, boot.table)?;
        check_copy(&table, boot.mirror)?;
        state::check_volume(&own(&table, VOLUME)?)?;
        state::check_journal(&table, &own(&table, JOURNAL)?)?;
        let upcase = own(&table, UPPER_CASE)?;
        let upcase = upcase.find(DATA, "")?.ok_or_else(|| damaged("its table of upper case is missing"))?;
        let upcase = UpCase::read(&upcase.all(&table.clusters, UpCase::BYTES)?)?;
        let top = own_reference(TOP);
        if table.by_reference(top)?.is_folder {
            Ok(Self { table, upcase, top })
        } else {
            Err(damaged("its top folder is none"))
        }
    }

    /// The file of a node, which has the name that its folder says.
    fn file(&self, id: Node) -> Result<File> {
        let file = self.table.by_reference(id.reference)?;
        let differs = || damaged(format!("record {} is not what its folder says", file::number(id.reference)));
        if file.is_folder != id.is_folder {
            return Err(differs());
        }
        if let Some(sum) = id.name {
            let mut names = file.names().collect::<Result<Vec<_>>>()?.into_iter();
            names.find(|name| name.sum == sum).ok_or_else(differs)?;
        }
        Ok(file)
    }

    fn entries(&self, id: Node) -> Result<Vec<(FileName, u64)>> {
        let file = self.file(id)?;
        if !id.is_folder {
            return Err(damaged("a folder is none"));
        }
        if file.flags()? & REPARSE_POINT != 0 {
            return Err(cannot("a folder's content is not given by NTFS"));
        }
        let entries = index::list(&file, &self.table.clusters, &self.upcase)?;
        if entries.iter().any(|(name, _)| name.parent != id.reference) {
            return Err(damaged("a folder has a name of another one"));
        }
        Ok(entries)
    }

    /// What a reparse point says; `None`: it is none.
    fn reparse(&self, file: &File) -> Result<Option<Vec<u8>>> {
        let said = file.flags()? & REPARSE_POINT != 0;
        match file.find(REPARSE, "")? {
            Some(found) if said => found.all(&self.table.clusters, reparse::MAX_BYTES).map(Some),
            None if !said => Ok(None),
            _ => Err(damaged("a reparse point is damaged")),
        }
    }

    /// The content of a file that NTFS itself gives.
    fn content<'a>(&self, file: &'a File) -> Result<&'a Stream> {
        if let Some(point) = self.reparse(file)? {
            let tag = reparse::tag(&point)?;
            return Err(cannot(format!("the content of a file is not given by NTFS (reparse point {tag:#x})")));
        }
        data(file)
    }

    /// Clusters that the map says are free, in bytes.
    fn count_free(&self) -> Result<Option<u64>> {
        let map = own(&self.table, MAP)?;
        let Some(Stream::Placed(map)) = map.find(DATA, "")? else {
            return Err(damaged("its map of clusters is missing"));
        };
        let needed = self.table.count.div_ceil(8);
        if needed > MAX_MAP {
            return Ok(None);
        }
        let (mut free, mut at) = (0, 0);
        while at < needed {
            let mut piece = vec![0; usize::try_from(PIECE.min(needed - at)).unwrap_or(0)];
            map.read(&self.table.clusters, at, &mut piece)?;
            free += piece.iter().map(|byte| u64::from(byte.count_zeros())).sum::<u64>();
            at += PIECE;
        }
        // What the last byte says of clusters behind the last one is no room.
        let mut last = [0];
        map.read(&self.table.clusters, needed - 1, &mut last)?;
        let over = (0..8).filter(|bit| (needed - 1) * 8 + bit >= self.table.count && last[0] >> bit & 1 == 0).count();
        Ok(Some((free - over as u64) * self.table.clusters.size))
    }
}

/// The reference to a record that NTFS keeps for itself: it was used as often as its number says.
fn own_reference(number: u64) -> u64 {
    number | number << 48
}

fn own(table: &Table, number: u64) -> Result<File> {
    table.by_reference(own_reference(number))
}

/// The first records are there twice.
fn check_copy(table: &Table, at: u64) -> Result<()> {
    let copy = read(&table.clusters.source, at, COPIED * table.record)?;
    for (number, copy) in (0u64..).zip(copy.chunks_exact(table.record)) {
        if table.raw(number)? != copy {
            return Err(cannot("its first records and the copy of them differ"));
        }
    }
    Ok(())
}

fn data(file: &File) -> Result<&Stream> {
    file.find(DATA, "")?.ok_or_else(|| damaged("a file has no content"))
}

impl Nodes for Ntfs {
    type Id = Node;

    fn root(&self) -> Node {
        Node { reference: self.top, name: None, is_folder: true }
    }

    fn stat(&self, id: Node) -> Result<Stat> {
        let file = self.file(id)?;
        if let Some(point) = self.reparse(&file)? {
            if reparse::is_link(reparse::tag(&point)?) {
                return Ok(Stat::new(FileKind::Symlink, 0, 0o777));
            }
        }
        Ok(if id.is_folder {
            Stat::new(FileKind::Dir, 0, 0o777)
        } else {
            Stat::new(FileKind::File, data(&file)?.size(), 0o777)
        })
    }

    fn list(&self, id: Node) -> Result<Vec<Named<Node>>> {
        let is_shown = |(name, reference): &(FileName, u64)| !name.is_dos && file::number(*reference) >= FIRST;
        let entries = self.entries(id)?.into_iter().filter(is_shown);
        Ok(entries
            .map(|(name, reference)| {
                let node = node(&name, reference);
                let kind = match node.is_folder {
                    _ if name.flags & REPARSE_POINT != 0 && reparse::is_link(name.tag) => FileKind::Symlink,
                    true => FileKind::Dir,
                    false => FileKind::File,
                };
                Named { name: String::from_utf16_lossy(&name.units).into_bytes(), id: node, kind }
            })
            .collect())
    }

    /// Names in any case, those for DOS, and those of the filesystem's own files, which no list shows.
    fn keys(&self, id: Node) -> Result<Vec<(Vec<u8>, Node)>> {
        let entries = self.entries(id)?;
        let keys = entries
            .iter()
            .map(|(name, reference)| (self.upcase.key(&String::from_utf16_lossy(&name.units)), node(name, *reference)));
        let keys: Vec<_> = keys.collect();
        // The order of a folder is that of its names as they are compared.
        if keys.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(cannot("a folder has names that differ in their case alone"));
        }
        Ok(keys)
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        self.upcase.key(&String::from_utf8_lossy(name))
    }

    fn read(&self, id: Node) -> Result<Vec<u8>> {
        let file = self.file(id)?;
        self.content(&file)?.all(&self.table.clusters, MAX_FILE)
    }

    fn head(&self, id: Node, bytes: u64) -> Result<Vec<u8>> {
        let file = self.file(id)?;
        self.content(&file)?.begin(&self.table.clusters, bytes.min(MAX_FILE))
    }

    fn read_link(&self, id: Node) -> Result<Vec<u8>> {
        let file = self.file(id)?;
        match self.reparse(&file)? {
            Some(point) if reparse::is_link(reparse::tag(&point)?) => Ok(reparse::target(&point)?.into_bytes()),
            _ => Err(damaged("a link is none")),
        }
    }

    fn free(&self) -> Free {
        Free { bytes: self.count_free().ok().flatten(), inodes: None }
    }
}

fn node(name: &FileName, reference: u64) -> Node {
    Node { reference, name: Some(name.sum), is_folder: name.flags & FOLDER != 0 }
}
