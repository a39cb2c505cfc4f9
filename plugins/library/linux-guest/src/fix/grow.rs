//! Room that the user gave to a disk: the root's partition, physical volume, logical volume and filesystem take it, from the
//! disk up to the filesystem or not at all. Why not, is a finding.
//!
//! Owns the decision, over [`Storage`] alone; the guest carries it out. Nothing grows only because there is room at the end of a disk.

use vmdk2kvm_plugin_api::model::{
    Action, Change, Finding, FixerPlan, GrowLayer, GrownDisk, Layer, MountInfo, OsFamily, PartitionRole, PlanContext,
    Severity, Storage, StorageDevice,
};
use vmdk2kvm_plugin_api::{Fixer, Guest, PluginError, Result};

/// The fixer of the root's size.
pub(crate) struct Grow;

/// A filesystem that is smaller than its device by less than this, in bytes, is as large as it can be: it leaves alone what is
/// less than a group of its blocks with their tables.
pub const FILESYSTEM_SLACK: u64 = 16 << 20;

/// Partitions end at multiples of this, in bytes.
const MIB: u64 = 1 << 20;
/// The backup of a GPT: a header and 128 entries of 128 bytes (UEFI specification 2.10, 5.3), and the sector before, up to which
/// sgdisk lets partitions reach once it is rounded down to a MiB.
const GPT_BACKUP: u64 = 34 * 512;
/// An MBR counts 512-byte sectors in 32 bits.
const MBR_END: u64 = 512 << 32;
/// No device lies on more layers than this.
const DEPTH: u32 = 8;

impl Fixer for Grow {
    fn name(&self) -> String {
        "linux-grow".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    /// Before all others: what they write may need the room.
    fn order(&self) -> u32 {
        50
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        match &context.inspection.root {
            Some(root) if !context.grown.is_empty() => decide(&guest.storage()?, root, &context.grown),
            _ => Ok(FixerPlan::default()),
        }
    }
}

/// The mounts with the room that these changes of [`Grow`] give them, but for a tenth, which a filesystem's own tables may take.
pub(crate) fn with_room(mounts: &[MountInfo], changes: &[Change]) -> Vec<MountInfo> {
    let mut mounts = mounts.to_vec();
    for change in changes {
        let Action::Grow { layer: GrowLayer::Filesystem, old_bytes, new_bytes } = change.action else { continue };
        for mount in mounts.iter_mut().filter(|mount| mount.device == change.target) {
            let more = new_bytes.saturating_sub(old_bytes) / 10 * 9;
            mount.free_bytes = mount.free_bytes.map(|free| free.saturating_add(more));
            // They come with the room.
            mount.free_inodes = None;
        }
    }
    mounts
}

/// What grows, the lowest layer first.
fn decide(storage: &Storage, root: &str, grown: &[GrownDisk]) -> Result<FixerPlan> {
    let mut walk = Walk { storage, grown, reached: Vec::new(), plan: FixerPlan::default() };
    if storage.devices.is_empty() {
        let message = "the storage below this guest's filesystems is unknown: nothing on its larger disk can grow";
        walk.plan.findings.push(stopped(message.to_owned(), "grow it in the VM"));
        return Ok(walk.plan);
    }
    if let Err(finding) = walk.filesystem(root)? {
        // Half of the way up is of no use to anybody.
        walk.plan.changes.clear();
        walk.plan.findings.push(finding);
    }
    for disk in grown.iter().filter(|disk| !walk.reached.contains(&disk.index)) {
        let message = format!("disk {} is larger now, and {root} is not on it", disk.index + 1);
        walk.plan.findings.push(stopped(message, "grow its content in the VM"));
    }
    Ok(walk.plan)
}

fn stopped(message: String, hint: &str) -> Finding {
    Finding::new("not-grown", Severity::Warn, message).hint(hint)
}

/// What was found, or what is in the way.
type OrWhyNot<T> = std::result::Result<T, Finding>;

/// How large a device will be.
#[derive(Clone, Copy)]
struct Room {
    bytes: u64,
    /// The user made a disk below it larger, and nothing is in the way.
    given: bool,
}

/// A way from the root down to its disks.
struct Walk<'a> {
    storage: &'a Storage,
    grown: &'a [GrownDisk],
    /// Larger disks that were met.
    reached: Vec<u32>,
    plan: FixerPlan,
}

