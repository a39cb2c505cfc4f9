//! What lies on what, as it is now: `Guest::storage`. Read anew each time, since changes make devices larger.

use vmdk2kvm_plugin_api::model::{Layer, PartitionRole, Storage, StorageDevice};
use vmdk2kvm_plugin_api::{ErrorKind, Host, Result, tracing};

use crate::devices::{Device, Devices};
use crate::layout::{PartitionKind, Superblock, TableKind, disk_name, partition_name, read_table, scan_volume};
use crate::lvm_text;
use crate::volumes::Opened;

/// Names of containers.
const LVM: &str = "LVM2_member";
const MD: &str = "linux_raid_member";

/// Looks at every disk, given their sizes in bytes, and at what is on them.
pub fn storage(devices: &dyn Devices, disks: &[u64], opened: &[Opened], host: &Host) -> Result<Storage> {
    let mut found = Reading { source: devices, devices: Vec::new(), physical: Vec::new() };
    for (index, size) in disks.iter().enumerate() {
        host.check_cancelled()?;
        found.disk(index, *size)?;
    }
    if found.has(MD) {
        for device in devices.arrays()? {
            found.device(&device, Layer::Array)?;
        }
    }
    for one in opened {
        found.device(&one.name, Layer::Container { on: one.device.clone() })?;
    }
    if !found.physical.is_empty() {
        found.volume_groups()?;
    }
    Ok(Storage::new(found.devices))
}

struct Reading<'a> {
    source: &'a dyn Devices,
    devices: Vec<StorageDevice>,
    /// UUIDs of physical volumes, and where they are among the devices.
    physical: Vec<(String, usize)>,
}

impl Reading<'_> {
    fn has(&self, fstype: &str) -> bool {
        self.devices.iter().any(|device| device.fstype.as_deref() == Some(fstype))
    }

    fn disk(&mut self, index: usize, size: u64) -> Result<()> {
        let name = disk_name(index);
        let table = read_table(&name, size, &mut Device { devices: self.source, device: &name });
        let table = match table {
            Ok(table) => table,
            // A damaged one was reported when the guest was opened.
            Err(error) if error.kind == ErrorKind::Unusable => return Ok(()),
            Err(error) => return Err(error),
        };
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let layer = Layer::Disk { index: number, table: table.kind.word().to_owned() };
        let whole = if table.kind == TableKind::None { self.superblock(&name)? } else { None };
        self.push(&name, size, layer, whole);
        for partition in table.partitions {
            let device = partition_name(&name, partition.number);
            let role = match partition.kind {
                PartitionKind::Extended => PartitionRole::Extended,
                _ if table.kind == TableKind::Mbr && partition.number > 4 => PartitionRole::Logical,
                _ => PartitionRole::Primary,
            };
            let holds = match partition.kind {
                PartitionKind::Extended | PartitionKind::BiosBoot => None,
                _ => self.superblock(&device)?,
            };
            let layer = Layer::Partition { on: name.clone(), start_bytes: partition.start, role };
            self.push(&device, partition.length, layer, holds);
        }
        Ok(())
    }

    /// A device whose size is in no table.
    fn device(&mut self, device: &str, layer: Layer) -> Result<()> {
        let size = self.source.size(device)?;
        let holds = self.superblock(device)?;
        self.push(device, size, layer, holds);
        Ok(())
    }

    /// Through the device's own node: its cache is the one that the filesystem's driver keeps right.
    fn superblock(&self, device: &str) -> Result<Option<Superblock>> {
        scan_volume(&mut Device { devices: self.source, device })
    }

    fn push(&mut self, device: &str, size_bytes: u64, layer: Layer, holds: Option<Superblock>) {
        let used_bytes = holds.as_ref().map_or(0, |found| found.size);
        if let Some(uuid) = holds.as_ref().filter(|found| found.fstype == LVM).and_then(|found| found.uuid.clone()) {
            self.physical.push((uuid, self.devices.len()));
        }
        let device = device.to_owned();
        let fstype = holds.map(|found| found.fstype);
        self.devices.push(StorageDevice::new(device, size_bytes, layer).with(|it| {
            it.fstype = fstype;
            it.used_bytes = used_bytes;
        }));
    }

    /// Volume groups, from LVM's own description of each.
    fn volume_groups(&mut self) -> Result<()> {
        let volumes = self.source.logical_volumes()?;
        let mut groups: Vec<&str> = volumes.iter().filter_map(|volume| names(volume)).map(|(group, _)| group).collect();
        groups.dedup();
        for group in groups {
            let text = self.source.group_text(group)?;
            let Some(described) = lvm_text::read(&String::from_utf8_lossy(&text)) else {
                tracing::warn!(group, "LVM's description of the volume group cannot be read");
                continue;
            };
            let mut on = Vec::new();
            for own in &described.physical {
                let Some((_, at)) = self.physical.iter().find(|(uuid, _)| *uuid == own.uuid) else { continue };
                let device = &mut self.devices[*at];
                (device.used_bytes, device.unit_bytes) = (own.used_bytes, described.extent_bytes);
                on.push(device.device.clone());
            }
            for volume in &volumes {
                let Some((_, name)) = names(volume).filter(|(own, _)| *own == group) else { continue };
                let linear = described.logical.iter().any(|one| one.name == name && one.linear);
                // A snapshot or a thin pool may not be readable; it is no reason to give up.
                if let Err(error) = self.device(volume, Layer::LogicalVolume { on: on.clone(), linear }) {
                    tracing::debug!(volume, %error, "a logical volume cannot be read");
                }
            }
        }
        Ok(())
    }
}

/// Group and volume of `/dev/GROUP/VOLUME`.
fn names(volume: &str) -> Option<(&str, &str)> {
    volume.strip_prefix("/dev/")?.split_once('/')
}
