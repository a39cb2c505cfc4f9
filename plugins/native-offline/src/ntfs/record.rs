//! Records: blocks that carry a number at the end of each of their sectors, and the attributes of a record of the table of files.

use vmdk2kvm_plugin_api::Result;

use super::runs::{self, Run};
use crate::bytes::{cannot, damaged, le16, le32, le64};

/// Bytes that each carry a number, whatever the disk's sectors are.
const STRIDE: usize = 512;
/// The first bytes of a record of the table of files that end before it says its own number.
const OLD_HEADER: usize = 42;
/// Kinds of attributes, ascending as in a record.
const KINDS: std::ops::RangeInclusive<u32> = 0x10..=0x100;

/// Puts back what the numbers at the ends of sectors took the place of. One that differs is half written.
pub fn mend(block: &mut [u8], magic: [u8; 4]) -> Result<()> {
    let name = String::from_utf8_lossy(&magic).into_owned();
    if block.get(..4) != Some(&magic[..]) {
        return Err(damaged(format!("a block is no {name}")));
    }
    let (at, count) = (usize::from(le16(block, 4)), usize::from(le16(block, 6)));
    let is_right = block.len() % STRIDE == 0 && count == block.len() / STRIDE + 1 && at >= 24 && at % 2 == 0;
    if !is_right || at + 2 * count > STRIDE - 2 {
        return Err(damaged(format!("a block {name} has no numbers of its sectors")));
    }
    let number = le16(block, at);
    for sector in 1..count {
        let end = sector * STRIDE - 2;
        if le16(block, end) != number {
            return Err(damaged(format!("a block {name} was written in part")));
        }
        block.copy_within(at + 2 * sector..at + 2 * sector + 2, end);
    }
    Ok(())
}

/// A record of the table of files.
#[derive(Debug)]
pub struct Record {
    /// How often it was used; part of a reference to it.
    pub sequence: u16,
    /// Whether it is a folder's.
    pub is_folder: bool,
    /// The reference to the record that it continues; 0: none.
    pub base: u64,
    /// Its attributes.
    pub parts: Vec<Part>,
}

/// An attribute, or the part of one that is in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Kind.
    pub kind: u32,
    /// Name, empty for the most.
    pub name: Vec<u16>,
    /// Compressed, encrypted, sparse.
    pub flags: u16,
    /// Number in its record.
    pub instance: u16,
    /// Content.
    pub body: Body,
}

/// The content of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// In the record.
    Resident(Vec<u8>),
    /// In clusters.
    Placed {
        /// The first cluster of the content that this part has.
        lowest: u64,
        /// Where the clusters are.
        runs: Vec<Run>,
        /// Sizes, in the part that begins at 0.
        sizes: Sizes,
    },
}

/// Sizes of an attribute in clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Bytes of its clusters, holes among them.
    pub allocated: u64,
    /// Bytes of its content.
    pub size: u64,
    /// Bytes that were written; what follows is zeros.
    pub initialized: u64,
    /// Clusters that are compressed together, as an exponent; 0: none.
    pub unit: u8,
}

impl Part {
    /// The first cluster of the content that it has.
    pub fn lowest(&self) -> u64 {
        match &self.body {
            Body::Resident(_) => 0,
            Body::Placed { lowest, .. } => *lowest,
        }
    }
}

