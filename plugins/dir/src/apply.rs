//! Carrying out changes. Each action leaves the tree as it was when it fails.

mod archive;
mod files;
mod program;

use vmdk2kvm_plugin_api::model::{Action, Applied, AppliedStatus, Change};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::guest::DirGuest;

/// Carries out one change.
pub(crate) fn apply(guest: &DirGuest, change: &Change) -> Result<Applied> {
    let target = change.target.as_str();
    let tree = &guest.tree;
    match &change.action {
        Action::WriteFile { content, mode, old_sha256 } => {
            files::write(tree, target, &content.to_bytes()?, *mode, old_sha256.as_deref())
        }
        Action::CopyFile { from, source_sha256, old_sha256 } => {
            files::copy(tree, from, source_sha256, target, old_sha256.as_deref())
        }
        Action::Remove { old_sha256 } => files::remove(tree, target, old_sha256.as_deref()),
        Action::Symlink { to } => files::symlink(tree, target, to),
        Action::ExtendInitramfs { kernel, drivers, files } => archive::extend(guest, target, kernel, drivers, files),
        Action::RebuildInitramfs { kernel, tool, drivers } => archive::rebuild(guest, target, kernel, *tool, drivers),
        Action::RemovePackages { manager, packages } => program::remove_packages(guest, *manager, packages),
        Action::Grow { .. } => {
            Err(PluginError::unusable(format!("{target}: a plain directory has no disks that can grow")))
        }
        other => {
            Err(PluginError::unusable(format!("{target}: this plugin does not know the change \"{}\"", other.kind()))
                .hint("install the version of dir that belongs to the plugin that planned it"))
        }
    }
}

fn done(detail: impl Into<String>) -> Applied {
    Applied::new(AppliedStatus::Done).with(|it| it.detail = detail.into())
}

fn unchanged() -> Applied {
    Applied::new(AppliedStatus::Unchanged)
}
