//! What an inspector or a fixer noticed.

use serde::{Deserialize, Serialize};

/// Something noticed in the guest, with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// Stable code, lower case with dashes, e.g. `initramfs-without-virtio`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// What can be done about it.
    #[serde(default)]
    pub hint: String,
}

impl Finding {
    /// A finding without a hint.
    pub fn new(code: impl Into<String>, severity: Severity, message: impl Into<String>) -> Self {
        Self { code: code.into(), severity, message: message.into(), hint: String::new() }
    }

    /// Adds what can be done.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "String")]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// May cost a service or a device; ends up among the report's warnings. A word of a newer contract is read as this one.
    Warn,
    /// The result would not boot or would lose data: stops the run.
    Block,
}

impl From<String> for Severity {
    fn from(word: String) -> Self {
        match word.as_str() {
            "info" => Self::Info,
            "block" => Self::Block,
            _ => Self::Warn,
        }
    }
}
