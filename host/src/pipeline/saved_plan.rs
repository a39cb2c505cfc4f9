//! `apply`: a plan that was saved, perhaps reviewed, and is now carried out, on the guest it was made for and on no other.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{GuestFingerprint, Plan, SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::config::{Input, Job, NewSize, Resize};

/// No plan is larger than this, in bytes.
const LIMIT: u64 = 256 << 20;

/// Reads a plan and the fingerprint of the guest it is for.
pub(super) fn read(path: &Path) -> Result<(Plan, GuestFingerprint)> {
    let metadata = path.metadata().map_err(|error| {
        PluginError::from_io(path.display(), &error).hint("name the file that `vmdk2kvm plan SOURCE --out FILE` saved")
    })?;
    if metadata.len() > LIMIT {
        return Err(PluginError::unusable(format!("{} is larger than {} MiB", path.display(), LIMIT >> 20)));
    }
    let text = std::fs::read(path).map_err(|error| PluginError::from_io(path.display(), &error))?;
    let plan: Plan = serde_json::from_slice(&text).map_err(|error| {
        PluginError::unusable(format!("{} is not a plan: {error}", path.display()))
            .hint("make one with `vmdk2kvm plan SOURCE --out plan.json`, of the version that will apply it")
    })?;
    let guest = plan.guest.clone().ok_or_else(|| {
        PluginError::unusable(format!("{} does not say which guest it is for", path.display()))
            .hint("make it with `vmdk2kvm plan SOURCE --out plan.json`")
    })?;
    Ok((plan, guest))
}

/// The source of a job, which may be named by a plan.
pub fn job_source(job: &Job) -> Result<Option<SourceRef>> {
    match &job.input {
        Input::Plan { path } => read(path).map(|(_, guest)| Some(source(&guest))),
        _ => Ok(job.source()),
    }
}

/// The source that a plan names.
pub(super) fn source(guest: &GuestFingerprint) -> SourceRef {
    SourceRef::new(&guest.source).with(|source| {
        source.extra_disks.clone_from(&guest.extra_disks);
        source.vm.clone_from(&guest.vm);
    })
}

/// The disks that the plan was made with larger than the source has them.
pub(super) fn resizes(plan: &Plan, now: &VmSpec) -> Vec<Resize> {
    let pairs = plan.vm.disks.iter().zip(&now.disks).zip(1..);
    let larger = pairs.filter(|((then, now), _)| then.capacity_bytes > now.capacity_bytes);
    larger
        .map(|((then, _), number)| Resize { disk: format!("{number}"), size: NewSize::To(then.capacity_bytes) })
        .collect()
}

/// Refuses a guest that is not in the state the plan was made for.
pub(super) fn refuse_changed(guest: &GuestFingerprint, now: &[&str]) -> Result<()> {
    if guest.disks == now {
        return Ok(());
    }
    let first = guest.disks.iter().zip(now).position(|(then, now)| then != now);
    let which = first.map_or_else(|| "its disks".to_owned(), |index| format!("disk {}", index + 1));
    Err(PluginError::unusable(format!(
        "{}: {which} changed since the plan was made",
        crate::events::escape(&guest.source)
    ))
    .hint("plan again, and review the new plan"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_nested_without_end_is_no_plan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        let deep = "[".repeat(100_000);
        // A member that nobody knows is passed over, however deep it is.
        let known = format!("{{\"schema\":1,\"vm\":{deep}");
        for text in [deep.clone(), "{\"schema\":".repeat(100_000), known, format!("{{\"unknown\":{deep}")] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.message.starts_with(&format!("{} is not a plan: ", path.display())), "{error}");
            assert!(error.hint.is_some());
        }
    }
}
