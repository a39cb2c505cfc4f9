//! FAT12, FAT16 and FAT32 with long names, as Linux's vfat shows them (Microsoft's specification of FAT32, 1.03).
//!
//! Names that differ in case only are the same. Nothing of it has a checksum.

use std::sync::Arc;

use vmdk2kvm_offline_guest::Free;
use vmdk2kvm_plugin_api::{BlockSource, FileKind, PluginError, Result, Stat};

use crate::bytes::{cannot, damaged, le16, le32, read};
use crate::tree::{MAX_FILE, Named, Nodes};

/// Bytes of an entry.
const ENTRY: usize = 32;
/// Most bytes of a folder: the format's own limit.
const MAX_FOLDER: usize = 65536 * ENTRY;
/// A larger table is not read as a whole to count what is free.
const MAX_COUNTED: usize = 8 << 20;
/// Attributes: it is not to be changed; it is the label; it is a folder; it is a part of a long name.
const KEPT: u8 = 0x1;
const LABEL: u8 = 0x8;
const FOLDER: u8 = 0x10;
const LONG: u8 = 0xf;
/// The short name's base, or its extension, is meant in small letters.
const SMALL: [u8; 2] = [0x8, 0x10];

/// A filesystem.
pub struct Fat {
    source: Arc<dyn BlockSource>,
    width: Width,
    table: u64,
    table_length: usize,
    /// The top folder of FAT12 and FAT16: place and length.
    fixed_root: (u64, usize),
    root: u32,
    data: u64,
    cluster: usize,
    clusters: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// A file or folder; the top one has no first cluster.
#[derive(Clone, Copy)]
pub struct Node {
    first: u32,
    size: u32,
    attributes: u8,
}

impl Fat {
    /// Opens a filesystem.
    pub fn open(source: Arc<dyn BlockSource>) -> Result<Self> {
        let raw = read(&source, 0, 512)?;
        let bad = || damaged("its boot sector makes no sense");
        let sector = u64::from(le16(&raw, 11));
        let (per_cluster, tables) = (u64::from(raw[13]), u64::from(raw[16]));
        let is_sane = sector.is_power_of_two()
            && (512..=4096).contains(&sector)
            && per_cluster.is_power_of_two()
            && (1..=2).contains(&tables);
        if !is_sane || le16(&raw, 14) == 0 || raw[510..512] != [0x55, 0xaa] {
            return Err(bad());
        }
        let either = |short: u16, long: u32| if short == 0 { u64::from(long) } else { short.into() };
        let is_32 = le16(&raw, 22) == 0;
        let table_sectors = either(le16(&raw, 22), le32(&raw, 36));
        let all = either(le16(&raw, 19), le32(&raw, 32));
        let table = u64::from(le16(&raw, 14)) * sector;
        let root_bytes = u64::from(le16(&raw, 17)) * ENTRY as u64;
        let root_place = table + tables * table_sectors * sector;
        let data = root_place + root_bytes.next_multiple_of(sector);
        let cluster = per_cluster * sector;
        let room = (all * sector).checked_sub(data).ok_or_else(bad)?;
        let clusters = u32::try_from(room / cluster).map_err(|_| bad())?;
        let width = match clusters {
            _ if is_32 => Width::ThirtyTwo,
            ..=4084 => Width::Twelve,
            _ => Width::Sixteen,
        };
        let table_length = usize::try_from(table_sectors * sector).map_err(|_| bad())?;
        let needed = (u64::from(clusters) + 2)
            * match width {
                Width::Twelve => 3,
                Width::Sixteen => 4,
                Width::ThirtyTwo => 8,
            }
            / 2;
        if is_32 && le16(&raw, 42) != 0 {
            return Err(cannot("it is of an unknown version"));
        }
        if table_length as u64 >= needed
            && cluster <= 1 << 20
            && all * sector <= source.size()
            && is_32 == (root_bytes == 0)
        {
            let fixed_root = (root_place, usize::try_from(root_bytes).unwrap_or(0));
            let root = if is_32 { le32(&raw, 44) } else { 0 };
            let cluster = usize::try_from(cluster).unwrap_or(0);
            return Ok(Self { source, width, table, table_length, fixed_root, root, data, cluster, clusters });
        }
        Err(bad())
    }

    /// The entry of a cluster in the table.
    fn next(&self, cluster: u32) -> Result<u32> {
        let at = |offset: u64, length| read(&self.source, self.table + offset, length);
        Ok(match self.width {
            Width::Twelve => {
                let pair = le16(&at(u64::from(cluster) * 3 / 2, 2)?, 0);
                u32::from(if cluster % 2 == 0 { pair & 0xfff } else { pair >> 4 })
            }
            Width::Sixteen => le16(&at(u64::from(cluster) * 2, 2)?, 0).into(),
            Width::ThirtyTwo => le32(&at(u64::from(cluster) * 4, 4)?, 0) & 0xfff_ffff,
        })
    }

    /// The clusters from the first one on, up to so many bytes; `None` for as long as there are any.
    fn chain(&self, first: u32, length: Option<usize>, most: usize) -> Result<Vec<u8>> {
        let end = match self.width {
            Width::Twelve => 0xff8,
            Width::Sixteen => 0xfff8,
            Width::ThirtyTwo => 0xfff_fff8,
        };
        let (mut bytes, mut cluster) = (Vec::new(), first);
        while length.is_none_or(|length| bytes.len() < length) {
            if length.is_none() && cluster >= end {
                return Ok(bytes);
            }
            // A ring would be longer than all of it.
            if cluster < 2 || cluster - 2 >= self.clusters || bytes.len() > most {
                return Err(damaged("a chain of clusters is damaged"));
            }
            bytes.extend(read(&self.source, self.data + u64::from(cluster - 2) * self.cluster as u64, self.cluster)?);
            cluster = self.next(cluster)?;
        }
        bytes.truncate(length.unwrap_or(bytes.len()));
        Ok(bytes)
    }

