//! `Report`: everything a finished run says about itself, as data.
//!
//! Owns the format of `report.json`. How it is written and drawn is the business of the other files of this folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{
    AppliedStatus, ChainReport, Change, Finding, Inspection, Machine, PowerState, Verdict, VmSpec,
};

use crate::events::{ErrorDocument, Phase, Stage, StageStatus};

/// Schema number of `report.json`.
pub const SCHEMA: u32 = 1;

/// What a run did, with its evidence: the content of `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Schema number: [`SCHEMA`].
    pub schema: u32,
    /// The program that wrote it.
    pub tool: Tool,
    /// The command, e.g. `migrate`.
    pub command: String,
    /// When the run began, UTC, RFC 3339.
    pub started: String,
    /// When it ended, UTC, RFC 3339.
    pub finished: String,
    /// Wall time in seconds, by the monotonic clock.
    pub seconds: f64,
    /// The machine.
    pub vm: VmSpec,
    /// What its disks say; `None` when INSPECT was not done.
    #[serde(default)]
    pub inspection: Option<Inspection>,
    /// The new machine; `None` when the guest was not looked at.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// The way that the bytes of each disk came.
    #[serde(default)]
    pub ways: Vec<WayRecord>,
    /// What was written down for each target.
    #[serde(default)]
    pub targets: Vec<TargetRecord>,
    /// The source and the proof that it was not touched.
    pub source: Source,
    /// The stages in order.
    pub stages: Vec<StageRecord>,
    /// The chain of each disk, in the order of the disks.
    pub chain: Vec<ChainReport>,
    /// Findings of the inspection and of the fixers.
    pub findings: Vec<Finding>,
    /// The changes of the plan and what became of them.
    pub changes: Vec<ChangeRecord>,
    /// Whether planning again after FIX gave nothing; `None` when FIX was not done.
    pub converged: Option<bool>,
    /// The final images, in the order of the disks.
    pub images: Vec<ImageRecord>,
    /// The boot test; `None` when it was not done.
    pub test: Option<TestRecord>,
    /// Things the user should know although the run went on.
    pub warnings: Vec<String>,
    /// What ended the run, when something did.
    #[serde(default)]
    pub error: Option<ErrorDocument>,
    /// How guests were run on this machine: `kvm` or `tcg`; `None` when none was run.
    #[serde(default)]
    pub accelerator: Option<String>,
    /// Processors of this machine that the run could use; `None` in the report of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processors: Option<u32>,
    /// Whether the run was shut in; `None` in the report of an older version.
    #[serde(default)]
    pub containment: Option<Containment>,
    /// The rounds of a warm migration; `None`: it was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<WarmRecord>,
    /// Digest of everything the result depends on, by which a run recognises that it was done already.
    #[serde(default)]
    pub key: Option<String>,
    /// What the key is made of, by names, to say what another result differs in: words and digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_parts: Option<BTreeMap<String, String>>,
}

/// The way that the bytes of a disk came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayRecord {
    /// Name of the disk.
    pub disk: String,
    /// The kind of way.
    pub scheme: String,
    /// `name version` of the plugin that carried it.
    pub plugin: String,
    /// Why the source's plugin puts it before others; empty: it does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why no better one was taken: the ways and the plugins that were asked before, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// A migration in rounds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WarmRecord {
    /// The rounds so far, those of former runs too.
    pub rounds: Vec<RoundRecord>,
    /// The command that ends the migration; `None`: it has been ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What the cut-over left at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceAfter>,
    /// Bytes of the source that were read once more after the last round, and found to be those of the images.
    #[serde(default)]
    pub verified_bytes: u64,
    /// How to go back to the source; empty before the cut-over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rollback: String,
}

/// A round: everything that is new since the one before, from one moment of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// Its number; 0 is the first, with all of the disks.
    pub round: u32,
    /// Bytes that the source called changed; of a disk that was copied in full, its data.
    pub changed_bytes: u64,
    /// Bytes that were read of the source.
    pub moved_bytes: u64,
    /// Wall time in seconds, from the first question to the source until all was durable.
    pub seconds: f64,
    /// Names of the disks that were copied in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub full: Vec<String>,
    /// It was the one of the cut-over, after the machine was off.
    #[serde(default)]
    pub last: bool,
}

