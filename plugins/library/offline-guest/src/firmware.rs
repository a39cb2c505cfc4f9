//! Which firmware could start the disks, and what that says about the VM's description.

use vmdk2kvm_plugin_api::model::{Finding, Firmware, MountInfo, OpenGuest, Severity};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use crate::volumes::Volumes;
use vmdk2kvm_plugin_api::paths::join;

/// The firmware that could start the disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capable {
    /// An EFI system partition with loaders.
    uefi: bool,
    /// Code in a first sector.
    bios: bool,
}

impl Capable {
    /// Looks at first sectors, and for loaders on what is mounted. On vfat the name's case does not matter.
    pub fn of(guest: &dyn Guest, mounts: &[MountInfo], volumes: &Volumes) -> Result<Self> {
        let mut uefi = false;
        for mount in mounts.iter().filter(|mount| mount.fstype == "vfat") {
            let folder = guest.stat(&join(&mount.mountpoint, "EFI"))?;
            uefi |= folder.is_some_and(|found| found.kind == FileKind::Dir);
        }
        Ok(Self { uefi, bios: volumes.bios_code })
    }

    /// Cloud images and converted systems can be started both ways: then the VM's description decides.
    pub fn firmware(self, request: &OpenGuest) -> Option<Firmware> {
        match self {
            Self { uefi: true, bios: true } => Some(request.vm.firmware),
            Self { uefi: true, bios: false } => Some(Firmware::Uefi),
            Self { uefi: false, bios: true } => Some(Firmware::Bios),
            Self { uefi: false, bios: false } => None,
        }
    }

    /// What to tell the user when the description says something else.
    pub fn contradiction(self, request: &OpenGuest) -> Option<Finding> {
        let (said, found) = match (request.vm.firmware, self) {
            (Firmware::Bios, Self { uefi: true, bios: false }) => ("BIOS", "UEFI"),
            (Firmware::Uefi, Self { uefi: false, bios: true }) => ("UEFI", "a BIOS"),
            _ => return None,
        };
        if request.vm.guessed.iter().any(|member| member == "firmware") {
            return None;
        }
        let message = format!("the VM's description says {said}, but only {found} can start its disks");
        Some(
            Finding::new("firmware-differs", Severity::Warn, message)
                .hint("the new VM gets what its disks are made for"),
        )
    }
}
