//! What is on the disks, read from their bytes: partition tables and superblocks.
//!
//! An appliance could be asked (`list_filesystems`, `blkid`), but each of those calls starts programs in it: a tenth of a
//! second each under emulation, several seconds in all. One read for each disk and one for each partition say the same.

mod array_member;
pub(crate) mod bytes;
mod disk;
mod superblock;
mod table;

pub use disk::{DiskScan, disk_name, partition_name, scan_device, scan_disk, scan_volume};
pub use superblock::{Health, Superblock};
pub use table::{PartitionKind, TableKind, read as read_table};

/// Gives `length` bytes at `offset` of one device, or fewer where the device ends.
pub trait ReadDevice {
    /// Reads.
    fn read(&mut self, offset: u64, length: u32) -> vmdk2kvm_plugin_api::Result<Vec<u8>>;
}
