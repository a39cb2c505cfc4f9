//! Making a partition, a physical or logical volume, or a filesystem larger. What is there is looked at before and afterwards, so that
//! a change which was carried out already does nothing, and one that was planned for another disk is refused.

use vmdk2kvm_linux_guest::FILESYSTEM_SLACK;
use vmdk2kvm_plugin_api::model::{Applied, GrowLayer, Layer, Storage, StorageDevice};
use vmdk2kvm_plugin_api::{Guest, PluginError, Result};

use super::checked::changed;
use super::{done, unchanged};
use crate::guest::ApplianceGuest;
use crate::suspended::{remount, suspended};

const MIB: u64 = 1 << 20;

/// Grows one layer of a device.
pub fn grow(guest: &ApplianceGuest, target: &str, layer: GrowLayer, old: u64, new: u64) -> Result<Applied> {
    let storage = guest.storage()?;
    let device = find(&storage, target)?;
    let now = size(device, layer)?;
    if is_reached(layer, now, new) {
        return Ok(unchanged());
    }
    if now != old {
        return Err(changed(target, "has another size"));
    }
    match layer {
        GrowLayer::Partition => partition(guest, &storage, device, new)?,
        GrowLayer::PhysicalVolume => guest.files.appliance.transfer(|handle| handle.grow_physical_volume(target))?,
        GrowLayer::LogicalVolume if guest.opened.iter().any(|one| one.device == target) => {
            suspended(guest, |handle| handle.set_logical_volume_size(target, new / MIB))?;
        }
        GrowLayer::LogicalVolume => {
            guest.files.appliance.transfer(|handle| handle.set_logical_volume_size(target, new / MIB))?;
        }
        _ => filesystem(guest, device)?,
    }
    let now = size(find(&guest.storage()?, target)?, layer)?;
    if is_reached(layer, now, new) {
        Ok(done(format!("from {old} to {now} bytes")))
    } else {
        Err(PluginError::io(format!("{target}: it was to grow from {old} to {new} bytes, and has {now}")))
    }
}

fn find<'a>(storage: &'a Storage, target: &str) -> Result<&'a StorageDevice> {
    storage.devices.iter().find(|device| device.device == target).ok_or_else(|| changed(target, "has gone"))
}

fn size(device: &StorageDevice, layer: GrowLayer) -> Result<u64> {
    match layer {
        GrowLayer::Partition | GrowLayer::LogicalVolume => Ok(device.size_bytes),
        GrowLayer::PhysicalVolume | GrowLayer::Filesystem => Ok(device.used_bytes),
        other => Err(PluginError::unusable(format!("this plugin does not know how to grow a {other:?}")).hint(
            "install the plugins of one release: the one that planned it is newer than the one that opened the guest",
        )),
    }
}

fn is_reached(layer: GrowLayer, now: u64, new: u64) -> bool {
    let slack = match layer {
        GrowLayer::Filesystem => FILESYSTEM_SLACK,
        // Its size is asked for in MiB.
        GrowLayer::LogicalVolume => MIB,
        _ => 1,
    };
    now.saturating_add(slack) > new
}

/// The backup of a GPT is moved to the disk's new end first. parted keeps the rest: identities, names, types, flags, boot code.
fn partition(guest: &ApplianceGuest, storage: &Storage, device: &StorageDevice, new: u64) -> Result<()> {
    let Layer::Partition { on, start_bytes, .. } = &device.layer else {
        return Err(PluginError::unusable(format!("{}: no partition", device.device)));
    };
    let number = device.device.strip_prefix(on.as_str()).and_then(|rest| rest.trim_start_matches('p').parse().ok());
    let number = number.ok_or_else(|| PluginError::defect(format!("{}: a partition without number", device.device)))?;
    let is_gpt = matches!(&find(storage, on)?.layer, Layer::Disk { table, .. } if table == "gpt");
    suspended(guest, |handle| {
        if is_gpt {
            handle.expand_gpt(on)?;
        }
        handle.end_partition(on, number, start_bytes.saturating_add(new))
    })
}

/// Grown while it is mounted, which all three can, and mounted anew: then its superblock says how large it is.
fn filesystem(guest: &ApplianceGuest, device: &StorageDevice) -> Result<()> {
    let mount = guest.mounts.iter().find(|mount| mount.device == device.device);
    let mountpoint = &mount.ok_or_else(|| PluginError::unusable(format!("{}: not mounted", device.device)))?.mountpoint;
    guest.files.appliance.transfer(|handle| match device.fstype.as_deref() {
        Some("xfs") => handle.grow_xfs(mountpoint),
        Some("btrfs") => handle.grow_btrfs(mountpoint),
        _ => handle.grow_ext(&device.device),
    })?;
    remount(guest)
}
