//! From a guest's disks to its inspection, whoever reads them: which system is meant, what of it is mounted where, and what only a Windows
//! can open.

mod locked;

use vmdk2kvm_offline_guest::{Mounter, Volume, Volumes};
use vmdk2kvm_plugin_api::model::{Finding, Firmware, Inspection, MountInfo, OpenGuest, OsFamily, OsInfo, Severity};
use vmdk2kvm_plugin_api::{Guest, Host, Result};

use crate::inspect::{Hibernation, Layout, inspect};
use crate::places::System;

pub use locked::may_hold_windows;

/// Where the system's drive is mounted. A Windows has no one root: the letter is the system's own for its drive.
const SYSTEM_DRIVE: &str = "/C:";
/// Where the partition is mounted that a BIOS starts, when it is another.
const BOOT: &str = "/Boot";
/// Where the EFI system partition is mounted.
const ESP: &str = "/EFI";
/// Most bytes of the file that a hibernated system keeps its memory in.
const HEAD: u64 = 4096;

/// What was found on a guest's disks, and mounted.
pub struct Found {
    /// What its disks hold.
    pub volumes: Volumes,
    system: Option<Mounted>,
    locked: Vec<Finding>,
    findings: Vec<Finding>,
}

/// A system whose drive is mounted.
struct Mounted {
    device: String,
    folder: String,
    hibernation: Hibernation,
    mounts: Vec<MountInfo>,
}

impl Found {
    /// Finds the system among the volumes, and mounts its drive and what it starts from. Nothing is mounted when there is no system.
    pub fn mount(mounts: &mut dyn Mounter, volumes: Volumes, request: &OpenGuest, host: &Host) -> Result<Self> {
        host.progress("mount", 0, 0);
        mounts.fold_case();
        let mut findings = volumes.findings.clone();
        let locked = locked::find(&volumes.disks);
        let mut looked = Looked::default();
        looked.at_all(mounts, &volumes, request, host, &mut findings)?;
        let Some(place) = looked.choose(request, &mut findings)? else {
            mounts.look_away()?;
            return Ok(Self { volumes, system: None, locked, findings });
        };
        mounts.mount_beside(place.volume, SYSTEM_DRIVE)?;
        mount_boot_partition(mounts, &volumes, &looked, place.volume)?;
        let system = System::on_drive_of(SYSTEM_DRIVE, &place.folder);
        let system = Mounted {
            device: place.volume.device.clone(),
            folder: place.folder,
            hibernation: Hibernation::of(mounts.head(&system.on_drive("hiberfil.sys"), HEAD)?.as_deref()),
            mounts: mounts.infos()?,
        };
        Ok(Self { volumes, system: Some(system), locked, findings })
    }

    /// What the guest on these mounts is.
    pub fn inspect(self, guest: &dyn Guest, request: &OpenGuest) -> Result<Inspection> {
        let Self { volumes, system, locked, mut findings } = self;
        let Some(mounted) = system else {
            // A volume that only a Windows makes is there, and nobody can look into it: the guest is known all the same.
            let family = if locked.is_empty() { OsFamily::Unknown } else { OsFamily::Windows };
            findings.extend(locked);
            return Ok(Inspection::new(OsInfo::new(family)).with(|it| {
                it.disks = volumes.disks;
                it.findings = findings;
            }));
        };
        // A data disk that stays closed is moved as it is.
        findings.extend(locked.into_iter().map(|mut finding| {
            finding.severity = Severity::Warn;
            finding
        }));
        let layout = Layout {
            firmware: if volumes.volumes.iter().any(|volume| volume.esp) { Firmware::Uefi } else { Firmware::Bios },
            hibernation: mounted.hibernation,
            system: System::on_drive_of(SYSTEM_DRIVE, &mounted.folder),
            root: mounted.device,
            mounts: mounted.mounts,
            disks: volumes.disks,
            vm: request.vm.clone(),
        };
        let mut inspection = inspect(guest, &layout)?;
        findings.append(&mut inspection.findings);
        inspection.findings = findings;
        Ok(inspection)
    }
}

/// A system on a volume.
#[derive(Clone)]
struct Place<'a> {
    volume: &'a Volume,
    folder: String,
}

/// What is on the volumes that could be looked into.
#[derive(Default)]
struct Looked<'a> {
    systems: Vec<Place<'a>>,
    /// Volumes with the files that a BIOS starts.
    boot: Vec<&'a Volume>,
}

impl<'a> Looked<'a> {
    fn at_all(
        &mut self,
        mounts: &mut dyn Mounter,
        volumes: &'a Volumes,
        request: &OpenGuest,
        host: &Host,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let readable = |volume: &&Volume| volume.fstype == "ntfs" || volume.fstype == "vfat" && !volume.esp;
        for volume in volumes.volumes.iter().filter(readable) {
            host.check_cancelled()?;
            // Its own failure is none of this volume, and nothing else could be looked at.
            mounts.look_away()?;
            if let Err(error) = self.at(mounts, volume) {
                let message = format!("{} cannot be read: {error}", volume.device);
                let hint = "if this is the system's disk, start the VM once, let it check its disk (chkdsk /f), and shut it down with: shutdown /s /t 0";
                findings.push(Finding::new("filesystem-unreadable", Severity::Warn, message).hint(hint));
            }
        }
        volumes.check_choice(request)
    }

    fn at(&mut self, mounts: &mut dyn Mounter, volume: &'a Volume) -> Result<()> {
        mounts.look(volume, "")?;
        let guest = mounts.files();
        for system in System::all_on(guest.as_ref(), "/")? {
            let folder = system.folder.trim_start_matches('/').to_owned();
            self.systems.push(Place { volume, folder });
        }
        if guest.stat("/Boot/BCD")?.is_some() || guest.stat("/ntldr")?.is_some() {
            self.boot.push(volume);
        }
        Ok(())
    }

    /// The system that is meant.
    fn choose(&self, request: &OpenGuest, findings: &mut Vec<Finding>) -> Result<Option<Place<'a>>> {
        let meant = |place: &&Place<'_>| request.root.as_deref().is_none_or(|chosen| place.volume.is(chosen));
        let systems: Vec<&Place<'a>> = self.systems.iter().filter(meant).collect();
        let Some((first, others)) = systems.split_first() else { return Ok(None) };
        if !others.is_empty() {
            let names: Vec<String> =
                systems.iter().map(|place| format!("{} ({})", place.volume.device, place.folder)).collect();
            let message = format!("the disks hold several Windows systems: {}", names.join(", "));
            findings.push(
                Finding::new("several-systems", Severity::Block, message).hint(
                    "say which with --root, a device of this list; a second folder on one volume has to go first",
                ),
            );
        }
        Ok(Some((*first).clone()))
    }
}

fn mount_boot_partition(mounts: &mut dyn Mounter, volumes: &Volumes, looked: &Looked<'_>, root: &Volume) -> Result<()> {
    match volumes.volumes.iter().find(|volume| volume.esp && volume.fstype == "vfat") {
        Some(esp) => mounts.mount_beside(esp, ESP),
        None => match looked.boot.first().filter(|_| !looked.boot.contains(&root)) {
            Some(boot) => mounts.mount_beside(boot, BOOT),
            None => Ok(()),
        },
    }
}
