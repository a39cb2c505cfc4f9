//! What a boot test saw.

use serde::{Deserialize, Serialize};

use super::growth::grows;

/// The outcome of a boot test, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Schema number: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// Outcome.
    pub verdict: VerdictKind,
    /// Stable word for what decided it: `login-prompt`, `systemd-target`, `sshd`, `guest-agent`; or `initramfs-prompt`, `grub-rescue`,
    /// `emergency-mode`, `panic`, `stop-screen`, `no-bootable-device`, `timeout`, ...
    pub reason: String,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// Wall time of the test in seconds.
    pub seconds: f64,
    /// How the guest was run, e.g. `tcg` or `kvm`.
    #[serde(default)]
    pub accelerator: String,
}

impl Verdict {
    /// An outcome, and the word for what decided it.
    pub fn new(verdict: VerdictKind, reason: impl Into<String>) -> Self {
        let (evidence, accelerator) = (Vec::new(), String::new());
        Self { schema: super::SCHEMA, verdict, reason: reason.into(), evidence, seconds: 0.0, accelerator }
    }
}

/// Outcome of a boot test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VerdictKind {
    /// Positive evidence that the guest came up.
    Passed,
    /// It did not come up.
    Failed,
    /// Nothing was proven, neither way. A word of a newer contract is read as this one.
    #[serde(other)]
    Inconclusive,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evidence {
    /// `console`, `screenshot`, `network`, `guest-agent`, `first-start`.
    pub kind: String,
    /// What was seen, control characters escaped.
    pub detail: String,
    /// File below the evidence folder that shows it.
    #[serde(default)]
    pub file: Option<String>,
}

impl Evidence {
    /// Something that was seen.
    pub fn new(kind: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: kind.into(), detail: detail.into(), file: None }
    }
}

grows!(Verdict, Evidence);