impl Record {
    /// Reads the record of a number, which is in use, of a volume of so many clusters.
    pub fn read(mut raw: Vec<u8>, number: u64, clusters: u64) -> Result<Self> {
        let bad = |what: &str| damaged(format!("record {number} of the table of files {what}"));
        mend(&mut raw, *b"FILE")
            .map_err(|error| error.context(format_args!("record {number} of the table of files")))?;
        let (numbers, first, flags) = (usize::from(le16(&raw, 4)), usize::from(le16(&raw, 20)), le16(&raw, 22));
        let (used, allocated) = (le32(&raw, 24) as usize, le32(&raw, 28) as usize);
        if flags & 1 == 0 {
            return Err(bad("is not in use"));
        }
        // In use, a folder, in $Extend, with an index of another kind.
        if flags & !0xf != 0 {
            return Err(cannot(format!("the flags {flags:#x} of a record are not known")));
        }
        if allocated != raw.len()
            || used > allocated
            || first % 8 != 0
            || first < numbers + 2 * (raw.len() / STRIDE + 1)
        {
            return Err(bad("is damaged"));
        }
        if numbers > OLD_HEADER + 5 && u64::from(le32(&raw, 44)) != number & 0xffff_ffff {
            return Err(bad("says another number"));
        }
        let parts =
            parts(&raw[..used], first, clusters).map_err(|error| error.context(format_args!("record {number}")))?;
        Ok(Self { sequence: le16(&raw, 16), is_folder: flags & 2 != 0, base: le64(&raw, 32), parts })
    }
}

fn parts(raw: &[u8], first: usize, clusters: u64) -> Result<Vec<Part>> {
    let bad = || damaged("an attribute is damaged");
    let (mut parts, mut at) = (Vec::<Part>::new(), first);
    loop {
        if raw.len() < at + 4 {
            return Err(damaged("its attributes have no end"));
        }
        let kind = le32(raw, at);
        if kind == u32::MAX {
            return if raw.len() <= at + 8 { Ok(parts) } else { Err(damaged("its attributes end before its end")) };
        }
        let length = le32(raw, at + 4) as usize;
        if !KINDS.contains(&kind) || kind & 0xf != 0 {
            return Err(cannot(format!("attributes of the kind {kind:#x} are not known")));
        }
        let end = at
            .checked_add(length)
            .filter(|end| length >= 24 && length % 8 == 0 && *end <= raw.len())
            .ok_or_else(bad)?;
        if parts.last().is_some_and(|last| last.kind > kind) {
            return Err(damaged("its attributes are in no order"));
        }
        parts.push(part(&raw[at..end], clusters)?);
        at = end;
    }
}

fn part(raw: &[u8], clusters: u64) -> Result<Part> {
    let bad = || damaged("an attribute is damaged");
    let (name_length, name_at) = (usize::from(raw[9]) * 2, usize::from(le16(raw, 10)));
    let name = match name_length {
        0 => Vec::new(),
        _ => units(raw.get(name_at..name_at + name_length).ok_or_else(bad)?),
    };
    let body = match raw[8] {
        0 => {
            let (size, begin) = (le32(raw, 16) as usize, usize::from(le16(raw, 20)));
            let end = begin.checked_add(size).filter(|end| *end <= raw.len() && begin >= 24).ok_or_else(bad)?;
            if raw.len() - end >= 8 || name_length > 0 && name_at + name_length > begin {
                return Err(bad());
            }
            Body::Resident(raw[begin..end].to_vec())
        }
        1 if raw.len() >= 64 => placed(raw, clusters)?,
        _ => return Err(bad()),
    };
    Ok(Part { kind: le32(raw, 0), name, flags: le16(raw, 12), instance: le16(raw, 14), body })
}

fn placed(raw: &[u8], clusters: u64) -> Result<Body> {
    let bad = || damaged("an attribute is damaged");
    let (lowest, highest) = (le64(raw, 16), le64(raw, 24));
    // Of an empty one the highest is -1.
    let count = highest.wrapping_add(1).checked_sub(lowest).ok_or_else(bad)?;
    let pairs = raw.get(usize::from(le16(raw, 32))..).filter(|_| le16(raw, 32) >= 64).ok_or_else(bad)?;
    let runs = runs::decode(pairs, lowest, count, clusters)?;
    let sizes = if lowest == 0 {
        Sizes { allocated: le64(raw, 40), size: le64(raw, 48), initialized: le64(raw, 56), unit: raw[34] }
    } else {
        Sizes::default()
    };
    Ok(Body::Placed { lowest, runs, sizes })
}

/// The units of a text.
pub fn units(raw: &[u8]) -> Vec<u16> {
    raw.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}
