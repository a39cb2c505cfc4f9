//! INSPECT: from a request to an opened guest and its inspection.

use vmdk2kvm_appliance::{ApplianceGuest, Capable, Settings, Volumes};
use vmdk2kvm_linux_guest::{DiskLayout, inspect};
use vmdk2kvm_plugin_api::model::{Finding, Inspection, MountInfo, OpenGuest, OsInfo};
use vmdk2kvm_plugin_api::{Host, Opened, Result};

use crate::{root, sealed};

/// Opens a guest with all its disks and inspects it.
pub fn open(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<Opened> {
    let attached = attach(request, settings, host)?;
    host.progress("inspect", 0, 0);
    let inspection = describe(&attached, request)?;
    Ok(Opened::new(attached.guest, inspection))
}

/// A guest whose disks are known and whose filesystems are mounted.
pub struct Attached {
    /// Its files.
    pub guest: ApplianceGuest,
    /// What its disks hold.
    pub volumes: Volumes,
    /// What is mounted where, the root first; empty when no root was found.
    pub mounts: Vec<MountInfo>,
    /// Why the system on these disks cannot be changed, where one is that nobody can change.
    pub sealed: Option<Finding>,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// Starts the appliance, looks at the disks, mounts what is needed.
pub fn attach(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<Attached> {
    let (mut mounts, volumes) = vmdk2kvm_appliance::open(request, settings, host)?;
    host.progress("mount", 0, 0);
    let mut findings = volumes.findings.clone();
    findings.extend(root::mount(&mut mounts, &volumes, request, host)?);
    findings.extend(mounts.read_only_subvolumes()?.into_iter().map(sealed::read_only_subvolume));
    let infos = mounts.infos()?;
    let sealed = if infos.is_empty() { sealed::find(&volumes.volumes) } else { None };
    Ok(Attached { guest: mounts.into_guest(&volumes), volumes, mounts: infos, sealed, findings })
}

fn describe(attached: &Attached, request: &OpenGuest) -> Result<Inspection> {
    let Attached { guest, volumes, mounts, sealed, findings } = attached;
    let mut findings = findings.clone();
    let Some(root) = mounts.first().map(|mount| mount.device.clone()) else {
        findings.extend(sealed.clone());
        return Ok(unknown(volumes.disks.clone(), sealed.is_some(), findings));
    };
    let capable = Capable::of(guest, mounts, volumes)?;
    findings.extend(capable.contradiction(request));
    let layout = DiskLayout {
        firmware: capable.firmware(request),
        root: Some(root),
        mounts: mounts.clone(),
        disks: volumes.disks.clone(),
    };
    let mut inspection = inspect(guest, &layout)?;
    findings.append(&mut inspection.findings);
    inspection.findings = findings;
    Ok(inspection)
}

fn unknown(disks: Vec<vmdk2kvm_plugin_api::model::GuestDiskInfo>, sealed: bool, findings: Vec<Finding>) -> Inspection {
    Inspection::new(OsInfo::default()).with(|it| {
        it.disks = disks;
        it.sealed = sealed;
        it.findings = findings;
    })
}