impl<'a> Walk<'a> {
    fn find(&self, name: &str) -> Option<&'a StorageDevice> {
        self.storage.devices.iter().find(|one| one.device == name)
    }

    fn device(&self, name: &str) -> Result<&'a StorageDevice> {
        self.find(name)
            .ok_or_else(|| PluginError::defect(format!("the guest's storage lacks {name}, which something lies on")))
    }

    fn push(&mut self, layer: GrowLayer, device: &str, old_bytes: u64, new_bytes: u64) {
        let what = match layer {
            GrowLayer::Partition => "the partition",
            GrowLayer::PhysicalVolume => "the physical volume",
            GrowLayer::LogicalVolume => "the logical volume",
            _ => "the filesystem",
        };
        self.plan.changes.push(
            Change::new(
                Action::Grow { layer, old_bytes, new_bytes },
                device,
                format!("{what} grows from {old_bytes} to {new_bytes} bytes"),
                "its disk was made larger, for the root to grow",
            )
            .critical(),
        );
    }

    /// The root's filesystem, after all that it lies on.
    fn filesystem(&mut self, root: &str) -> Result<OrWhyNot<()>> {
        let Some(device) = self.find(root) else {
            self.reached.extend(self.grown.iter().map(|disk| disk.index));
            let message = format!("the storage below {root} is unknown: nothing on its larger disk can grow");
            return Ok(Err(stopped(message, "grow it in the VM")));
        };
        let room = match self.room(device, DEPTH)? {
            Ok(room) if room.given => room.bytes,
            Ok(_) => return Ok(Ok(())),
            Err(finding) => return Ok(Err(finding)),
        };
        let fstype = device.fstype.as_deref().unwrap_or("unknown");
        if !matches!(fstype, "ext2" | "ext3" | "ext4" | "xfs" | "btrfs") {
            let message = format!("{root} has a filesystem of the type {fstype}, which is not grown");
            return Ok(Err(stopped(message, "grow the partition and the filesystem in the VM")));
        }
        if device.used_bytes > device.size_bytes {
            let message = format!("the filesystem of {root} is on several devices, and is not grown");
            return Ok(Err(stopped(message, "grow the partition and the filesystem in the VM")));
        }
        if room - device.used_bytes >= FILESYSTEM_SLACK {
            self.push(GrowLayer::Filesystem, root, device.used_bytes, room);
        } else if !self.plan.changes.is_empty() {
            let message = format!("{root} could grow by less than {} MiB, and keeps its size", FILESYSTEM_SLACK / MIB);
            return Ok(Err(stopped(message, "give the disk more space, or grow the partition in the VM")));
        }
        Ok(Ok(()))
    }

    /// The size that `device` gets, and the changes of what it lies on.
    fn room(&mut self, device: &StorageDevice, depth: u32) -> Result<OrWhyNot<Room>> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(PluginError::defect(format!("{} lies on more than {DEPTH} layers", device.device)));
        };
        let now = device.size_bytes;
        match &device.layer {
            Layer::Disk { index, .. } => {
                let given = self.is_grown(*index);
                Ok(Ok(Room { bytes: now, given }))
            }
            Layer::Partition { on, start_bytes, role } => {
                let disk = self.device(on)?;
                let Layer::Disk { index, table } = &disk.layer else {
                    return Err(PluginError::defect(format!("{} is a partition of {on}, no disk", device.device)));
                };
                if !self.is_grown(*index) {
                    return Ok(Ok(Room { bytes: now, given: false }));
                }
                Ok(self.partition(device, disk, table, *start_bytes, *role))
            }
            Layer::Container { on } => {
                let below = self.device(on)?;
                let room = self.room(below, depth)?;
                Ok(room.map(|room| Room { bytes: now + room.bytes.saturating_sub(below.size_bytes), ..room }))
            }
            Layer::LogicalVolume { on, linear } => self.logical_volume(device, on, *linear, depth),
            Layer::Array => {
                self.reached.extend(self.grown.iter().map(|disk| disk.index));
                let message = format!("the root is on the array {}, which is not grown", device.device);
                Ok(Err(stopped(message, "grow the partitions and the array in the VM, with mdadm --grow")))
            }
            _ => Ok(Ok(Room { bytes: now, given: false })),
        }
    }

    fn is_grown(&mut self, index: u32) -> bool {
        let grown = self.grown.iter().any(|disk| disk.index == index);
        if grown && !self.reached.contains(&index) {
            self.reached.push(index);
        }
        grown
    }

    fn partition(
        &mut self,
        device: &StorageDevice,
        disk: &StorageDevice,
        table: &str,
        start: u64,
        role: PartitionRole,
    ) -> OrWhyNot<Room> {
        let now = device.size_bytes;
        let neighbours = self.storage.devices.iter().filter_map(|one| match &one.layer {
            Layer::Partition { on, start_bytes, role } if *on == disk.device => Some((one, *start_bytes, *role)),
            _ => None,
        });
        let behind = neighbours.clone().filter(|(_, other, _)| *other > start).min_by_key(|(_, other, _)| *other);
        if let Some((other, ..)) = behind {
            let (own, other) = (&device.device, describe(other));
            let message = format!("{own} cannot grow into the new space: {other} follows it on the disk");
            let hint = "make a partition in the new space, or remove in the VM the partitions behind the root and grow it then";
            self.plan.findings.push(stopped(message, hint));
            return Ok(Room { bytes: now, given: false });
        }
        let end = match table {
            "gpt" => disk.size_bytes.saturating_sub(GPT_BACKUP),
            _ => disk.size_bytes.min(MBR_END - MIB),
        };
        let end = end / MIB * MIB;
        if table != "gpt" && disk.size_bytes > MBR_END {
            let message =
                format!("{}: its MBR reaches no further than 2 TiB, and what is behind stays unused", disk.device);
            self.plan.findings.push(stopped(message, "move the VM to a GPT to use it"));
        }
        if end > start.saturating_add(now) {
            let extended = neighbours.filter(|(_, _, kind)| *kind == PartitionRole::Extended).find(|(one, from, _)| {
                role == PartitionRole::Logical && *from < start && from.saturating_add(one.size_bytes) > start
            });
            if let Some((extended, from, _)) =
                extended.filter(|(one, from, _)| from.saturating_add(one.size_bytes) < end)
            {
                self.push(GrowLayer::Partition, &extended.device, extended.size_bytes, end - from);
            }
            self.push(GrowLayer::Partition, &device.device, now, end - start);
        }
        Ok(Room { bytes: now.max(end.saturating_sub(start)), given: true })
    }

    fn logical_volume(
        &mut self,
        device: &StorageDevice,
        on: &[String],
        linear: bool,
        depth: u32,
    ) -> Result<OrWhyNot<Room>> {
        let (mut gain, mut given) = (0u64, false);
        for name in on {
            let volume = self.device(name)?;
            let room = match self.room(volume, depth)? {
                Ok(room) if room.given => room.bytes,
                Ok(_) => continue,
                Err(finding) => return Ok(Err(finding)),
            };
            given = true;
            let unit = volume.unit_bytes.max(1);
            let gained = room.saturating_sub(volume.used_bytes) / unit * unit;
            if gained > 0 {
                self.push(GrowLayer::PhysicalVolume, name, volume.used_bytes, volume.used_bytes + gained);
                gain += gained;
            }
        }
        if gain > 0 && !linear {
            let name = &device.device;
            let message = format!("{name} is no plain logical volume, or has snapshots, and is not grown");
            return Ok(Err(stopped(message, "grow it in the VM, with pvresize and lvextend")));
        }
        let bytes = device.size_bytes + gain;
        if gain > 0 {
            self.push(GrowLayer::LogicalVolume, &device.device, device.size_bytes, bytes);
        }
        Ok(Ok(Room { bytes, given }))
    }
}

/// A partition for people.
fn describe(device: &StorageDevice) -> String {
    match (&device.layer, device.fstype.as_deref()) {
        (Layer::Partition { role: PartitionRole::Extended, .. }, _) => {
            format!("the extended partition {}", device.device)
        }
        (_, Some(fstype)) => format!("{} ({fstype})", device.device),
        (_, None) => device.device.clone(),
    }
}

#[cfg(test)]
mod tests;
