//! Folders: trees of names, in blocks of their own when they do not fit into the record.

use std::collections::HashSet;

use vmdk2kvm_plugin_api::Result;

use super::file::{ALLOCATION, BITMAP, File, ROOT};
use super::name::{self, FileName, UpCase};
use super::record::mend;
use super::stream::{Clusters, Stream};
use crate::bytes::{damaged, le16, le32, le64};
use crate::tree::MAX_ENTRIES;

/// The name of the attributes of a folder's index.
const OWN: &str = "$I30";
/// Deepest tree: more names than a volume can have.
const MAX_DEPTH: usize = 16;
/// Bytes of an entry before its name.
const ENTRY: usize = 16;
/// Bits of an entry: smaller names are in a block below; the last one, without a name.
const HAS_BELOW: u16 = 1;
const LAST: u16 = 2;
/// Most bytes of a map of blocks.
const MAX_MAP: u64 = 1 << 20;
/// Smallest unit by which blocks are numbered, in bytes.
const SMALLEST: u64 = 512;

/// A name, and the reference to its file.
pub type Entry = (FileName, u64);

/// What is in a folder, by name.
pub fn list(file: &File, clusters: &Clusters, upcase: &UpCase) -> Result<Vec<Entry>> {
    let root = file.resident(ROOT, OWN)?;
    let block = le32(root, 8);
    if root.len() < 32 || le32(root, 0) != 0x30 || le32(root, 4) != 1 || !block.is_power_of_two() {
        return Err(damaged("a folder's index is damaged"));
    }
    if !(512..=64 << 10).contains(&block) {
        return Err(damaged(format!("a folder has blocks of {block} bytes")));
    }
    let mut reading = Reading {
        clusters,
        upcase,
        blocks: file.find(ALLOCATION, OWN)?,
        block: u64::from(block),
        seen: HashSet::new(),
        entries: Vec::new(),
        last: None,
    };
    reading.node(&root[16..], 0)?;
    reading.check_map(file.find(BITMAP, OWN)?)?;
    Ok(reading.entries)
}

struct Reading<'a> {
    clusters: &'a Clusters,
    upcase: &'a UpCase,
    blocks: Option<&'a Stream>,
    /// Bytes of a block.
    block: u64,
    /// Which blocks were read.
    seen: HashSet<u64>,
    entries: Vec<Entry>,
    /// The name before, as it is compared.
    last: Option<Vec<u16>>,
}

impl Reading<'_> {
    /// Reads what an index header at the start of `raw` begins.
    fn node(&mut self, raw: &[u8], depth: usize) -> Result<()> {
        let bad = || damaged("a folder's index is damaged");
        let (first, end) = (le32(raw, 0) as usize, le32(raw, 4) as usize);
        if depth > MAX_DEPTH || first < ENTRY || first > end || end > raw.len() {
            return Err(bad());
        }
        let mut at = first;
        loop {
            let length = usize::from(le16(raw, at + 8));
            let entry = raw.get(at..at.saturating_add(length)).filter(|_| at + length <= end).ok_or_else(bad)?;
            let (content, flags) = (usize::from(le16(entry, 10)), le16(entry, 12));
            let below = if flags & HAS_BELOW != 0 { 8 } else { 0 };
            let is_last = flags & LAST != 0;
            let wanted = ENTRY + if is_last { 0 } else { content };
            // An entry is as long as what it holds.
            if flags & !(HAS_BELOW | LAST) != 0 || length != wanted.next_multiple_of(8) + below {
                return Err(bad());
            }
            if below != 0 {
                self.below(le64(entry, length - 8), depth)?;
            }
            at += length;
            if is_last {
                return if at == end { Ok(()) } else { Err(bad()) };
            }
            self.push(name::read(&entry[ENTRY..ENTRY + content])?, le64(entry, 0))?;
        }
    }

    fn push(&mut self, name: FileName, reference: u64) -> Result<()> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err(damaged(format!("a folder has more than {MAX_ENTRIES} entries")));
        }
        let folded = self.upcase.fold(&name.units);
        if self.last.as_ref().is_some_and(|last| *last > folded) {
            return Err(damaged("a folder's names are in no order"));
        }
        self.last = Some(folded);
        self.entries.push((name, reference));
        Ok(())
    }

    /// Reads the block of a number.
    fn below(&mut self, number: u64, depth: usize) -> Result<()> {
        let bad = || damaged("a folder's index leads to where no block is");
        let unit = if self.clusters.size <= self.block { self.clusters.size } else { SMALLEST };
        let at = number.checked_mul(unit).ok_or_else(bad)?;
        let Some(Stream::Placed(blocks)) = self.blocks else { return Err(bad()) };
        if at % self.block != 0 || at.checked_add(self.block).is_none_or(|end| end > blocks.sizes.size) {
            return Err(bad());
        }
        if !self.seen.insert(at / self.block) {
            return Err(damaged("a folder's index leads to a block twice"));
        }
        let mut raw = vec![0; usize::try_from(self.block).unwrap_or(0)];
        blocks.read(self.clusters, at, &mut raw)?;
        mend(&mut raw, *b"INDX")?;
        if le64(&raw, 16) != number {
            return Err(damaged("a block of a folder is another one's"));
        }
        self.node(&raw[24..], depth + 1)
    }

    /// Every block that is in use was read, and no other.
    fn check_map(&self, map: Option<&Stream>) -> Result<()> {
        let map = match map {
            Some(map) => map.all(self.clusters, MAX_MAP)?,
            None => Vec::new(),
        };
        let is_used = |block: &u64| {
            let byte = usize::try_from(block / 8).ok().and_then(|at| map.get(at));
            byte.is_some_and(|byte| byte >> (block % 8) & 1 != 0)
        };
        let used: usize = map.iter().map(|byte| byte.count_ones() as usize).sum();
        if used == self.seen.len() && self.seen.iter().all(is_used) {
            Ok(())
        } else {
            Err(damaged("a folder's blocks and the map of them differ"))
        }
    }
}
