//! Files by their references: the attributes of a record, and of the records that continue it.

use std::collections::HashMap;

use vmdk2kvm_plugin_api::Result;

use super::name::{self, FileName};
use super::record::{Body, Part, Record, units};
use super::stream::{Clusters, Placed, Stream};
use crate::bytes::{damaged, le16, le32, le64};

/// Kinds of attributes.
pub const STANDARD: u32 = 0x10;
const LIST: u32 = 0x20;
const NAME: u32 = 0x30;
pub const VOLUME: u32 = 0x70;
pub const DATA: u32 = 0x80;
pub const ROOT: u32 = 0x90;
pub const ALLOCATION: u32 = 0xa0;
pub const BITMAP: u32 = 0xb0;
pub const REPARSE: u32 = 0xc0;
/// Most bytes of a list of attributes: what Windows allows.
const MAX_LIST: u64 = 256 << 10;
/// Most records of one file.
const MAX_RECORDS: usize = 8192;
/// Bytes of an entry of a list of attributes before its name.
const LIST_ENTRY: usize = 26;

/// The number of a record in a reference.
pub fn number(reference: u64) -> u64 {
    reference & 0xffff_ffff_ffff
}

/// The table of files.
pub struct Table {
    pub clusters: Clusters,
    /// How many clusters the volume has.
    pub count: u64,
    /// Bytes of a record.
    pub record: usize,
    data: Placed,
}

/// A file or folder.
#[derive(Debug)]
pub struct File {
    /// Whether it is a folder.
    pub is_folder: bool,
    attributes: Vec<Attribute>,
}

/// An attribute that was put together.
#[derive(Debug)]
struct Attribute {
    kind: u32,
    name: Vec<u16>,
    stream: Stream,
}

impl Table {
    /// The table that begins at a place.
    pub fn open(clusters: Clusters, count: u64, record: usize, at: u64) -> Result<Self> {
        let raw = crate::bytes::read(&clusters.source, at, record)?;
        let first = Record::read(raw, 0, count)?;
        let own = first.parts.iter().find(|part| part.kind == DATA && part.name.is_empty());
        let Some(Part { body: Body::Placed { lowest: 0, runs, sizes }, flags: 0, .. }) = own else {
            return Err(damaged("the table of files has no content"));
        };
        // The part of it that the first record tells of: the records that tell of the rest are in it.
        let covered = runs.last().map_or(0, |run| run.end()).saturating_mul(clusters.size);
        let mut begin = *sizes;
        begin.allocated = covered;
        (begin.size, begin.initialized) = (sizes.size.min(covered), sizes.initialized.min(covered));
        let data = Placed::new(runs.clone(), begin, 0, clusters.size)?;
        let table = Self { clusters, count, record, data };
        let whole = table.file(0)?;
        let Some(Stream::Placed(data)) = whole.find(DATA, "")?.cloned() else {
            return Err(damaged("the table of files has no content"));
        };
        if data.runs.first().and_then(|run| run.place) != Some(at / table.clusters.size) {
            return Err(damaged("the table of files is not where its volume says"));
        }
        Ok(Self { data, ..table })
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.data.sizes.initialized / self.record as u64
    }

    /// The bytes of a record.
    pub fn raw(&self, number: u64) -> Result<Vec<u8>> {
        if number >= self.records() {
            return Err(damaged(format!("record {number} is not in the table of files")));
        }
        let mut raw = vec![0; self.record];
        self.data.read(&self.clusters, number * self.record as u64, &mut raw)?;
        Ok(raw)
    }

    fn record(&self, number: u64) -> Result<Record> {
        Record::read(self.raw(number)?, number, self.count)
    }

    /// The file of a record.
    fn file(&self, number: u64) -> Result<File> {
        let base = self.record(number)?;
        self.whole(number, base)
    }

    /// The file that a reference means.
    pub fn by_reference(&self, reference: u64) -> Result<File> {
        let own = number(reference);
        let base = self.record(own)?;
        if u64::from(base.sequence) != reference >> 48 {
            return Err(damaged(format!("record {own} is another file's by now")));
        }
        self.whole(own, base)
    }

    fn whole(&self, own: u64, mut base: Record) -> Result<File> {
        if base.base != 0 {
            return Err(damaged(format!("record {own} continues another one")));
        }
        let is_folder = base.is_folder;
        let list = base.parts.iter().position(|part| part.kind == LIST).map(|at| base.parts.remove(at));
        let parts = match list {
            None => base.parts,
            Some(list) => {
                let reference = own | u64::from(base.sequence) << 48;
                self.listed(reference, base.parts, list).map_err(|error| error.context(format_args!("record {own}")))?
            }
        };
        let attributes =
            joined(parts, self.clusters.size).map_err(|error| error.context(format_args!("record {own}")))?;
        Ok(File { is_folder, attributes })
    }

