//! Names that survive the move: which a device has, why it has none, and where it is not certain that it is the device that was meant.

use vmdk2kvm_plugin_api::model::{Controller, Finding, GuestBlockDevice, GuestDiskInfo, Severity};

use super::place::{Place, parse};
use super::{Devices, Reference};

const COPY_HINT: &str =
    "detach the copy of the disk, or give its filesystems and partitions UUIDs of their own, and migrate again";

/// Why a device is not named better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    /// What stands behind the comma of a sentence that names the device.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

impl Reason {
    /// Nobody knows the device.
    pub fn unknown() -> Self {
        Self {
            why: "and no disk of this VM is known to be that device".to_owned(),
            hint: "give that disk to the migration with --disk, or correct the file",
        }
    }
}

impl<'a> Devices<'a> {
    /// A name for the device that survives the move: by UUID, by partition UUID, by label, whichever it has and no other
    /// device shares (copies of disks share them).
    pub fn stable_name(&self, device: &GuestBlockDevice) -> Option<String> {
        let filesystem = !matches!(device.fstype.as_deref(), Some("LVM2_member"));
        self.unique(device, |one| &one.uuid)
            .filter(|_| filesystem)
            .map(|uuid| format!("UUID={uuid}"))
            .or_else(|| self.partition_name(device))
            .or_else(|| {
                self.unique(device, |one| &one.label)
                    .filter(|label| filesystem && !label.contains([' ', '\t', '"', '\'', '\\', '#']))
                    .map(|label| format!("LABEL={label}"))
            })
    }

    /// The device's name by its partition's UUID.
    pub fn partition_name(&self, device: &GuestBlockDevice) -> Option<String> {
        self.unique(device, |one| &one.partuuid).map(|own| format!("PARTUUID={own}"))
    }

    /// What the device has and no other of the VM.
    fn unique<'d>(
        &self,
        device: &'d GuestBlockDevice,
        get: fn(&GuestBlockDevice) -> &Option<String>,
    ) -> Option<&'d str> {
        let own = get(device).as_deref().filter(|own| !own.is_empty())?;
        (self.all().filter(|one| get(one).as_deref() == Some(own)).count() == 1).then_some(own)
    }

    /// Why `spec`, which names a device by its place, cannot be given a better name.
    pub fn why_not(&self, spec: &str) -> Reason {
        match self.refer(spec) {
            Reference::Place(device) => self.why_nameless(device),
            _ => Reason::unknown(),
        }
    }

    /// Why a device has no name that survives the move.
    pub fn why_nameless(&self, device: &GuestBlockDevice) -> Reason {
        let here = &device.device;
        let (why, hint) = match (self.same_content(device), self.same_partition(device)) {
            (Some(other), _) => {
                (format!("which is {here} here, and {} has the same UUIDs: it is a copy", other.device), COPY_HINT)
            }
            (None, Some(other)) => (
                format!("which is {here} here, and {} has the same partition UUID", other.device),
                "give one of the disks' partition tables another identifier in the guest (sfdisk --disk-id)",
            ),
            (None, None) => (
                format!("which is {here} here, and has neither UUID nor label"),
                "give the filesystem a label or its partition table UUIDs, and name it so in the guest",
            ),
        };
        Reason { why, hint }
    }

    /// The device with the same partition UUID: a partition table is copied with its disk, and for the disks of an array alone.
    fn same_partition(&self, device: &GuestBlockDevice) -> Option<&'a GuestBlockDevice> {
        let own = device.partuuid.as_ref().filter(|own| !own.is_empty())?;
        self.all().find(|one| one.device != device.device && one.partuuid.as_ref() == Some(own))
    }

    /// The device with the same filesystem or container on it. What lies on several disks has one UUID for all of them.
    fn same_content(&self, device: &GuestBlockDevice) -> Option<&'a GuestBlockDevice> {
        let spans = |fstype: &str| matches!(fstype, "linux_raid_member" | "btrfs" | "zfs_member" | "bcachefs");
        let own = device.uuid.as_ref().filter(|own| !own.is_empty() && !device.fstype.as_deref().is_some_and(spans))?;
        self.all().find(|one| one.device != device.device && one.uuid.as_ref() == Some(own))
    }

    /// A finding when a disk is a copy of another: which of them the guest takes is a matter of chance.
    pub fn copies(&self) -> Option<Finding> {
        let (device, other) = self.all().find_map(|device| Some((device, self.same_content(device)?)))?;
        let message = format!(
            "{} and {} have the same UUIDs: one disk is a copy of the other, and which of them the guest takes is a matter of chance",
            device.device, other.device
        );
        Some(Finding::new("shared-uuids", Severity::Warn, message).hint(COPY_HINT))
    }

    /// Every device that `spec`, a letter in doubt, may mean: the partition of its number on each disk that has a letter.
    pub fn candidates(&self, spec: &str) -> Vec<&'a GuestBlockDevice> {
        let Some(Place::Letter { partition, .. }) = parse(spec.trim_matches('"')) else { return Vec::new() };
        let has_letter =
            |info: &&GuestDiskInfo| self.vm_disk(info).is_none_or(|disk| disk.controller != Controller::Nvme);
        let devices = self.disks.iter().filter(has_letter).flat_map(|info| &info.devices);
        devices.filter(|device| device.partition == partition).collect()
    }

    /// Why it is not certain that `spec` means the device that [`Self::refer`] says, behind the comma of a sentence.
    pub fn doubt(&self, spec: &str) -> Option<&'static str> {
        let Some(Place::Letter { .. }) = parse(spec.trim_matches('"')) else { return None };
        let mut kinds: Vec<Controller> =
            self.disks.iter().filter_map(|info| self.vm_disk(info)).map(|disk| disk.controller).collect();
        // NVMe has names of its own.
        kinds.retain(|kind| *kind != Controller::Nvme);
        kinds.sort_unstable();
        kinds.dedup();
        (kinds.len() > 1).then_some(
            "which is a guess: the VM has disks on controllers of different kinds, and Linux gives letters in the order in which their drivers come up",
        )
    }

    /// A finding with this code when it is not certain that `spec`, of which `what` speaks, means the device that it is taken for.
    pub fn guess(&self, code: &str, what: &str, spec: &str) -> Option<Finding> {
        let Reference::Place(device) = self.refer(spec) else { return None };
        let message = format!("{what}, taken for {}, {}", device.device, self.doubt(spec)?);
        Some(
            Finding::new(code, Severity::Warn, message)
                .hint("look in the old machine which device it is (blkid), and name it by UUID there"),
        )
    }
}
