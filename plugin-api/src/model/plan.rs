//! The plan: what will be changed, and against which guest it was made.

use serde::{Deserialize, Serialize};

use super::{Change, Finding, GrownDisk, Inspection, VmSpec};

/// Findings and an ordered list of changes. Can be saved, reviewed, and applied later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Schema number: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// The machine.
    pub vm: VmSpec,
    /// What its disks say.
    pub inspection: Inspection,
    /// Findings of the inspection and of every fixer.
    pub findings: Vec<Finding>,
    /// In the order they are applied.
    pub changes: Vec<Change>,
    /// The guest the plan was made against; applying to another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestFingerprint>,
}

/// Identifies the state of a guest's disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFingerprint {
    /// The source as the user named it.
    pub source: String,
    /// Further disks that the user named, in order.
    #[serde(default)]
    pub extra_disks: Vec<String>,
    /// Which VM of the source, where it has several.
    #[serde(default)]
    pub vm: Option<String>,
    /// One digest for each disk over what identifies its state.
    pub disks: Vec<String>,
}

/// What a fixer is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanContext {
    /// The machine.
    pub vm: VmSpec,
    /// What its disks say.
    pub inspection: Inspection,
    /// The guest is running: only what is safe on a live system may be planned.
    #[serde(default)]
    pub live: bool,
    /// Disks that the user wants larger, and that are.
    #[serde(default)]
    pub grown: Vec<GrownDisk>,
}

/// What a fixer answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FixerPlan {
    /// What it noticed.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What it wants done, in order.
    #[serde(default)]
    pub changes: Vec<Change>,
}