    fn folder(&self, node: Node) -> Result<Vec<u8>> {
        match (node.first, self.width) {
            (0, Width::ThirtyTwo) => self.chain(self.root, None, MAX_FOLDER),
            (0, _) => read(&self.source, self.fixed_root.0, self.fixed_root.1),
            (first, _) => self.chain(first, None, MAX_FOLDER),
        }
    }

    fn count_free(&self) -> Option<u64> {
        if self.table_length > MAX_COUNTED {
            return None;
        }
        let mut free = 0;
        for cluster in 2..self.clusters + 2 {
            free += u64::from(self.next(cluster).ok()? == 0);
        }
        Some(free * self.cluster as u64)
    }
}

impl Nodes for Fat {
    type Id = Node;

    fn root(&self) -> Node {
        Node { first: 0, size: 0, attributes: FOLDER }
    }

    fn stat(&self, id: Node) -> Result<Stat> {
        let is_folder = id.attributes & FOLDER != 0;
        let mode = if !is_folder && id.attributes & KEPT != 0 { 0o555 } else { 0o755 };
        Ok(if is_folder { Stat::new(FileKind::Dir, 0, mode) } else { Stat::new(FileKind::File, id.size.into(), mode) })
    }

    fn list(&self, id: Node) -> Result<Vec<Named<Node>>> {
        let raw = self.folder(id)?;
        let (mut entries, mut long) = (Vec::new(), LongName::default());
        for entry in raw.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0) {
            if entry[0] == 0xe5 {
                long = LongName::default();
                continue;
            }
            if entry[11] & 0x3f == LONG {
                long.add(entry);
                continue;
            }
            let name = std::mem::take(&mut long).of(entry);
            if entry[11] & LABEL != 0 || entry.starts_with(b". ") || entry.starts_with(b".. ") {
                continue;
            }
            let name = match name {
                Some(name) => name,
                None => short_name(entry)?,
            };
            let high = if self.width == Width::ThirtyTwo { le16(entry, 20) } else { 0 };
            let first = u32::from(high) << 16 | u32::from(le16(entry, 26));
            let id = Node { first, size: le32(entry, 28), attributes: entry[11] };
            let kind = if id.attributes & FOLDER != 0 { FileKind::Dir } else { FileKind::File };
            if kind == FileKind::Dir && first == 0 {
                return Err(damaged("a folder has no place"));
            }
            entries.push(Named { name: name.into_bytes(), id, kind });
        }
        Ok(entries)
    }

    fn read(&self, id: Node) -> Result<Vec<u8>> {
        if u64::from(id.size) > MAX_FILE {
            return Err(damaged(format!("a file has more than {MAX_FILE} bytes")));
        }
        self.chain(id.first, Some(id.size as usize), id.size as usize)
    }

    fn read_link(&self, _: Node) -> Result<Vec<u8>> {
        Err(PluginError::defect("FAT has no symlinks"))
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        String::from_utf8_lossy(name).to_lowercase().into_bytes()
    }

    fn free(&self) -> Free {
        Free { bytes: self.count_free(), inodes: None }
    }
}

/// The parts of a long name, which stand before its entry, the last one first.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    checksum: u8,
    /// The part that comes next; 0: none.
    next: u8,
}

impl LongName {
    fn add(&mut self, entry: &[u8]) {
        let number = entry[0] & 0x3f;
        let is_last = entry[0] & 0x40 != 0;
        if is_last && (1..=20).contains(&number) {
            *self = Self { units: Vec::new(), checksum: entry[13], next: number };
        } else if is_last || number == 0 || number != self.next || entry[13] != self.checksum {
            *self = Self::default();
            return;
        }
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
        let part: Vec<u16> = places.map(|at| le16(entry, at)).collect();
        self.units.splice(0..0, part);
        self.next -= 1;
        if self.next == 0 {
            // All parts are there; the mark tells it from none at all.
            self.next = u8::MAX;
        }
    }

    /// The name, when it is that of this entry and whole.
    fn of(self, entry: &[u8]) -> Option<String> {
        let sum = entry[..11].iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let end = self.units.iter().position(|unit| *unit == 0).unwrap_or(self.units.len());
        (self.next == u8::MAX && sum == self.checksum && end > 0).then(|| String::from_utf16_lossy(&self.units[..end]))
    }
}

fn short_name(entry: &[u8]) -> Result<String> {
    let mut raw: [u8; 11] = entry[..11].try_into().unwrap_or_default();
    if raw[0] == 0x5 {
        raw[0] = 0xe5;
    }
    if !raw.is_ascii() {
        return Err(cannot("a short name has letters of an unknown code page"));
    }
    let part = |bytes: &[u8], small: u8| {
        let text = String::from_utf8_lossy(bytes).trim_end_matches(' ').to_owned();
        if entry[12] & small != 0 { text.to_ascii_lowercase() } else { text }
    };
    let (base, extension) = (part(&raw[..8], SMALL[0]), part(&raw[8..], SMALL[1]));
    Ok(if extension.is_empty() { base } else { format!("{base}.{extension}") })
}
