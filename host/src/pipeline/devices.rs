//! Disks whose bytes go onto block devices: whether a device can take its disk, and when it is this run's to write on.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::disk::{Disk, named};
use super::output::Output;
use super::run::Run;
use crate::device::{Claim, Device, Lineage};
use crate::events::{bytes, escape};
use crate::journal::StageKey;

/// Gives the disks the devices that the job names for them.
pub(super) fn assign(run: &Run<'_>, disks: &mut [Disk]) -> Result<()> {
    for out in &run.job.settings.disk_out {
        let index = named(disks, &out.disk, "to be written onto a device")?;
        let device = Device::find(&out.device)?;
        let (name, path) = (escape(&disks[index].name).into_owned(), out.device.display());
        if disks[index].device.is_some() {
            return Err(PluginError::new(ErrorKind::Usage, format!("{name} is written onto two devices"))
                .hint("name one device for each disk"));
        }
        let target = Lineage::of(&out.device);
        let files: Vec<String> = disks.iter().flat_map(Disk::files).collect();
        if let Some(file) = files.iter().find(|file| Lineage::of(Path::new(file)).meets(&target)) {
            let file = escape(file);
            return Err(PluginError::output(format!("{path} holds the bytes of {file}, which is the source"))
                .hint("name another device: the source is never written to"));
        }
        let others = disks.iter().filter_map(|disk| disk.device.as_ref());
        if let Some(other) = others.map(Device::path).find(|other| Lineage::of(other).meets(&target)) {
            return Err(PluginError::output(format!("{path} and {} hold the same bytes", other.display()))
                .hint("name a device of its own for each disk"));
        }
        let size = disks[index].size();
        if device.size() < size {
            let has = bytes(device.size());
            return Err(PluginError::output(format!("{path} has {has}, and {name} needs {}", bytes(size)))
                .hint("make the device larger, or name another one"));
        }
        disks[index].device = Some(device);
    }
    Ok(())
}

/// What a device that is larger than its disk means.
pub(super) fn findings(disks: &[Disk]) -> Vec<Finding> {
    let finding = |disk: &Disk| {
        let device = disk.device.as_ref().filter(|device| device.size() > disk.size())?;
        let (name, path) = (escape(&disk.name), device.path().display());
        let message = format!(
            "{path} has {} more than {name}, which the guest sees as unused",
            bytes(device.size() - disk.size())
        );
        Some(Finding::new("device-larger", Severity::Info, message).hint(format!(
            "to use that for the guest's root: --resize {}={}",
            disk.index + 1,
            device.size() / 512 * 512
        )))
    };
    disks.iter().filter_map(finding).collect()
}

/// Claims the devices before the first byte. One that something is stored on is written only when that is allowed, or when that is this job's
/// own work. `ours` is finished.
pub(super) fn claim(run: &Run<'_>, output: &Output, disks: &[Disk], ours: &[PathBuf]) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for disk in disks {
        let Some(device) = disk.device.as_ref().filter(|device| !ours.iter().any(|ours| ours == device.path())) else {
            continue;
        };
        let claim = device.claim()?;
        let (name, key) = (format!("device-{}", disk.index + 1), StageKey::new(&["device", device.identity()]));
        if output.records.read::<()>(&name, &key).is_none() {
            if !run.job.settings.overwrite {
                claim.refuse_stored()?;
            }
            output.records.write(&name, &key, &())?;
        }
        claims.push(claim);
    }
    Ok(claims)
}
