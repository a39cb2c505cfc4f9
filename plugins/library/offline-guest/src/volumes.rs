//! Everything in the VM that can hold a filesystem: partitions, whole disks, arrays, unlocked containers, logical volumes.

use vmdk2kvm_plugin_api::model::{Finding, GuestBlockDevice, GuestDiskInfo, OpenGuest, Severity};
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result, tracing};

use crate::devices::{Device, Devices};
use crate::layout::{DiskScan, Health, PartitionKind, disk_name, scan_disk, scan_volume};

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

/// An array. The name that it has here is the appliance's: the guest's own says nothing to another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// Name in the inspector's naming.
    device: String,
    /// UUID, as mdadm prints it.
    uuid: String,
    /// The name that the guest gave it, without its host.
    name: String,
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
    /// Every array.
    pub arrays: Vec<Array>,
    /// Every encrypted device that a given key opened.
    pub opened: Vec<Opened>,
    /// A disk has code that a BIOS would run.
    pub bios_code: bool,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// Looks at every disk, given their sizes in bytes, and at what is on them.
pub fn scan(devices: &dyn Devices, disks: &[u64], request: &OpenGuest, host: &Host) -> Result<Volumes> {
    let mut found = Volumes::default();
    for (index, size) in disks.iter().copied().enumerate() {
        host.check_cancelled()?;
        let device = disk_name(index);
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        match scan_disk(number, &device, size, &mut Device { devices, device: &device }) {
            Ok(scan) => found.add_disk(scan),
            // A damaged data disk is no reason to give up on the system disk; without a root the run ends anyway.
            Err(error) if error.kind == ErrorKind::Unusable => {
                let table = "none".to_owned();
                found.disks.push(GuestDiskInfo::new(number, size, table));
                found.findings.push(
                    Finding::new("disk-table-damaged", Severity::Warn, error.message)
                        .hint(error.hint.unwrap_or_default()),
                );
            }
            Err(error) => return Err(error),
        }
    }
    // Containers may be in arrays and in logical volumes, and hold volume groups themselves.
    let mut tried = Vec::new();
    loop {
        found.add_arrays(devices)?;
        found.add_logical_volumes(devices)?;
        if !found.unlock(devices, request, host, &mut tried)? {
            break;
        }
    }
    found.note_hibernation();
    Ok(found)
}

impl Volume {
    /// Whether the user means this one: by its device, `UUID=...` or `LABEL=...`.
    pub fn is(&self, chosen: &str) -> bool {
        match chosen.split_once('=') {
            Some(("UUID", uuid)) => self.uuid.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(uuid)),
            Some(("LABEL", label)) => self.label.as_deref() == Some(label),
            _ => self.device == chosen,
        }
    }
}

impl Volumes {
    /// Refuses a choice of the user (`--root`) that is no filesystem here.
    pub fn check_choice(&self, request: &OpenGuest) -> Result<()> {
        let Some(chosen) = request.root.as_deref() else { return Ok(()) };
        if self.volumes.iter().any(|volume| volume.is(chosen)) {
            return Ok(());
        }
        let devices: Vec<&str> = self.volumes.iter().map(|volume| volume.device.as_str()).collect();
        Err(PluginError::config(format!("--root: no filesystem of this VM is \"{}\"", chosen.escape_debug()))
            .hint(format!("choose one of {}", devices.join(", "))))
    }

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

    /// What this encrypted device, or the one that a link means, was opened as.
    pub fn opened_from(&self, container: &str) -> Option<&Volume> {
        let container = self.by_name(container).or_else(|| self.behind_link(container))?;
        let opened = self.opened.iter().find(|opened| opened.device == container.device)?;
        self.by_name(&opened.name)
    }

    /// The array that the guest knows as `/dev/md0` or `/dev/md/NAME`; `configured` are the names and UUIDs of its mdadm.conf.
    pub fn array(&self, device: &str, configured: &[(String, String)]) -> Option<&Volume> {
        let named = configured.iter().find(|(own, _)| own == device);
        let name = device.strip_prefix("/dev/md/").or_else(|| device.strip_prefix("/dev/md"))?;
        let array = self.arrays.iter().find(|array| match named {
            Some((_, uuid)) => array.uuid.eq_ignore_ascii_case(uuid),
            None => array.name == name,
        })?;
        self.by_name(&array.device)
    }

    fn has(&self, fstype: &str) -> bool {
        self.volumes.iter().any(|volume| volume.fstype == fstype)
    }

