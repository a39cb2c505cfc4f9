//! The plan: what will be changed, and against which guest it was made.

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Change, Finding, GrownDisk, Inspection, Machine, VmSpec};

/// Findings and an ordered list of changes. Can be saved, reviewed, and applied later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
    /// The new machine, as it will be when the changes are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// The guest the plan was made against; applying to another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestFingerprint>,
}

impl Plan {
    /// A plan of no changes, with the findings of the inspection.
    pub fn new(vm: VmSpec, inspection: Inspection) -> Self {
        let findings = inspection.findings.clone();
        Self { schema: super::SCHEMA, vm, inspection, findings, changes: Vec::new(), machine: None, guest: None }
    }
}

/// Identifies the state of a guest's disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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

impl GuestFingerprint {
    /// A source whose disks are in these states.
    pub fn new(source: impl Into<String>, disks: Vec<String>) -> Self {
        Self { source: source.into(), extra_disks: Vec::new(), vm: None, disks }
    }
}

/// What a fixer is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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

impl PlanContext {
    /// A guest that does not run and whose disks keep their size.
    pub fn new(vm: VmSpec, inspection: Inspection) -> Self {
        Self { vm, inspection, live: false, grown: Vec::new() }
    }
}

/// What a fixer answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FixerPlan {
    /// What it noticed.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What it wants done, in order.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Drivers of the hardware that a machine may have which the guest will start with when these changes are applied, in the words of
    /// [`Inspection::drives`].
    #[serde(default)]
    pub drives: Vec<String>,
    /// What the guest would like of its machine: `clock-local`, `enlightenments`, `tpm`, ... A word that the host does not know is told.
    #[serde(default)]
    pub wants: Vec<String>,
}

impl FixerPlan {
    /// These changes.
    pub fn new(changes: Vec<Change>) -> Self {
        Self { changes, ..Self::default() }
    }
}

grows!(Plan, GuestFingerprint, PlanContext, FixerPlan);
