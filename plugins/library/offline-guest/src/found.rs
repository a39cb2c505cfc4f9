//! From disks to an inspection: the root and its mounts, and what the system on them says.

use vmdk2kvm_linux_guest::{DiskLayout, inspect};
use vmdk2kvm_plugin_api::model::{Finding, GuestDiskInfo, Inspection, MountInfo, OpenGuest, OsInfo};
use vmdk2kvm_plugin_api::{Guest, Host, Result};

use crate::firmware::Capable;
use crate::mounter::Mounter;
use crate::volumes::Volumes;
use crate::{root, sealed};

/// What was found on a guest's disks, and mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What its disks hold.
    pub volumes: Volumes,
    /// What is mounted where, the root first; empty when no root was found.
    pub mounts: Vec<MountInfo>,
    /// Why the system on these disks cannot be changed, where one is that nobody can change.
    pub sealed: Option<Finding>,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

impl Found {
    /// Finds the root among the volumes, mounts it and what a fixer needs of what belongs to it.
    pub fn mount(mounts: &mut dyn Mounter, volumes: Volumes, request: &OpenGuest, host: &Host) -> Result<Self> {
        let mut findings = volumes.findings.clone();
        findings.extend(root::mount(mounts, &volumes, request, host)?);
        let read_only = mounts.read_only_subvolumes()?;
        findings.extend(read_only.iter().map(|mountpoint| sealed::read_only_subvolume(mountpoint)));
        let infos = mounts.infos()?;
        let sealed = if infos.is_empty() { sealed::find(&volumes.volumes) } else { None };
        Ok(Self { volumes, mounts: infos, sealed, findings })
    }

    /// What the guest on these mounts is.
    pub fn inspect(&self, guest: &dyn Guest, request: &OpenGuest) -> Result<Inspection> {
        let Self { volumes, mounts, sealed, findings } = self;
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
}

fn unknown(disks: Vec<GuestDiskInfo>, sealed: bool, findings: Vec<Finding>) -> Inspection {
    Inspection::new(OsInfo::default()).with(|it| {
        it.disks = disks;
        it.sealed = sealed;
        it.findings = findings;
    })
}
