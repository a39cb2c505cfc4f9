//! Brings a hive up to date from its transaction logs, as Windows does when it loads it.
//!
//! A hive whose two sequence numbers differ was being written when it was left, and what Windows had promised to write is in its logs
//! (`X.LOG1`, `X.LOG2`, or `X.LOG`). Nothing of that may be lost, so whoever cannot be sure refuses:
//!
//! - Numbers that are equal: the hive is whole, and Windows does not look at the logs.
//! - New logs (Windows 8.1 and later): the entries of both files whose number is the hive's second one or higher are applied in their
//!   order. Windows stops at a gap and forgets what is behind it; here that is refused. An entry that ends in the midst was being written
//!   itself, and what it says had not been promised yet.
//! - Old logs: the sectors of the log that was written to its end, and at the hive's own time, are applied.
//! - No log holds anything for the hive (they are missing, empty, or older): Windows loads what is there, and so it is accepted here, but
//!   only when the checker finds it sound, and as an outcome of its own, so that a person can be told. A hive that is ahead by one with
//!   empty logs is common.

mod entries;
mod marvin;
mod sectors;

use std::fmt;

use vmdk2kvm_plugin_api::PluginError;

use super::base::{self, Base};
use super::{Fault, HiveError, check};

/// What became of a hive and its logs. It is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replayed {
    /// It was left whole; nothing is to be done.
    Whole,
    /// Its logs held what was missing in it.
    Applied {
        /// The hive with it.
        hive: Vec<u8>,
        /// How many steps of its history that were.
        steps: usize,
    },
    /// It was being written when it was left, but no log holds anything for it.
    Settled {
        /// The hive as it is, with equal numbers.
        hive: Vec<u8>,
    },
}

/// Why a hive cannot be brought up to date, in one sentence without the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The hive cannot be read.
    Hive(HiveError),
    /// A log cannot be read, or does not belong to the hive.
    Log {
        /// Its place among the logs, from 0.
        log: usize,
        /// What is wrong.
        what: String,
    },
    /// Between entries of the logs one is missing.
    Gap {
        /// The last one in front of it.
        last: u32,
        /// The next one that is there.
        next: u32,
    },
    /// The hive that came out is not sound.
    Unsound(Vec<Fault>),
}

impl From<HiveError> for ReplayError {
    fn from(error: HiveError) -> Self {
        Self::Hive(error)
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hive(error) => error.fmt(f),
            Self::Log { log, what } => {
                write!(f, "the hive was not written to its end, and its log {} {what}", log + 1)
            }
            Self::Gap { last, next } => write!(
                f,
                "the hive was not written to its end, and its logs lack what is between their entries {last} and {next}"
            ),
            Self::Unsound(faults) => {
                f.write_str("the hive was not written to its end, and is not sound with what its logs hold")?;
                faults.first().map_or(Ok(()), |fault| write!(f, " ({fault})"))
            }
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<ReplayError> for PluginError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Hive(error) => error.into(),
            _ => Self::unusable(error.to_string()).hint(HiveError::REMEDY),
        }
    }
}

/// Brings a hive up to date from its logs, in the order of their names; one that is missing is left out.
pub fn replay(hive: &[u8], logs: &[&[u8]]) -> Result<Replayed, ReplayError> {
    let base = Base::read(hive)?;
    if base.kind != 0 {
        return Err(HiveError::NoHive("it is a hive's log".to_owned()).into());
    }
    if base.first == base.second {
        return Ok(Replayed::Whole);
    }
    let mut history = Vec::new();
    let mut old = Vec::new();
    for (log, bytes) in logs.iter().enumerate() {
        let unusable = |what: &str| ReplayError::Log { log, what: what.to_owned() };
        // One that was never used is empty, or was given its length in advance.
        if bytes.iter().take(base::SECTOR).all(|byte| *byte == 0) {
            continue;
        }
        let head = Base::read(bytes).map_err(|_| unusable("is damaged"))?;
        let body = &bytes[base::SECTOR..];
        match head.kind {
            6 => history.extend(entries::read(log, body)),
            1 | 2 => old.push(sectors::Log { log, head, body }),
            _ => return Err(unusable("is of an unknown kind")),
        }
    }
    // What is added to a hive is in its logs.
    let limit = hive.len() + logs.iter().map(|log| log.len()).sum::<usize>();
    let mut hive = hive.to_vec();
    let applied = match entries::apply(&mut hive, &base, history, limit)? {
        None => sectors::apply(&mut hive, &base, old, limit)?,
        applied => applied,
    };
    let replayed = |hive| match applied {
        Some(Applied { steps, .. }) => Replayed::Applied { hive, steps },
        None => Replayed::Settled { hive },
    };
    let (bins, sequence) = match &applied {
        Some(Applied { bins, sequence, .. }) => (*bins, *sequence),
        None => (base.bins, base.first.max(base.second)),
    };
    base::seal(&mut hive, bins, sequence);
    check(&hive).map_err(ReplayError::Unsound)?;
    Ok(replayed(hive))
}

/// What logs made of a hive.
struct Applied {
    steps: usize,
    bins: u32,
    /// The number that the hive has now.
    sequence: u32,
}

#[cfg(test)]
mod tests;