/// The source after a cut-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceAfter {
    /// Whether the machine runs.
    pub power: PowerState,
    /// Snapshots that it has; `None`: not known.
    pub snapshots: Option<u32>,
}

/// What was written down for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// The target.
    pub name: String,
    /// `name version` of the plugin.
    pub plugin: String,
    /// Names of the files in the output folder, the one that defines the machine first.
    pub files: Vec<String>,
}

/// The program that wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Version of the plugin contract.
    pub api: String,
}

impl Tool {
    /// This program.
    pub fn this() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: vmdk2kvm_plugin_api::API_VERSION.to_owned(),
        }
    }
}

/// Whether plugins and their tools were shut in to the folders that they need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containment {
    /// Whether they were.
    pub contained: bool,
    /// By what, or why not.
    pub reason: String,
}

/// The source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Source {
    /// As the user named it, without a password.
    pub uri: String,
    /// Its disks in order.
    pub disks: Vec<SourceDisk>,
    /// What was taken at it while it was read, and given back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// What was held kept it from changing: it was not looked at again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
}

impl Source {
    /// Whether every disk that was looked at again is as it was.
    pub fn is_unchanged(&self) -> bool {
        self.disks.iter().all(|disk| disk.after.is_none() || disk.after.as_ref() == Some(&disk.before))
    }
}

/// A disk of the source, with the digest that identifies its state before and after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDisk {
    /// Name for people.
    pub name: String,
    /// Every file whose bytes were read.
    pub files: Vec<String>,
    /// Digest over the files' fingerprints before the run.
    pub before: String,
    /// The same after the run; `None` when the run did not come that far.
    pub after: Option<String>,
    /// Whether this run found a digest right that the source states, as a manifest does. One that is wrong ends the run.
    #[serde(default)]
    pub verified: bool,
}

/// A stage of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Which.
    pub name: Stage,
    /// `name version` of the plugin; `None` for what the host does itself.
    pub plugin: Option<String>,
    /// How it ended.
    pub status: StageStatus,
    /// Seconds from the start of the run to the start of the stage: stages overlap.
    #[serde(default)]
    pub started_seconds: f64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Bytes it read or wrote.
    pub bytes: u64,
    /// The round of a warm migration that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    /// What the time went to, as far as it was told, in the order of beginning.
    #[serde(default)]
    pub phases: Vec<Phase>,
}

/// A change of the plan and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// The change; its members are members of this one.
    #[serde(flatten)]
    pub change: Change,
    /// What became of it.
    pub status: ChangeStatus,
    /// What a person may want to know about that.
    #[serde(default)]
    pub detail: String,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    /// Done, and read back where that is possible.
    Done,
    /// It was so already.
    Unchanged,
    /// It failed; the guest is as before this change.
    Failed,
    /// The run did not come to it.
    NotDone,
}

impl ChangeStatus {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::NotDone => "not done",
        }
    }
}

impl From<AppliedStatus> for ChangeStatus {
    fn from(status: AppliedStatus) -> Self {
        match status {
            AppliedStatus::Done => Self::Done,
            AppliedStatus::Unchanged => Self::Unchanged,
            _ => Self::Failed,
        }
    }
}

/// A final image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Path, relative to the folder of the report where it lies in it.
    pub path: String,
    /// Format.
    pub format: String,
    /// Bytes of the file that are stored.
    pub bytes: u64,
    /// Length of the file in bytes; `None` in the report of an older version.
    #[serde(default)]
    pub file_bytes: Option<u64>,
    /// Bytes the guest sees.
    pub virtual_size: u64,
    /// SHA-256 (hex) of the file; none for `flatten` and `convert`, whose images are digested by content while they are written.
    pub sha256: Option<String>,
    /// SHA-256 (hex) of what the guest sees.
    pub content_sha256: Option<String>,
}

/// The boot test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestRecord {
    /// `name version` of the plugin.
    pub plugin: String,
    /// What it saw; its members are members of this one.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Which machine it saw.
    #[serde(default)]
    pub machine: TestedMachine,
}

/// The machine of a boot test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestedMachine {
    /// The one that was decided for the guest.
    #[default]
    Best,
    /// The one that is tried when nothing shows that the guest comes up on its best one.
    Lesser,
}
