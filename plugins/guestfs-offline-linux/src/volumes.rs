//! Everything in the VM that can hold a filesystem: partitions, whole disks, arrays, unlocked containers, logical volumes.

use std::io::Read;

use vmdk2kvm_plugin_api::model::{AttachedDisk, Finding, GuestBlockDevice, GuestDiskInfo, OpenGuest, Severity};
use vmdk2kvm_plugin_api::{Result, tracing};

use crate::appliance::{Appliance, disk_name};
use crate::binding::CallError;
use crate::layout::{DiskScan, PartitionKind, ReadDevice, scan_disk, scan_volume};

/// A device that can be mounted, or could if it were understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name in the inspector's naming.
    pub device: String,
    /// Type of what begins there.
    pub fstype: String,
    /// UUID of it.
    pub uuid: Option<String>,
    /// Label of it.
    pub label: Option<String>,
    /// Length in bytes; of what is no partition, what its filesystem says.
    pub length: u64,
    /// An EFI system partition.
    pub esp: bool,
}

/// An encrypted device that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The encrypted device.
    pub device: String,
    /// What it was opened as, `/dev/mapper/<name>`.
    pub name: String,
    /// Name of the secret that holds its key.
    pub secret: String,
}

impl Opened {
    /// The name without its folder.
    pub fn mapper_name(&self) -> &str {
        self.name.trim_start_matches("/dev/mapper/")
    }

    /// Whether it lies on `/dev/GROUP/VOLUME`, and on no disk or partition.
    pub fn is_on_logical_volume(&self) -> bool {
        self.device.trim_start_matches("/dev/").contains('/')
    }
}

/// What the disks hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volumes {
    /// Every disk, for the inspection.
    pub disks: Vec<GuestDiskInfo>,
    /// Everything with a filesystem or container on it.
    pub volumes: Vec<Volume>,
    /// Every encrypted device that a given key opened.
    pub opened: Vec<Opened>,
    /// A disk has code that a BIOS would run.
    pub bios_code: bool,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// Looks at every disk.
pub fn scan(appliance: &Appliance, request: &OpenGuest) -> Result<Volumes> {
    let mut found = Volumes::default();
    for index in 0..request.disks.len() {
        appliance.host().check_cancelled()?;
        let device = disk_name(index);
        let size = match own_size(&request.disks[index]) {
            Some(size) => size,
            None => appliance.call(|handle| handle.device_size(&device))?,
        };
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        match scan_disk(number, &device, size, &mut Device { appliance, device: &device }) {
            Ok(scan) => found.add_disk(scan),
            // A damaged data disk is no reason to give up on the system disk; without a root the run ends anyway.
            Err(error) if error.kind == vmdk2kvm_plugin_api::ErrorKind::Unusable => {
                let table = "none".to_owned();
                found.disks.push(GuestDiskInfo { index: number, size_bytes: size, table, devices: Vec::new() });
                found.findings.push(
                    Finding::new("disk-table-damaged", Severity::Warn, error.message)
                        .hint(error.hint.unwrap_or_default()),
                );
            }
            Err(error) => return Err(error),
        }
    }
    found.unlock(appliance, request)?;
    found.add_arrays(appliance)?;
    found.add_logical_volumes(appliance)?;
    found.note_hibernation();
    Ok(found)
}

