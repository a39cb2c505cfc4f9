//! What FLATTEN found when it opened a disk's chain.

use serde::{Deserialize, Serialize};

use super::growth::grows;

/// A disk's chain of files, from the topmost (what the VM wrote last) to the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChainReport {
    /// Schema number: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// Capacity in bytes of the flat view.
    pub capacity_bytes: u64,
    /// Topmost first.
    pub links: Vec<ChainLink>,
    /// What the format says that the guest could see as the disk's serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Things worth telling that do not stop the run.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl ChainReport {
    /// A chain of these links, the topmost first.
    pub fn new(capacity_bytes: u64, links: Vec<ChainLink>) -> Self {
        Self { schema: super::SCHEMA, capacity_bytes, links, serial: None, warnings: Vec::new() }
    }
}

/// One link of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChainLink {
    /// Object reference of the link's descriptor.
    pub object: String,
    /// Format and subformat, e.g. `vmdk/monolithicSparse`.
    pub format: String,
    /// Object references of every file whose bytes this link reads (extents; the descriptor itself included).
    pub files: Vec<String>,
    /// Content id of this link, where the format has one.
    #[serde(default)]
    pub content_id: Option<String>,
    /// Content id that this link expects of its parent.
    #[serde(default)]
    pub parent_content_id: Option<String>,
}

impl ChainLink {
    /// A link whose bytes are in these files.
    pub fn new(object: impl Into<String>, format: impl Into<String>, files: Vec<String>) -> Self {
        Self { object: object.into(), format: format.into(), files, content_id: None, parent_content_id: None }
    }
}

grows!(ChainReport, ChainLink);
