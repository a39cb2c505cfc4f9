//! Letting go of the disks for the length of one action, which a partition table wants: no filesystem mounted, no logical volume
//! active, no container open. Afterwards everything is as before, and containers are as large as what they lie on.

use vmdk2kvm_offline_guest::Opened;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::binding::{CallError, Handle};
use crate::guest::ApplianceGuest;

/// Runs `action` with the disks let go.
pub fn suspended(guest: &ApplianceGuest, action: impl FnOnce(&mut Handle) -> Result<(), CallError>) -> Result<()> {
    let appliance = &guest.files.appliance;
    let (upper, lower): (Vec<&Opened>, Vec<&Opened>) = guest.opened.iter().partition(|one| one.is_on_logical_volume());
    appliance.transfer(|handle| {
        handle.umount_all()?;
        upper.iter().try_for_each(|one| handle.lock(&one.name))?;
        if guest.has_volume_groups {
            handle.deactivate_volume_groups()?;
        }
        lower.iter().try_for_each(|one| handle.lock(&one.name))
    })?;
    let done = appliance.transfer(action);
    let back = take_again(guest, &lower, &upper);
    guest.files.cache().anything_changed();
    done.and(back)
}

/// Writes everything out and mounts it anew, so that what is read from a device afterwards is what is on it.
pub fn remount(guest: &ApplianceGuest) -> Result<()> {
    guest.files.appliance.transfer(|handle| handle.umount_all().and_then(|()| handle.drop_caches()))?;
    mount(guest)
}

fn take_again(guest: &ApplianceGuest, lower: &[&Opened], upper: &[&Opened]) -> Result<()> {
    open(guest, lower)?;
    if guest.has_volume_groups {
        guest.files.appliance.call(|handle| handle.scan_volume_groups())?;
    }
    open(guest, upper)?;
    mount(guest)
}

fn open(guest: &ApplianceGuest, containers: &[&Opened]) -> Result<()> {
    let appliance = &guest.files.appliance;
    for one in containers {
        let key = appliance.host().secret(&one.secret)?;
        let key = key.ok_or_else(|| PluginError::defect(format!("the key of {} has gone", one.device)))?;
        appliance.transfer(|handle| {
            handle.unlock(&one.device, key.trim_end_matches('\n'), one.mapper_name(), !guest.writable)
        })?;
    }
    Ok(())
}

fn mount(guest: &ApplianceGuest) -> Result<()> {
    for mount in &guest.mounts {
        guest.files.appliance.transfer(|handle| handle.mount(&mount.options, &mount.device, &mount.mountpoint))?;
    }
    guest.files.cache().anything_changed();
    Ok(())
}
