//! Carrying out changes. Each action leaves the guest as it was when it fails.

mod archive;
mod checked;
mod device;
mod files;
mod grow;
mod held;
mod hive;
mod packages;

use vmdk2kvm_linux_guest::program;
use vmdk2kvm_plugin_api::model::{Action, Applied, AppliedStatus, Change};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::guest::ApplianceGuest;

/// Carries out one change.
pub fn apply(guest: &ApplianceGuest, change: &Change) -> Result<Applied> {
    let target = change.target.as_str();
    let done = match &change.action {
        // These touch more than one file, or none.
        Action::RemovePackages { .. } | Action::Grow { .. } | Action::EditDevice { .. } => carry_out(guest, change),
        _ => held::release(guest, target, || carry_out(guest, change)),
    };
    done.map_err(|error| if error.message.contains(target) { error } else { error.context(target) })
}

fn carry_out(guest: &ApplianceGuest, change: &Change) -> Result<Applied> {
    let target = change.target.as_str();
    match &change.action {
        Action::WriteFile { content, mode, old_sha256 } => {
            files::write(guest, target, &content.to_bytes()?, *mode, old_sha256.as_deref())
        }
        Action::CopyFile { from, source_sha256, old_sha256 } => {
            files::copy(guest, from, source_sha256, target, old_sha256.as_deref())
        }
        Action::Remove { old_sha256 } => files::remove(guest, target, old_sha256.as_deref()),
        Action::Symlink { to } => files::symlink(guest, target, to),
        Action::CopyIn { from, offset, sha256, bytes, old_sha256 } => {
            let part = files::Part { from, offset: *offset, bytes: *bytes, sha256 };
            files::copy_in(guest, &part, target, old_sha256.as_deref())
        }
        Action::EditRegistry { edits } => hive::edit(guest, target, edits),
        Action::ReplayLog { old_sha256 } => hive::replay(guest, target, old_sha256),
        Action::RemovePackages { manager, packages } => packages::remove(guest, *manager, packages),
        Action::RebuildInitramfs { kernel, tool, drivers } => archive::rebuild(guest, target, kernel, *tool, drivers),
        Action::ExtendInitramfs { kernel, drivers, files } => archive::extend(guest, target, kernel, drivers, files),
        Action::Grow { layer, old_bytes, new_bytes } => grow::grow(guest, target, *layer, *old_bytes, *new_bytes),
        Action::EditDevice { offset, old, new } => device::edit(guest, target, *offset, old, new),
        other => Err(PluginError::unusable(format!("this plugin does not know the change \"{}\"", other.kind())).hint(
            "install the plugins of one release: the one that planned it is newer than the one that opened the guest",
        )),
    }
}

/// Runs a program of the guest; what it said.
fn run(guest: &ApplianceGuest, command: &[String]) -> Result<String> {
    let mut words = vec!["env".to_owned()];
    words.extend(program::ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}")));
    words.extend_from_slice(command);
    guest.files.appliance.command(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn done(detail: impl Into<String>) -> Applied {
    Applied::new(AppliedStatus::Done).with(|it| it.detail = detail.into())
}

fn unchanged() -> Applied {
    Applied::new(AppliedStatus::Unchanged)
}
