//! INSPECT: from a request to an opened guest and its inspection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vmdk2kvm_linux_guest::{DiskLayout, inspect};
use vmdk2kvm_plugin_api::model::{Finding, Firmware, Inspection, MountInfo, OpenGuest, OsInfo, Severity};
use vmdk2kvm_plugin_api::{FileKind, Host, Opened, PluginError, Result};

use crate::appliance::Appliance;
use crate::files::Files;
use crate::guest::{ApplianceGuest, Mount};
use crate::root::{self, Mounted};
use crate::settings::Settings;
use crate::volumes::{self, Volumes};

/// Opens a guest with all its disks and inspects it.
pub fn open(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<Opened> {
    let attached = attach(request, settings, host)?;
    step(host, "inspect");
    let guest = attached.guest;
    let inspection = describe(&guest, attached.volumes, attached.mounted, request)?;
    Ok(Opened { guest: Box::new(guest), inspection })
}

/// A guest whose disks are known and whose filesystems are mounted.
pub struct Attached {
    /// Its files.
    pub guest: ApplianceGuest,
    /// What its disks hold.
    pub volumes: Volumes,
    /// What is mounted where.
    pub mounted: Mounted,
}

/// Starts the appliance, looks at the disks, mounts what is needed.
pub fn attach(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<Attached> {
    for disk in &request.disks {
        if !Path::new(&disk.path).is_file() {
            return Err(PluginError::unusable(format!("{}: not a file", disk.path)));
        }
    }
    step(host, "launch");
    let appliance = Appliance::launch(request, settings, host)?;
    step(host, "disks");
    let volumes = volumes::scan(&appliance, request)?;
    step(host, "mount");
    let files = Arc::new(Files::new(appliance, PathBuf::from(&request.work_dir)));
    let mounted = root::mount(&files, &volumes, request)?;
    let guest = ApplianceGuest {
        mounts: mounted.mounts.iter().zip(&mounted.options).map(mount).collect(),
        writable: request.writable && !mounted.mounts.is_empty(),
        disks: volumes.disks.iter().map(|disk| disk.size_bytes).collect(),
        opened: volumes.opened.clone(),
        discards: settings.discard_unused,
        has_volume_groups: volumes.volumes.iter().any(|volume| volume.fstype == "LVM2_member"),
        files,
    };
    Ok(Attached { guest, volumes, mounted })
}

fn mount((mount, options): (&MountInfo, &String)) -> Mount {
    Mount {
        device: mount.device.clone(),
        mountpoint: mount.mountpoint.clone(),
        fstype: mount.fstype.clone(),
        options: options.clone(),
    }
}

fn describe(guest: &ApplianceGuest, volumes: Volumes, mounted: Mounted, request: &OpenGuest) -> Result<Inspection> {
    let mut findings = volumes.findings;
    findings.extend(mounted.findings);
    let Some(root) = mounted.mounts.first().map(|mount| mount.device.clone()) else {
        findings.push(Finding::new("no-system", Severity::Block, "no Linux system was found on the disks").hint(
            "give all disks of the VM, and the keys of its encrypted volumes; for another system install its plugin",
        ));
        return Ok(unknown(volumes.disks, findings));
    };
    let capable = Capable {
        uefi: has_loader(guest, &mounted.mounts.iter().map(|mount| mount.mountpoint.as_str()).collect::<Vec<_>>())?,
        bios: volumes.bios_code,
    };
    findings.extend(capable.contradiction(request));
    let firmware = capable.firmware(request);
    let layout = DiskLayout { firmware, root: Some(root), mounts: mounted.mounts, disks: volumes.disks };
    let mut inspection = inspect(guest, &layout)?;
    findings.append(&mut inspection.findings);
    inspection.findings = findings;
    Ok(inspection)
}

fn unknown(disks: Vec<vmdk2kvm_plugin_api::model::GuestDiskInfo>, findings: Vec<Finding>) -> Inspection {
    Inspection {
        schema: 1,
        os: OsInfo::default(),
        firmware: None,
        bootloader: None,
        bootloader_config: None,
        root: None,
        mounts: Vec::new(),
        kernels: Vec::new(),
        network: Default::default(),
        vmware_tools: Default::default(),
        disks,
        findings,
    }
}

/// The firmware that could start the disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Capable {
    /// An EFI system partition with loaders.
    uefi: bool,
    /// Code in a first sector.
    bios: bool,
}

impl Capable {
    /// Cloud images and converted systems can be started both ways: then the VM's description decides.
    fn firmware(self, request: &OpenGuest) -> Option<Firmware> {
        match self {
            Self { uefi: true, bios: true } => Some(request.vm.firmware),
            Self { uefi: true, bios: false } => Some(Firmware::Uefi),
            Self { uefi: false, bios: true } => Some(Firmware::Bios),
            Self { uefi: false, bios: false } => None,
        }
    }

    fn contradiction(self, request: &OpenGuest) -> Option<Finding> {
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

/// Whether an EFI system partition is mounted with loaders on it. On vfat the name's case does not matter.
fn has_loader(guest: &ApplianceGuest, mountpoints: &[&str]) -> Result<bool> {
    for mountpoint in mountpoints {
        if guest.fstype_at(mountpoint) == "vfat" {
            let folder = guest.files.look(&crate::path::join(mountpoint, "EFI"))?;
            if folder.is_some_and(|found| found.stat.kind == FileKind::Dir) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Tells what is done from now on, in which no bytes are counted.
fn step(host: &Host, name: &str) {
    host.progress(name, 0, 0);
}
