//! Whether this machine's KVM really runs a guest.
//!
//! That `/dev/kvm` exists and opens proves nothing: nested virtualisation and sandboxes let qemu abort, or hang the guest. So a tiny guest is
//! started ([`probe`]), and the answer is kept until the next start of this machine ([`kept`]), for the case in which only the time-out
//! ends the probe.
#![warn(missing_docs)]

mod kept;
mod probe;

use std::path::Path;
use std::time::Instant;

use serde::Deserialize;
use vmdk2kvm_plugin_api::{PluginError, Result, tracing};

use kept::Kept;
use probe::Outcome;

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// qemu's translator.
    Tcg,
}

impl Accelerator {
    /// qemu's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// What a tester's setting says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// KVM where it runs a guest, as [`choose`] finds out.
    Auto,
    /// The processor.
    Kvm,
    /// qemu's translator.
    Tcg,
}

impl Choice {
    /// The accelerator that is meant; the rest is as for [`choose`].
    pub fn accelerator(self, program: &Path, folder: &Path, stop: &dyn Fn() -> bool) -> Result<Accelerator> {
        match self {
            Self::Auto => choose(program, folder, stop),
            Self::Kvm => Ok(Accelerator::Kvm),
            Self::Tcg => Ok(Accelerator::Tcg),
        }
    }
}

/// Chooses by a kept answer or a probe. `program` is qemu, a name on `PATH` or a path; `folder` takes a small file for a moment; `stop` is
/// asked while the probe runs.
pub fn choose(program: &Path, folder: &Path, stop: &dyn Fn() -> bool) -> Result<Accelerator> {
    if cfg!(not(target_arch = "x86_64")) || !Path::new("/dev/kvm").exists() {
        return Ok(Accelerator::Tcg);
    }
    let kept = Kept::of(program);
    if let Some(known) = kept.as_ref().and_then(Kept::recall) {
        return Ok(known);
    }
    let begin = Instant::now();
    let outcome = probe::probe(program, Accelerator::Kvm, folder, stop);
    let milliseconds = begin.elapsed().as_millis() as u64;
    let answer = match outcome {
        Outcome::Runs => Accelerator::Kvm,
        Outcome::Fails(why) => {
            tracing::info!(milliseconds, "hardware acceleration does not run a guest here, using translation: {why}");
            Accelerator::Tcg
        }
        Outcome::Stopped => return Err(PluginError::interrupted()),
        // That says nothing about KVM, and the next run may be luckier.
        Outcome::NotTried(why) => {
            tracing::info!("whether hardware acceleration runs a guest cannot be tried, using translation: {why}");
            return Ok(Accelerator::Tcg);
        }
    };
    if let Some(kept) = kept {
        // Losing the answer only costs the next run a probe.
        let _ = kept.remember(answer);
    }
    Ok(answer)
}
