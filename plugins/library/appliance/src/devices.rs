//! The block devices of a guest as the appliance sees them.

use std::fs::File;
use std::io::Read;

use vmdk2kvm_offline_guest::{Devices, disk_name};
use vmdk2kvm_plugin_api::model::{AttachedDisk, OpenGuest};
use vmdk2kvm_plugin_api::{Result, tracing};

use crate::appliance::Appliance;

/// Devices of a running appliance.
pub struct ApplianceDevices<'a> {
    pub appliance: &'a Appliance,
    pub writable: bool,
}

impl Devices for ApplianceDevices<'_> {
    fn size(&self, device: &str) -> Result<u64> {
        Ok(self.appliance.call(|handle| handle.device_size(device))?)
    }

    fn read(&self, device: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        Ok(self.appliance.call(|handle| handle.pread_device(device, length, offset))?)
    }

    fn arrays(&self) -> Result<Vec<String>> {
        Ok(self.appliance.call(|handle| handle.arrays())?)
    }

    fn array_identity(&self, device: &str) -> (String, String) {
        // Without them it is still an array.
        let details = self.appliance.call(|handle| handle.array_details(device)).unwrap_or_else(|error| {
            tracing::debug!(device, %error.message, "an array does not say what it is");
            Vec::new()
        });
        let detail = |key: &str| {
            let found = details.chunks_exact(2).find(|pair| pair[0] == key);
            found.map_or_else(String::new, |pair| pair[1].clone())
        };
        (detail("uuid"), detail("name"))
    }

    fn logical_volumes(&self) -> Result<Vec<String>> {
        Ok(self.appliance.call(|handle| handle.logical_volumes())?)
    }

    fn group_text(&self, group: &str) -> Result<Vec<u8>> {
        Ok(self.appliance.call(|handle| handle.volume_group_text(group))?)
    }

    fn unlock(&self, device: &str, key: &str, name: &str) -> Result<()> {
        Ok(self.appliance.call(|handle| handle.unlock(device, key, name, !self.writable))?)
    }

    fn scan_volume_groups(&self) -> Result<()> {
        Ok(self.appliance.call(|handle| handle.scan_volume_groups())?)
    }
}

/// The sizes of a request's disks in bytes, in their order.
pub fn disk_sizes(devices: &ApplianceDevices<'_>, request: &OpenGuest) -> Result<Vec<u64>> {
    let disks = request.disks.iter().enumerate();
    let size = |(index, disk)| match own_size(disk) {
        Some(size) => Ok(size),
        None => devices.size(&disk_name(index)),
    };
    disks.map(size).collect()
}

/// A disk's size as its image says: asking the appliance starts a program in it. The images are the host's own overlays; of other
/// formats nothing is read here.
fn own_size(disk: &AttachedDisk) -> Option<u64> {
    let mut file = File::open(&disk.path).ok()?;
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
