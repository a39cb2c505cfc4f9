//! INSPECT: from a request to an opened guest and its inspection.

use vmdk2kvm_appliance::{ApplianceGuest, Settings};
use vmdk2kvm_offline_guest::Found;
use vmdk2kvm_plugin_api::model::OpenGuest;
use vmdk2kvm_plugin_api::{Host, Opened, Result};

/// Opens a guest with all its disks and inspects it.
pub fn open(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<Opened> {
    let (guest, found) = attach(request, settings, host)?;
    host.progress("inspect", 0, 0);
    let inspection = found.inspect(&guest, request)?;
    Ok(Opened::new(guest, inspection))
}

/// Starts the appliance, looks at the disks, mounts what is needed: the guest's files, and what was found.
pub fn attach(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<(ApplianceGuest, Found)> {
    let (mut mounts, volumes) = vmdk2kvm_appliance::open(request, settings, host)?;
    host.progress("mount", 0, 0);
    let found = Found::mount(&mut mounts, volumes, request, host)?;
    Ok((mounts.into_guest(&found.volumes), found))
}
