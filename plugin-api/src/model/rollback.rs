//! What became of a running guest whose changes were taken back.

use serde::{Deserialize, Serialize};

use super::growth::grows;

/// What was put back, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RolledBack {
    /// The run whose changes they were; `None`: there was nothing to take back.
    #[serde(default)]
    pub run: Option<String>,
    /// Paths in the guest that are as they were before.
    #[serde(default)]
    pub restored: Vec<String>,
    /// Paths that are left as they are: somebody else has changed them since.
    #[serde(default)]
    pub left: Vec<LeftAlone>,
}

/// A path that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeftAlone {
    /// The path in the guest.
    pub path: String,
    /// Why, for people.
    pub reason: String,
}

impl LeftAlone {
    /// A path, and why it is left.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

grows!(RolledBack, LeftAlone);
