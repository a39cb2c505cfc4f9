//! What is remembered from round to round, in the work folder: a record for each disk, and the list of rounds.
//!
//! A disk's record is written when what it says of the image is durable. Before the first byte of a base it is written, too: then it has the word of the
//! first hold, so that a base that was finished with a later hold gets what changed in between.

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::journal::{Records, StageKey};
use crate::pipeline::output::ROUNDS;
use crate::report::RoundRecord;

/// The record of the list.
const LIST: &str = "list";

/// What tells a disk from another one in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The source's key for it.
    pub id: String,
    /// What the source marks it by, where it does.
    pub uuid: Option<String>,
    /// In bytes.
    pub capacity: u64,
}

impl Identity {
    /// Digest of it, for keys.
    pub fn key(&self, more: &[&str]) -> StageKey {
        let capacity = self.capacity.to_string();
        let own = ["round", self.id.as_str(), self.uuid.as_deref().unwrap_or_default(), capacity.as_str()];
        StageKey::new(&[&own, more].concat())
    }
}

/// How far the image of a disk is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DiskState {
    /// The disk.
    pub disk: Identity,
    /// By this word the source tells what the image lacks.
    pub since: String,
    /// The round whose moment the image is of; `None`: its base is not whole yet.
    pub round: Option<u32>,
    /// The last round that changed a byte of it.
    pub content: u32,
    /// What was held at the source for that round.
    pub held: Vec<String>,
}

/// The rounds of a folder.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Rounds {
    /// The beginning of its files' names: a machine may get another name meanwhile.
    pub name: String,
    /// Those that were finished.
    pub done: Vec<RoundRecord>,
}

impl Rounds {
    /// The number of the next one.
    pub fn next(&self) -> u32 {
        self.done.last().map_or(0, |last| last.round.saturating_add(1))
    }

    /// Those of a work folder.
    pub fn read(records: &Records) -> Self {
        records.read(&name(LIST), &key()).unwrap_or_default()
    }

    /// Writes them down.
    pub fn write(&self, records: &Records) -> Result<()> {
        records.write(&name(LIST), &key(), self)
    }
}

impl DiskState {
    /// That of the disk at this place.
    pub fn read(records: &Records, index: usize) -> Option<Self> {
        records.read(&disk_name(index), &key())
    }

    /// Writes it down: what it says of the image is durable.
    pub fn write(&self, records: &Records, index: usize) -> Result<()> {
        records.write(&disk_name(index), &key(), self)
    }

    /// Forgets it.
    pub fn remove(records: &Records, index: usize) -> Result<()> {
        records.remove(&disk_name(index))
    }

    /// A digest of what the image holds.
    pub fn print(&self) -> String {
        self.disk.key(&[&self.content.to_string()]).as_str().to_owned()
    }
}

fn key() -> StageKey {
    StageKey::new(&["rounds"])
}

/// The name of a record.
pub(super) fn name(what: &str) -> String {
    format!("{ROUNDS}{what}")
}

fn disk_name(index: usize) -> String {
    name(&format!("disk-{}", index + 1))
}

/// The error of a folder without rounds.
pub(super) fn none(dir: &std::path::Path) -> PluginError {
    PluginError::unusable(format!("{} holds no migration in rounds", dir.display())).hint(
        "begin one with `vmdk2kvm migrate SOURCE --warm -o DIR`; with --work-dir where that was given, the same is needed here",
    )
}
