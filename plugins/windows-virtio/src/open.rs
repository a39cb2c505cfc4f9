//! INSPECT: from a request to an opened guest and its inspection.

use vmdk2kvm_appliance::{Mounts, Settings};
use vmdk2kvm_offline_guest::{Mounter, Volume, Volumes};
use vmdk2kvm_plugin_api::model::{Finding, Firmware, Inspection, OpenGuest, OsFamily, OsInfo, Severity};
use vmdk2kvm_plugin_api::{Host, Opened, Result};
use vmdk2kvm_windows_guest::{Hibernation, Layout, System, inspect};

use crate::locked;

/// Where the system's drive is mounted. A Windows has no one root: the letter is the system's own for its drive.
const SYSTEM_DRIVE: &str = "/C:";
/// Where the partition is mounted that a BIOS starts, when it is another.
const BOOT: &str = "/Boot";
/// Where the EFI system partition is mounted.
const ESP: &str = "/EFI";
/// Most bytes of the file that a hibernated system keeps its memory in.
const HEAD: u64 = 4096;

/// Opens a guest with all its disks and inspects it.
pub fn open(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<Opened> {
    let (mut mounts, volumes) = vmdk2kvm_appliance::open(request, settings, host)?;
    host.progress("mount", 0, 0);
    mounts.fold_case();
    let mut findings = volumes.findings.clone();
    let locked = locked::find(&volumes.disks);
    let mut looked = Looked::default();
    looked.at_all(&mut mounts, &volumes, request, host, &mut findings)?;
    let Some(place) = looked.choose(request, &mut findings)? else {
        mounts.look_away()?;
        // A volume that only a Windows makes is there, and nobody can look into it: the guest is known all the same.
        let family = if locked.is_empty() { OsFamily::Unknown } else { OsFamily::Windows };
        findings.extend(locked);
        let inspection = Inspection::new(OsInfo::new(family)).with(|it| {
            it.disks = volumes.disks.clone();
            it.findings = findings;
        });
        return Ok(Opened::new(mounts.into_guest(&volumes), inspection));
    };
    // A data disk that stays closed is moved as it is.
    findings.extend(locked.into_iter().map(|mut finding| {
        finding.severity = Severity::Warn;
        finding
    }));
    mounts.mount_beside(place.volume, SYSTEM_DRIVE, "")?;
    mount_boot_partition(&mut mounts, &volumes, &looked, place.volume)?;
    host.progress("inspect", 0, 0);
    let infos = mounts.infos()?;
    let guest = mounts.into_guest(&volumes);
    let system = System { drive: SYSTEM_DRIVE.to_owned(), folder: format!("{SYSTEM_DRIVE}/{}", place.folder) };
    let layout = Layout {
        firmware: if volumes.volumes.iter().any(|volume| volume.esp) { Firmware::Uefi } else { Firmware::Bios },
        hibernation: Hibernation::of(guest.head(&system.on_drive("hiberfil.sys"), HEAD)?.as_deref()),
        root: place.volume.device.clone(),
        mounts: infos,
        disks: volumes.disks.clone(),
        vm: request.vm.clone(),
        system,
    };
    let mut inspection = inspect(&guest, &layout)?;
    findings.append(&mut inspection.findings);
    inspection.findings = findings;
    Ok(Opened::new(guest, inspection))
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
        mounts: &mut Mounts,
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

    fn at(&mut self, mounts: &mut Mounts, volume: &'a Volume) -> Result<()> {
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

fn mount_boot_partition(mounts: &mut Mounts, volumes: &Volumes, looked: &Looked<'_>, root: &Volume) -> Result<()> {
    match volumes.volumes.iter().find(|volume| volume.esp && volume.fstype == "vfat") {
        Some(esp) => mounts.mount_beside(esp, ESP, ""),
        None => match looked.boot.first().filter(|_| !looked.boot.contains(&root)) {
            Some(boot) => mounts.mount_beside(boot, BOOT, ""),
            None => Ok(()),
        },
    }
}
