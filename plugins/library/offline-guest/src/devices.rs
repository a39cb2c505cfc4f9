//! What whoever reads a guest's disks gives: its block devices by name.

use vmdk2kvm_plugin_api::Result;

use crate::layout::ReadDevice;

/// The block devices of a guest: disks and partitions as a kernel names them, arrays, `/dev/mapper/NAME`, `/dev/GROUP/VOLUME`.
pub trait Devices {
    /// Size of a device in bytes.
    fn size(&self, device: &str) -> Result<u64>;

    /// Up to `length` bytes of a device; fewer where it ends.
    fn read(&self, device: &str, offset: u64, length: u32) -> Result<Vec<u8>>;

    /// The devices of all arrays.
    fn arrays(&self) -> Result<Vec<String>>;

    /// UUID and name of an array, as mdadm prints them; empty where it does not say.
    fn array_identity(&self, device: &str) -> (String, String);

    /// All logical volumes as `/dev/GROUP/VOLUME`.
    fn logical_volumes(&self) -> Result<Vec<String>>;

    /// LVM's own description of a volume group.
    fn group_text(&self, group: &str) -> Result<Vec<u8>>;

    /// Opens an encrypted device as `/dev/mapper/<name>`. An error says that this key does not fit.
    fn unlock(&self, device: &str, key: &str, name: &str) -> Result<()>;

    /// Looks for volume groups again, since there are new devices.
    fn scan_volume_groups(&self) -> Result<()>;
}

/// One of them.
pub(crate) struct Device<'a> {
    pub devices: &'a dyn Devices,
    pub device: &'a str,
}

impl ReadDevice for Device<'_> {
    fn read(&mut self, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.devices.read(self.device, offset, length)
    }
}