    fn add_disk(&mut self, scan: DiskScan) {
        // A protective MBR on a GPT disk holds GRUB's code as well when a BIOS is to start it.
        self.bios_code |= scan.boot_code || scan.kinds.contains(&PartitionKind::BiosBoot);
        for (device, health) in scan.info.devices.iter().zip(&scan.health) {
            self.findings.extend(sick(&device.device, *health));
        }
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

    fn add_named(&mut self, devices: &dyn Devices, device: &str) -> Result<()> {
        if self.by_name(device).is_some() {
            return Ok(());
        }
        let superblock = scan_volume(&mut Device { devices, device })?;
        if let Some(found) = superblock {
            self.findings.extend(sick(device, found.health));
            let device = device.to_owned();
            let (fstype, uuid, label) = (found.fstype, found.uuid, found.label);
            self.volumes.push(Volume { device, fstype, uuid, label, length: found.size, esp: false });
        }
        Ok(())
    }

    /// Opens the encrypted devices that were not `tried` yet, as `luks0`, `luks1`...; whether there is something new to look at.
    fn unlock(
        &mut self,
        devices: &dyn Devices,
        request: &OpenGuest,
        host: &Host,
        tried: &mut Vec<String>,
    ) -> Result<bool> {
        let locked: Vec<Volume> = self
            .volumes
            .iter()
            .filter(|volume| volume.fstype == "crypto_LUKS" && !tried.contains(&volume.device))
            .cloned()
            .collect();
        let mut opened = false;
        for volume in &locked {
            let name = format!("luks{}", tried.len());
            tried.push(volume.device.clone());
            let uuid = volume.uuid.as_deref().unwrap_or_default();
            // A selector is a device, a UUID, or `all`.
            let keys = request.keys.iter().filter(|(selector, _)| {
                selector == "all"
                    || *selector == volume.device
                    || (!uuid.is_empty() && selector.eq_ignore_ascii_case(uuid))
            });
            let mut open = false;
            for (_, secret) in keys {
                let Some(key) = host.secret(secret)? else { continue };
                match devices.unlock(&volume.device, key.trim_end_matches('\n'), &name) {
                    Ok(()) => {
                        open = true;
                        let (device, secret) = (volume.device.clone(), secret.clone());
                        self.opened.push(Opened { device, name: format!("/dev/mapper/{name}"), secret });
                    }
                    // The library's message can hold no key; it says that none fits.
                    Err(error) => tracing::debug!(device = volume.device, %error.message, "a key does not fit"),
                }
                if open {
                    break;
                }
            }
            if open {
                self.add_named(devices, &format!("/dev/mapper/{name}"))?;
                opened = true;
            } else {
                let message = format!("{} is encrypted and no given key opens it", volume.device);
                let hint = format!(
                    "give its passphrase: --key {}:file:PATH",
                    if uuid.is_empty() { &volume.device } else { uuid }
                );
                self.findings.push(Finding::new("encrypted-volume", Severity::Warn, message).hint(hint));
            }
        }
        let holds_group = |one: &Opened| self.by_name(&one.name).is_some_and(|volume| volume.fstype == "LVM2_member");
        if opened && self.opened.iter().any(holds_group) {
            devices.scan_volume_groups()?;
        }
        Ok(opened)
    }

    fn add_arrays(&mut self, devices: &dyn Devices) -> Result<()> {
        if !self.has("linux_raid_member") {
            return Ok(());
        }
        for device in devices.arrays()? {
            if self.arrays.iter().any(|array| array.device == device) {
                continue;
            }
            let (uuid, name) = devices.array_identity(&device);
            let name = name.rsplit(':').next().unwrap_or_default().to_owned();
            self.add_named(devices, &device)?;
            self.arrays.push(Array { device, uuid, name });
        }
        Ok(())
    }

    fn add_logical_volumes(&mut self, devices: &dyn Devices) -> Result<()> {
        if self.has("LVM2_member") {
            for device in devices.logical_volumes()? {
                // A snapshot or a thin pool may not be readable; it is no reason to give up.
                if let Err(error) = self.add_named(devices, &device) {
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

/// What a filesystem's own word on its state means to the user.
fn sick(device: &str, health: Health) -> Option<Finding> {
    let (code, severity, what, hint) = match health {
        Health::Fine => return None,
        Health::InUse => (
            "filesystem-in-use",
            Severity::Info,
            "was in use when it was copied; its journal is replayed, as after a power cut",
            "shut the VM down before it is migrated, to be sure that nothing is missing",
        ),
        Health::Errors => (
            "filesystem-errors",
            Severity::Warn,
            "has errors that were noticed while it was in use, and was not checked since",
            "start the VM once, let it check its disk (fsck.mode=force), shut it down, and migrate again",
        ),
    };
    Some(Finding::new(code, severity, format!("{device} {what}")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_may_choose_by_device_uuid_or_label() {
        let volume = Volume {
            device: "/dev/vg/root".into(),
            fstype: "ext4".into(),
            uuid: Some("AB-1".into()),
            label: Some("os".into()),
            length: 1,
            esp: false,
        };
        for chosen in ["/dev/vg/root", "UUID=ab-1", "LABEL=os"] {
            assert!(volume.is(chosen), "{chosen}");
        }
        for other in ["/dev/sda1", "UUID=", "LABEL=o", "os", "UUID=/dev/vg/root", ""] {
            assert!(!volume.is(other), "{other}");
        }
    }

    #[test]
    fn arrays_by_the_guests_own_names() {
        let mut found = Volumes::default();
        for (device, uuid, name) in [("/dev/md127", "a:1", "0"), ("/dev/md126", "b:2", "boot")] {
            found.arrays.push(Array { device: device.to_owned(), uuid: uuid.to_owned(), name: name.to_owned() });
            let (fstype, device) = ("ext4".to_owned(), device.to_owned());
            found.volumes.push(Volume { device, fstype, uuid: None, label: None, length: 1, esp: false });
        }
        let configured = [("/dev/md5".to_owned(), "B:2".to_owned()), ("/dev/md6".to_owned(), "c:3".to_owned())];
        for (device, array) in [
            ("/dev/md0", Some("/dev/md127")),
            ("/dev/md/0", Some("/dev/md127")),
            ("/dev/md/boot", Some("/dev/md126")),
            ("/dev/md5", Some("/dev/md126")),
            ("/dev/md6", None),
            ("/dev/md1", None),
            ("/dev/sda1", None),
        ] {
            assert_eq!(found.array(device, &configured).map(|volume| volume.device.as_str()), array, "{device}");
        }
    }
}