impl Volumes {
    /// The volume with this name.
    pub fn by_name(&self, device: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.device == device)
    }

    /// The device that a name means which a filesystem inside a logical volume or container may bear: `/dev/disk/by-uuid/...`.
    pub fn behind_link(&self, device: &str) -> Option<&Volume> {
        let bears = |prefix: &str, own: &Option<String>| {
            device
                .strip_prefix(prefix)
                .is_some_and(|value| own.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(value)))
        };
        self.volumes
            .iter()
            .find(|volume| bears("/dev/disk/by-uuid/", &volume.uuid) || bears("/dev/disk/by-label/", &volume.label))
    }

    fn has(&self, fstype: &str) -> bool {
        self.volumes.iter().any(|volume| volume.fstype == fstype)
    }

    fn add_disk(&mut self, scan: DiskScan) {
        // A protective MBR on a GPT disk holds GRUB's code as well when a BIOS is to start it.
        self.bios_code |= scan.boot_code || scan.kinds.contains(&PartitionKind::BiosBoot);
        for ((device, kind), length) in scan.info.devices.iter().zip(&scan.kinds).zip(&scan.lengths) {
            let GuestBlockDevice { device, fstype: Some(fstype), uuid, label, .. } = device else { continue };
            self.volumes.push(Volume {
                device: device.clone(),
                fstype: fstype.clone(),
                uuid: uuid.clone(),
                label: label.clone(),
                length: *length,
                esp: *kind == PartitionKind::Esp,
            });
        }
        self.disks.push(scan.info);
    }

    fn add_named(&mut self, appliance: &Appliance, device: &str) -> Result<()> {
        if self.by_name(device).is_some() {
            return Ok(());
        }
        let superblock = scan_volume(&mut Device { appliance, device })?;
        if let Some(found) = superblock {
            let device = device.to_owned();
            let (fstype, uuid, label) = (found.fstype, found.uuid, found.label);
            self.volumes.push(Volume { device, fstype, uuid, label, length: found.size, esp: false });
        }
        Ok(())
    }

    fn unlock(&mut self, appliance: &Appliance, request: &OpenGuest) -> Result<()> {
        let locked: Vec<Volume> =
            self.volumes.iter().filter(|volume| volume.fstype == "crypto_LUKS").cloned().collect();
        for (number, volume) in locked.iter().enumerate() {
            let uuid = volume.uuid.as_deref().unwrap_or_default();
            // A selector is a device, a UUID, or `all`.
            let keys = request.keys.iter().filter(|(selector, _)| {
                selector == "all"
                    || *selector == volume.device
                    || (!uuid.is_empty() && selector.eq_ignore_ascii_case(uuid))
            });
            let name = format!("luks{number}");
            let mut open = false;
            for (_, secret) in keys {
                let Some(key) = appliance.host().secret(secret)? else { continue };
                match appliance
                    .call(|handle| handle.unlock(&volume.device, key.trim_end_matches('\n'), &name, !request.writable))
                {
                    Ok(()) => {
                        open = true;
                        self.opened.push(Opened {
                            device: volume.device.clone(),
                            name: format!("/dev/mapper/{name}"),
                            secret: secret.clone(),
                        });
                    }
                    // The library's message can hold no key; it says that none fits.
                    Err(error) => tracing::debug!(device = volume.device, %error.message, "a key does not fit"),
                }
                if open {
                    break;
                }
            }
            if open {
                self.add_named(appliance, &format!("/dev/mapper/{name}"))?;
            } else {
                let message = format!("{} is encrypted and no given key opens it", volume.device);
                let hint = format!(
                    "give its passphrase: --key {}:file:PATH",
                    if uuid.is_empty() { &volume.device } else { uuid }
                );
                self.findings.push(Finding::new("encrypted-volume", Severity::Warn, message).hint(hint));
            }
        }
        if self
            .volumes
            .iter()
            .any(|volume| volume.device.starts_with("/dev/mapper/luks") && volume.fstype == "LVM2_member")
        {
            appliance.call(|handle| handle.scan_volume_groups())?;
        }
        Ok(())
    }

    fn add_arrays(&mut self, appliance: &Appliance) -> Result<()> {
        if self.has("linux_raid_member") {
            for device in appliance.call(|handle| handle.arrays())? {
                self.add_named(appliance, &device)?;
            }
        }
        Ok(())
    }

    fn add_logical_volumes(&mut self, appliance: &Appliance) -> Result<()> {
        if self.has("LVM2_member") {
            for device in appliance.call(|handle| handle.logical_volumes())? {
                // A snapshot or a thin pool may not be readable; it is no reason to give up.
                if let Err(error) = self.add_named(appliance, &device) {
                    tracing::debug!(device, %error, "a logical volume cannot be read");
                }
            }
        }
        Ok(())
    }

    fn note_hibernation(&mut self) {
        for volume in self.volumes.iter().filter(|volume| volume.fstype == "swsuspend") {
            let message = format!(
                "{} holds a hibernated system: changing its files now would damage them at wake-up",
                volume.device
            );
            self.findings.push(
                Finding::new("hibernated", Severity::Block, message)
                    .hint("start the VM once more, shut it down, and copy it again"),
            );
        }
    }
}

/// A disk's size as its image says: asking the appliance starts a program in it. The images are the host's own overlays; of other
/// formats nothing is read here.
fn own_size(disk: &AttachedDisk) -> Option<u64> {
    let mut file = std::fs::File::open(&disk.path).ok()?;
    match disk.format.as_str() {
        // The appliance sees whole sectors only.
        "raw" => Some(file.metadata().ok()?.len().next_multiple_of(512)),
        // docs/interop/qcow2.txt of QEMU: magic, version, backing file's name, cluster bits, size.
        "qcow2" => {
            let mut header = [0; 32];
            file.read_exact(&mut header).ok()?;
            let size = header[24..].iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
            header.starts_with(b"QFI\xfb").then_some(size)
        }
        _ => None,
    }
}

/// Reads a device through the appliance.
pub(crate) struct Device<'a> {
    pub appliance: &'a Appliance,
    pub device: &'a str,
}

impl ReadDevice for Device<'_> {
    fn read(&mut self, offset: u64, length: u32) -> Result<Vec<u8>> {
        let read: Result<Vec<u8>, CallError> =
            self.appliance.call(|handle| handle.pread_device(self.device, length, offset));
        Ok(read?)
    }
}
