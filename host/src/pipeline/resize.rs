//! Disks that get larger: a flat view with a hole behind its end. Everything after FLATTEN, the guest's appliance included, sees a disk of
//! the new size, and the source is none the wiser. What lies on the disk grows by changes of the plan, if at all.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{Action, GrownDisk, Plan, VmSpec};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::disk::{Disk, named};
use super::run::Run;
use super::source::Grown;
use crate::config::{Command, Resize};
use crate::events::{Stage, bytes, escape};

/// Grows the disks that are named.
pub(super) fn grow(run: &Run<'_>, resizes: &[Resize], vm: &mut VmSpec, disks: &mut [Disk]) -> Result<()> {
    let usage = |message: String| PluginError::new(ErrorKind::Usage, message);
    for (at, resize) in resizes.iter().enumerate() {
        let index = named(disks, &resize.disk, "to be resized")?;
        let disk = &mut disks[index];
        if resizes[..at].iter().any(|former| former.is_of(index + 1, &disk.name)) {
            return Err(usage(format!("{} is resized twice", escape(&disk.name))).hint("give one size for each disk"));
        }
        let now = disk.source.size();
        let size = resize.size.of(now);
        if size < now {
            let message = format!("{} has {} and cannot get {}", escape(&disk.name), bytes(now), bytes(size));
            return Err(usage(format!("{message}: a smaller disk would lose what lies behind its end"))
                .hint("give a larger size, or +SIZE to grow it; shrink it in the guest before it is migrated"));
        }
        if size > now {
            disk.grown_from = Some(now);
        }
        disk.source = Arc::new(Grown { source: Arc::clone(&disk.source), size });
        vm.disks[index].capacity_bytes = size;
    }
    if !will_fix(run) {
        warn_of_each(run, disks);
    }
    Ok(())
}

/// Whether what is planned is, or is meant to be, carried out.
pub(super) fn will_fix(run: &Run<'_>) -> bool {
    run.job.command == Command::Plan || run.job.wants(Stage::Fix)
}

/// The disks that grew, for the fixers.
pub(super) fn grown(disks: &[Disk]) -> Vec<GrownDisk> {
    let grown = (0u32..)
        .zip(disks)
        .filter_map(|(index, disk)| Some(GrownDisk::new(index, disk.grown_from?, disk.source.size())));
    grown.collect()
}

/// Says so when a plan makes nothing on the larger disks larger. Why, is among its findings.
pub(super) fn warn(run: &Run<'_>, disks: &[Disk], plan: &Plan) {
    let grows = plan.changes.iter().any(|change| matches!(change.action, Action::Grow { .. }));
    if !grows && will_fix(run) {
        warn_of_each(run, disks);
    }
}

fn warn_of_each(run: &Run<'_>, disks: &[Disk]) {
    for disk in disks {
        let Some(old) = disk.grown_from else { continue };
        let (name, old, new) = (escape(&disk.name), bytes(old), bytes(disk.source.size()));
        run.services.warn(format!("{name} grows from {old} to {new}, and what is on it keeps its size"));
    }
}
