//! Devices that are block sources: disks, and what is put together from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, PluginError, Result, read_exact_at};

use crate::devices::{Device, Devices};
use crate::layout::{PartitionKind, TableKind, disk_name, partition_name, read_table, scan_device};
use crate::window::Window;
use crate::{lvm, md};

/// The devices on a VM's disks, named as an appliance names them.
pub struct Sources {
    devices: BTreeMap<String, Arc<dyn BlockSource>>,
    /// Devices of arrays, with their UUIDs and names.
    arrays: Vec<(String, String, String)>,
    groups: Vec<lvm::Group>,
}

impl Sources {
    /// Looks at every disk. What nobody can put together is no error of a disk, but of all of them: `Cannot`.
    pub fn new(disks: &[Arc<dyn BlockSource>]) -> Result<Self> {
        let mut found = Self { devices: BTreeMap::new(), arrays: Vec::new(), groups: Vec::new() };
        let mut order = Vec::new();
        for (index, disk) in disks.iter().enumerate() {
            let name = disk_name(index);
            found.devices.insert(name.clone(), disk.clone());
            let table = read_table(&name, disk.size(), &mut Device { devices: &found, device: &name });
            let table = match table {
                Ok(table) => table,
                // It is reported by whoever scans the disk.
                Err(error) if error.kind == ErrorKind::Unusable => continue,
                Err(error) => return Err(error),
            };
            if table.kind == TableKind::None {
                order.push(name.clone());
            }
            for partition in table.partitions.iter().filter(|one| one.kind != PartitionKind::Extended) {
                let device = partition_name(&name, partition.number);
                let part = Window::new(disk.clone(), partition.start, partition.length);
                found.devices.insert(device.clone(), Arc::new(part));
                order.push(device);
            }
        }
        found.assemble(&order)?;
        Ok(found)
    }

    /// A device.
    pub fn get(&self, device: &str) -> Result<Arc<dyn BlockSource>> {
        self.devices
            .get(device)
            .cloned()
            .ok_or_else(|| PluginError::unusable(format!("{device}: there is no such device")))
    }

    /// Puts arrays together, and then groups, which may lie on them.
    fn assemble(&mut self, order: &[String]) -> Result<()> {
        let members = self.holding("linux_raid_member", order)?;
        let found = md::arrays(&members)?;
        let mut order = order.to_vec();
        // A kernel that does not know the names of another host's arrays counts down from the last one.
        for (array, number) in found.into_iter().zip((0..=127).rev()) {
            let device = format!("/dev/md{number}");
            self.devices.insert(device.clone(), array.source);
            order.push(device.clone());
            self.arrays.push((device, array.uuid, array.name));
        }
        self.groups = lvm::groups(&self.holding("LVM2_member", &order)?)?;
        for group in &self.groups {
            for (volume, source) in &group.volumes {
                self.devices.insert(format!("/dev/{}/{volume}", group.name), source.clone());
            }
        }
        Ok(())
    }

    fn holding<'a>(&self, fstype: &str, order: &'a [String]) -> Result<Vec<(&'a str, Arc<dyn BlockSource>)>> {
        let mut found = Vec::new();
        for device in order {
            let source = self.get(device)?;
            let holds = scan_device(source.size(), &mut Device { devices: self, device })?;
            if holds.is_some_and(|holds| holds.fstype == fstype) {
                found.push((device.as_str(), source));
            }
        }
        Ok(found)
    }
}

impl Devices for Sources {
    fn size(&self, device: &str) -> Result<u64> {
        Ok(self.get(device)?.size())
    }

    fn read(&self, device: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        let source = self.get(device)?;
        let length = u64::from(length).min(source.size().saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        read_exact_at(source.as_ref(), offset, &mut bytes)?;
        Ok(bytes)
    }

    fn arrays(&self) -> Result<Vec<String>> {
        let mut devices: Vec<String> = self.arrays.iter().map(|(device, ..)| device.clone()).collect();
        devices.sort();
        Ok(devices)
    }

    fn array_identity(&self, device: &str) -> (String, String) {
        let found = self.arrays.iter().find(|(own, ..)| own == device);
        found.map(|(_, uuid, name)| (uuid.clone(), name.clone())).unwrap_or_default()
    }

    fn logical_volumes(&self) -> Result<Vec<String>> {
        let of_group = |group: &lvm::Group| {
            let name = group.name.clone();
            group.volumes.keys().map(move |volume| format!("/dev/{name}/{volume}")).collect::<Vec<_>>()
        };
        let mut volumes: Vec<String> = self.groups.iter().flat_map(of_group).collect();
        volumes.sort();
        Ok(volumes)
    }

    fn group_text(&self, group: &str) -> Result<Vec<u8>> {
        let found = self.groups.iter().find(|own| own.name == group);
        found
            .map(|own| own.text.clone())
            .ok_or_else(|| PluginError::unusable(format!("{group}: there is no such group")))
    }

    fn unlock(&self, device: &str, _: &str, _: &str) -> Result<()> {
        Err(PluginError::cannot(format!("unlocking {device}")))
    }

    fn scan_volume_groups(&self) -> Result<()> {
        Ok(())
    }
}
