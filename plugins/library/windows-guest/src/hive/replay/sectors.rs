//! The logs up to Windows 8: a map (`DIRT`) of 512-byte sectors of the bins, and those sectors.

use super::super::base::{self, Base};
use super::{Applied, ReplayError};

/// In front of the map.
const SIGNATURE: &[u8] = b"DIRT";

/// A log.
pub struct Log<'a> {
    /// Its place among the logs.
    pub log: usize,
    pub head: Base,
    /// Behind its header.
    pub body: &'a [u8],
}

/// Applies the log that was written to its end at the hive's time; `None`: none is newer than the hive.
pub fn apply(
    hive: &mut Vec<u8>,
    base: &Base,
    logs: Vec<Log<'_>>,
    limit: usize,
) -> Result<Option<Applied>, ReplayError> {
    let newer: Vec<Log<'_>> = logs.into_iter().filter(|log| log.head.first > base.second).collect();
    let Some(first) = newer.first().map(|log| log.log) else { return Ok(None) };
    let unusable = |log, what: &str| ReplayError::Log { log, what: what.to_owned() };
    let Some(log) = newer.into_iter().find(|log| log.head.first == log.head.second && log.head.time == base.time)
    else {
        return Err(unusable(first, "is newer, but was written for another state of it"));
    };
    write(hive, &log, limit).ok_or_else(|| unusable(log.log, "does not fit it"))?;
    Ok(Some(Applied { steps: 1, bins: log.head.bins, sequence: log.head.first.wrapping_add(1) }))
}

/// Writes a log's sectors; `None` when there are fewer than its map says.
fn write(hive: &mut Vec<u8>, log: &Log<'_>, limit: usize) -> Option<()> {
    let end = base::LENGTH.checked_add(log.head.bins as usize).filter(|end| *end <= limit)?;
    let map = log.body.strip_prefix(SIGNATURE)?.get(..(log.head.bins as usize).div_ceil(base::SECTOR * 8))?;
    let behind = (SIGNATURE.len() + map.len()).next_multiple_of(base::SECTOR);
    let mut logged = log.body.get(behind..)?.chunks_exact(base::SECTOR);
    if hive.len() < end {
        hive.resize(end, 0);
    }
    for (index, sector) in hive[base::LENGTH..end].chunks_exact_mut(base::SECTOR).enumerate() {
        if map[index / 8] >> (index % 8) & 1 != 0 {
            sector.copy_from_slice(logged.next()?);
        }
    }
    Some(())
}
