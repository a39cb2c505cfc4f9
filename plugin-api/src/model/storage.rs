//! What a guest's filesystems lie on, from the disks up, and how the disks came to be larger.

use serde::{Deserialize, Serialize};

use super::growth::grows;

/// A disk that the user wants larger than the source has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GrownDisk {
    /// Index into `VmSpec::disks`.
    pub index: u32,
    /// Size in the source, in bytes.
    pub old_bytes: u64,
    /// Size now, in bytes.
    pub new_bytes: u64,
}

impl GrownDisk {
    /// A disk that is larger now.
    pub fn new(index: u32, old_bytes: u64, new_bytes: u64) -> Self {
        Self { index, old_bytes, new_bytes }
    }
}

/// What lies on what at this moment: what changes did since the guest was opened is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Storage {
    /// Schema number: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// Every device, in no order. Empty: this guest cannot tell.
    #[serde(default)]
    pub devices: Vec<StorageDevice>,
}

impl Storage {
    /// That of a guest which cannot tell.
    pub fn unknown() -> Self {
        Self::new(Vec::new())
    }

    /// These devices.
    pub fn new(devices: Vec<StorageDevice>) -> Self {
        Self { schema: super::SCHEMA, devices }
    }
}

/// A block device and what begins on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageDevice {
    /// Name in the inspector's own naming.
    pub device: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// What it is, and what it lies on.
    #[serde(flatten)]
    pub layer: Layer,
    /// What begins on it, as `blkid` names it; a disk with a partition table has nothing.
    #[serde(default)]
    pub fstype: Option<String>,
    /// How many bytes of the device that takes, from its start; 0: it does not say. Of a filesystem over several devices all of it.
    #[serde(default)]
    pub used_bytes: u64,
    /// What begins on it grows by multiples of so many bytes (the extents of a volume group); 0: by any number.
    #[serde(default)]
    pub unit_bytes: u64,
}

impl StorageDevice {
    /// A device on which nothing begins.
    pub fn new(device: impl Into<String>, size_bytes: u64, layer: Layer) -> Self {
        Self { device: device.into(), size_bytes, layer, fstype: None, used_bytes: 0, unit_bytes: 0 }
    }
}

/// What a block device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layer {
    /// A whole disk of the VM.
    Disk {
        /// Index into `VmSpec::disks`.
        index: u32,
        /// `gpt`, `mbr`, or `none`.
        table: String,
    },
    /// A partition.
    Partition {
        /// The disk.
        on: String,
        /// Where it begins on the disk, in bytes.
        start_bytes: u64,
        /// Its part in the table.
        role: PartitionRole,
    },
    /// An encrypted device that is open: as large as what it lies on, but for its header.
    Container {
        /// The encrypted device.
        on: String,
    },
    /// An array of several devices.
    Array,
    /// A logical volume.
    LogicalVolume {
        /// The physical volumes of its group.
        on: Vec<String>,
        /// Extents in a row and nothing else, without snapshots: it can be made longer.
        linear: bool,
    },
    /// A word of a newer contract: nothing can be said of what it lies on.
    #[serde(other)]
    Unknown,
}

/// A partition's part in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartitionRole {
    /// An entry of the table itself.
    Primary,
    /// An MBR's partition that holds the logical ones.
    Extended,
    /// A partition inside of the extended one.
    Logical,
    /// A word of a newer contract: not to be changed.
    #[serde(other)]
    Unknown,
}

/// What is made larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrowLayer {
    /// A partition, with the table that it is in.
    Partition,
    /// What LVM uses of a device.
    PhysicalVolume,
    /// A logical volume.
    LogicalVolume,
    /// A filesystem.
    Filesystem,
}

grows!(StorageDevice);
