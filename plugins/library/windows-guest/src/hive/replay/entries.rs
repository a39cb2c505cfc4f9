//! The logs of Windows 8.1 and later: entries (`HvLE`), each with pages of the bins, and hashes that say whether it is whole.

use super::super::base::{self, Base, u32_at};
use super::{Applied, ReplayError, marvin};

/// In front of an entry's pairs of offset and length.
const HEADER: usize = 40;

/// An entry that is whole.
pub struct Entry<'a> {
    /// The place of its log among the logs.
    log: usize,
    sequence: u32,
    bins: u32,
    pages: u32,
    /// The pairs, and the pages.
    rest: &'a [u8],
}

/// The entries of a log, up to the first that is not whole, or older than the one before it.
pub fn read(log: usize, mut body: &[u8]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    while let Some(entry) = whole(log, body) {
        if entries.last().is_some_and(|last| last.sequence.wrapping_add(1) != entry.sequence) {
            break;
        }
        body = &body[HEADER + entry.rest.len()..];
        entries.push(entry);
    }
    entries
}

/// The entry that a log, or the rest of it, begins with, if it is whole.
fn whole(log: usize, body: &[u8]) -> Option<Entry<'_>> {
    let header = body.get(..HEADER).filter(|header| header.starts_with(b"HvLE"))?;
    let length = u32_at(header, 4) as usize;
    let rest = body.get(HEADER..length).filter(|_| length % base::SECTOR == 0)?;
    let number = |at: usize| u64::from(u32_at(header, at)) | u64::from(u32_at(header, at + 4)) << 32;
    let is_whole = marvin::hash(rest) == number(24) && marvin::hash(&header[..32]) == number(32);
    is_whole.then(|| Entry {
        log,
        sequence: u32_at(header, 12),
        bins: u32_at(header, 16),
        pages: u32_at(header, 20),
        rest,
    })
}

/// Applies what follows the hive's second number; `None`: nothing does.
pub fn apply(
    hive: &mut Vec<u8>,
    base: &Base,
    mut entries: Vec<Entry<'_>>,
    limit: usize,
) -> Result<Option<Applied>, ReplayError> {
    entries.retain(|entry| entry.sequence >= base.second);
    entries.sort_by_key(|entry| entry.sequence);
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].sequence.wrapping_add(1) != pair[1].sequence) {
        return Err(ReplayError::Gap { last: pair[0].sequence, next: pair[1].sequence });
    }
    for entry in &entries {
        write(hive, entry, limit).ok_or_else(|| ReplayError::Log {
            log: entry.log,
            what: format!("has an entry {} that does not fit the hive", entry.sequence),
        })?;
    }
    let last = entries.last();
    Ok(last.map(|last| Applied { steps: entries.len(), bins: last.bins, sequence: last.sequence.wrapping_add(1) }))
}

/// Writes an entry's pages; `None` when they are not inside of the hive and of the entry.
fn write(hive: &mut Vec<u8>, entry: &Entry<'_>, limit: usize) -> Option<()> {
    let end = base::LENGTH.checked_add(entry.bins as usize).filter(|end| *end <= limit)?;
    if hive.len() < end {
        hive.resize(end, 0);
    }
    let bins = &mut hive[base::LENGTH..end];
    let (pairs, mut pages) = entry.rest.split_at_checked((entry.pages as usize).checked_mul(8)?)?;
    for pair in pairs.chunks_exact(8) {
        let (at, length) = (u32_at(pair, 0) as usize, u32_at(pair, 4) as usize);
        let (page, rest) = pages.split_at_checked(length)?;
        bins.get_mut(at..at.checked_add(length)?)?.copy_from_slice(page);
        pages = rest;
    }
    Some(())
}
