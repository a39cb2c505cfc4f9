//! What a run takes at a source, and gives back.
//!
//! A snapshot, a lease, change tracking, a power state: [`crate::Catalog::hold`] takes it before a byte is read, the host journals the
//! answer, and [`crate::Catalog::release`] gives it back, at the end or by a later run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::growth::grows;

/// What a run would like to take, and what the user allows it to change at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HoldWish {
    /// The run's id: holding again for the same run gives the same hold.
    pub run: String,
    /// A snapshot may be made (`--snapshot`).
    #[serde(default)]
    pub snapshot: bool,
    /// Change tracking may be turned on (`--enable-cbt`).
    #[serde(default)]
    pub change_tracking: bool,
    /// The VM may be shut down (`--power-off`).
    #[serde(default)]
    pub power_off: bool,
    /// The schemes of the ways by which its disks will be read, as far as the host knows before it opens one: of each disk that of the first
    /// way that a plugin here carries. A disk that can be read in one way alone is refused where that is not among them. Empty, too, where the VM
    /// was described without findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<String>,
    /// The number of a round of a warm migration, from 0. What is held for it is the machine as it is now, whether it runs or not, with
    /// [`Hold::since`] of its disks; a snapshot that an earlier hold of this run left is given back first. Findings that only stand in the way
    /// of rounds are errors of kind `Blocked`. `None`: the disks are read once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
}

impl HoldWish {
    /// A wish that allows no change.
    pub fn new(run: impl Into<String>) -> Self {
        let schemes = Vec::new();
        Self { run: run.into(), snapshot: false, change_tracking: false, power_off: false, schemes, round: None }
    }
}

/// What is held at a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hold {
    /// Schema number: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// The holder's own id for it; empty: nothing is held, and nothing has to be released.
    #[serde(default)]
    pub id: String,
    /// What was taken, one line for people each: `snapshot "vmdk2kvm 1f3a" of web`.
    #[serde(default)]
    pub took: Vec<String>,
    /// Of these lines those that stay between the rounds of a warm migration, after [`Release::Round`]: change tracking that was turned on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Of each disk, by its [`Disk::id`](super::Disk::id), the word by which [`Catalog::changed`](crate::Catalog::changed) is asked, with a
    /// later hold, for what changed after this one was taken. A disk that is not named is one whose changes nobody tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, String>,
    /// What is read cannot change while this is held. Otherwise the host compares fingerprints.
    #[serde(default)]
    pub frozen: bool,
    /// The holder's own notes, without secrets.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub notes: serde_json::Value,
}

impl Hold {
    /// Nothing is held.
    pub fn nothing() -> Self {
        Self::new("")
    }

    /// A hold of this id.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            schema: super::SCHEMA,
            id: id.into(),
            took: Vec::new(),
            kept: Vec::new(),
            since: BTreeMap::new(),
            frozen: false,
            notes: serde_json::Value::Null,
        }
    }

    /// Whether there is something to release.
    pub fn is_nothing(&self) -> bool {
        self.id.is_empty()
    }
}

/// Why a hold is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Release {
    /// The run has all it wanted.
    Done,
    /// A round of a warm migration is over, or ended early: what only it needed is given back, the snapshot; what the next ones need stays,
    /// see [`Hold::kept`]. An older plugin reads this as `Abandoned`, after which the next round copies everything again.
    Round,
    /// The run ended otherwise, or was given up. A word of a newer host is read as this one.
    #[serde(other)]
    Abandoned,
}

/// A page of the areas of a disk that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Changed {
    /// Offset and length in bytes, ascending, without overlaps.
    pub areas: Vec<(u64, u64)>,
    /// Where the next page begins; `None`: this was the last.
    #[serde(default)]
    pub next: Option<u64>,
}

impl Changed {
    /// The last page.
    pub fn new(areas: Vec<(u64, u64)>) -> Self {
        Self { areas, next: None }
    }
}

/// What is asked of a VM's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PowerWish {
    /// Shut the guest down, and wait until it is off.
    ShutDown,
    /// Ask the guest to shut down, and do not wait; `Blocked` when it cannot be asked.
    Ask,
    /// Switch the VM off at once, as a power cut does, and wait until it is off.
    Off,
    /// Switch the VM on.
    On,
    /// Change nothing and tell. A word of a newer host is read as this one.
    #[serde(other)]
    Tell,
}

/// Whether a VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PowerState {
    /// It runs.
    On,
    /// It is off.
    Off,
    /// Its memory is kept and it does not run.
    Suspended,
    /// Not known: to be treated as running.
    #[default]
    #[serde(other)]
    Unknown,
}

grows!(HoldWish, Hold, Changed);