    /// The parts of all records that a list names: each of them, and no other.
    fn listed(&self, own: u64, base: Vec<Part>, list: Part) -> Result<Vec<Part>> {
        let list = match list.body {
            Body::Resident(bytes) => bytes,
            Body::Placed { lowest: 0, runs, sizes } => {
                let placed = Placed::new(runs, sizes, list.flags, self.clusters.size)?;
                Stream::Placed(placed).all(&self.clusters, MAX_LIST)?
            }
            Body::Placed { .. } => return Err(damaged("the list of its attributes is damaged")),
        };
        let mut wanted = entries(&list)?;
        let mut found: HashMap<u64, Vec<Part>> = HashMap::from([(own, base)]);
        for entry in &wanted {
            if found.contains_key(&entry.record) {
                continue;
            }
            if found.len() >= MAX_RECORDS {
                return Err(damaged(format!("it has more than {MAX_RECORDS} records")));
            }
            let record = self.record(number(entry.record))?;
            if record.base != own || u64::from(record.sequence) != entry.record >> 48 {
                return Err(damaged(format!("record {} is another file's", number(entry.record))));
            }
            found.insert(entry.record, record.parts);
        }
        let of =
            |(record, parts): (&u64, &Vec<Part>)| parts.iter().map(|part| Entry::of(*record, part)).collect::<Vec<_>>();
        let mut there: Vec<Entry> = found.iter().flat_map(of).collect();
        wanted.sort();
        there.sort();
        if wanted != there {
            return Err(damaged("the list of its attributes and its records differ"));
        }
        Ok(found.into_values().flatten().collect())
    }
}

/// An entry of a list of attributes: which attribute or part of one is in which record.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    kind: u32,
    name: Vec<u16>,
    lowest: u64,
    record: u64,
    instance: u16,
}

impl Entry {
    fn of(record: u64, part: &Part) -> Self {
        Self { kind: part.kind, name: part.name.clone(), lowest: part.lowest(), record, instance: part.instance }
    }
}

fn entries(list: &[u8]) -> Result<Vec<Entry>> {
    let bad = || damaged("the list of its attributes is damaged");
    let (mut entries, mut at) = (Vec::new(), 0);
    while at < list.len() {
        let length = usize::from(le16(list, at + 4));
        let raw = list.get(at..at.saturating_add(length)).filter(|raw| raw.len() >= LIST_ENTRY).ok_or_else(bad)?;
        let (name_length, name_at) = (usize::from(raw[6]) * 2, usize::from(raw[7]));
        let name = if name_length == 0 { &[][..] } else { raw.get(name_at..name_at + name_length).ok_or_else(bad)? };
        entries.push(Entry {
            kind: le32(raw, 0),
            name: units(name),
            lowest: le64(raw, 8),
            record: le64(raw, 16),
            instance: le16(raw, 24),
        });
        at += length;
    }
    Ok(entries)
}

/// Attributes of their parts.
fn joined(mut parts: Vec<Part>, cluster: u64) -> Result<Vec<Attribute>> {
    parts.sort_by(|one, other| (one.kind, &one.name, one.lowest()).cmp(&(other.kind, &other.name, other.lowest())));
    let (mut attributes, mut parts) = (Vec::new(), parts.into_iter().peekable());
    while let Some(part) = parts.next() {
        let Part { kind, name, flags, body, .. } = part;
        let stream = match body {
            Body::Resident(bytes) => Stream::Resident(bytes),
            Body::Placed { lowest, mut runs, sizes } => {
                let mut end = runs.last().map_or(0, |run| run.end());
                let is_next = |next: &Part| next.kind == kind && next.name == name && next.lowest() > 0;
                while let Some(Part { body: Body::Placed { lowest, runs: more, .. }, .. }) = parts.next_if(is_next) {
                    if lowest != end {
                        return Err(damaged("a part of an attribute is missing"));
                    }
                    end = more.last().map_or(end, |run| run.end());
                    runs.extend(more);
                }
                if lowest != 0 {
                    return Err(damaged("the first part of an attribute is missing"));
                }
                Stream::Placed(Placed::new(runs, sizes, flags, cluster)?)
            }
        };
        attributes.push(Attribute { kind, name, stream });
    }
    Ok(attributes)
}

impl File {
    /// The content of an attribute, of which there is at most one.
    pub fn find(&self, kind: u32, name: &str) -> Result<Option<&Stream>> {
        let mut found =
            self.attributes.iter().filter(|one| one.kind == kind && one.name.iter().copied().eq(name.encode_utf16()));
        match (found.next(), found.next()) {
            (first, None) => Ok(first.map(|first| &first.stream)),
            _ => Err(damaged(format!("a file has two attributes of the kind {kind:#x}"))),
        }
    }

    /// The content of an attribute that is in the record.
    pub fn resident(&self, kind: u32, name: &str) -> Result<&[u8]> {
        match self.find(kind, name)? {
            Some(Stream::Resident(bytes)) => Ok(bytes),
            _ => Err(damaged(format!("a file has no attribute of the kind {kind:#x}"))),
        }
    }

    /// The attribute bits of a file: a reparse point, encrypted.
    pub fn flags(&self) -> Result<u32> {
        Ok(le32(self.resident(STANDARD, "")?, 32))
    }

    /// The names that it has in folders.
    pub fn names(&self) -> impl Iterator<Item = Result<FileName>> {
        let names = self.attributes.iter().filter(|one| one.kind == NAME);
        names.map(|one| match &one.stream {
            Stream::Resident(bytes) => name::read(bytes),
            Stream::Placed(_) => Err(damaged("a file's name is damaged")),
        })
    }
}
