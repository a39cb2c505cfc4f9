//! A VM in an inventory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Finding, PowerState, VmSpec};

/// A VM of a source with many, as far as a list of all tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VmSummary {
    /// Its description. A catalog of thousands may leave out what only [`crate::Catalog::describe`] finds out.
    #[serde(flatten)]
    pub vm: VmSpec,
    /// Where it is in the source's own order, e.g. a folder path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerState>,
    /// The host it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Storage its disks lie on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datastores: Vec<String>,
    /// Bytes it takes at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// How many snapshots it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<u32>,
    /// Whether the source tracks changed blocks of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_tracking: Option<bool>,
    /// What stands against migrating it, seen from the source.
    #[serde(default)]
    pub concerns: Vec<Finding>,
    /// Names that only this kind of source has for it: a source whose query has `KIND=NAME`, by the same word, means this VM.
    #[serde(flatten)]
    pub names: BTreeMap<String, serde_json::Value>,
}

impl VmSummary {
    /// A VM of which nothing but its description is known.
    pub fn new(vm: VmSpec) -> Self {
        Self {
            vm,
            path: None,
            power: None,
            host: None,
            datastores: Vec::new(),
            used_bytes: None,
            snapshots: None,
            change_tracking: None,
            concerns: Vec::new(),
            names: BTreeMap::new(),
        }
    }
}

grows!(VmSummary);
