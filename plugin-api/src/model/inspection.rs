//! What INSPECT read from the guest's disks.

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Finding, Firmware};

/// The guest as its disks describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inspection {
    /// Schema number: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// Operating system.
    pub os: OsInfo,
    /// Firmware that the disks are made for, whatever the VM's description says.
    #[serde(default)]
    pub firmware: Option<Firmware>,
    /// `grub2`, `grub-legacy`, `systemd-boot`, `extlinux`, `bootmgr`, `ntldr`, or `None` when none was recognised.
    #[serde(default)]
    pub bootloader: Option<String>,
    /// Path in the guest of the configuration that the bootloader really reads.
    #[serde(default)]
    pub bootloader_config: Option<String>,
    /// The device of the root filesystem, in the inspector's own naming (see `mounts`).
    #[serde(default)]
    pub root: Option<String>,
    /// What is mounted where, the root first.
    #[serde(default)]
    pub mounts: Vec<MountInfo>,
    /// Installed kernels, newest first.
    #[serde(default)]
    pub kernels: Vec<KernelInfo>,
    /// Network configuration.
    #[serde(default)]
    pub network: NetworkInfo,
    /// VMware Tools of any kind.
    #[serde(default)]
    pub vmware_tools: ToolsInfo,
    /// Every disk with what it holds, in the order of the VM's disks.
    #[serde(default)]
    pub disks: Vec<GuestDiskInfo>,
    /// Drivers of the hardware that a machine may have which the system starts with, as it is: `virtio-blk`, `virtio-net`, `ahci`, ... Empty where
    /// nothing is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drives: Vec<String>,
    /// What the system is made of cannot be changed from outside (a compressed or a signed image): it is moved as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// The system runs, and is looked at while it does: only fixers that are safe then are asked, and what they plan is carried out in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// Weaknesses.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl Inspection {
    /// A guest of which only the operating system is known.
    pub fn new(os: OsInfo) -> Self {
        Self {
            schema: super::SCHEMA,
            os,
            firmware: None,
            bootloader: None,
            bootloader_config: None,
            root: None,
            mounts: Vec::new(),
            kernels: Vec::new(),
            network: NetworkInfo::default(),
            vmware_tools: ToolsInfo::default(),
            disks: Vec::new(),
            drives: Vec::new(),
            sealed: false,
            live: false,
            findings: Vec::new(),
        }
    }
}

/// The family decides which fixers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OsFamily {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// Not recognised, or a word of a newer contract.
    #[default]
    #[serde(other)]
    Unknown,
}

impl OsFamily {
    /// The word for this family.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
            Self::Unknown => "unknown",
        }
    }
}

/// Operating system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OsInfo {
    /// Family.
    pub family: OsFamily,
    /// Distribution as `ID` of os-release says, e.g. `debian`.
    #[serde(default)]
    pub distro: String,
    /// Version as `VERSION_ID` says, e.g. `12`.
    #[serde(default)]
    pub version: String,
    /// Full name for people.
    #[serde(default)]
    pub product: String,
    /// Machine architecture: `x86_64`, `i686`, `aarch64`, ...
    #[serde(default)]
    pub arch: String,
    /// Host name configured in the guest.
    #[serde(default)]
    pub hostname: String,
    /// Other systems' `ID`s that this one resembles (`ID_LIKE`).
    #[serde(default)]
    pub like: Vec<String>,
}

/// A mounted filesystem of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MountInfo {
    /// Device in the inspector's own naming: `/dev/sda1` is partition 1 of the VM's first disk; logical volumes are
    /// `/dev/VG/LV`.
    pub device: String,
    /// Mount point in the guest.
    pub mountpoint: String,
    /// Filesystem type.
    pub fstype: String,
    /// Filesystem UUID.
    #[serde(default)]
    pub uuid: Option<String>,
    /// Bytes that can still be written to it, where the inspector asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Bytes of it that are in use, where the inspector asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Files that can still be made on it; `None` also where the filesystem has no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_inodes: Option<u64>,
}

/// An installed kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KernelInfo {
    /// Release, as the folder under `/lib/modules` is named.
    pub version: String,
    /// Path of the kernel image in the guest.
    #[serde(default)]
    pub image: Option<String>,
    /// Path of its initramfs in the guest.
    #[serde(default)]
    pub initramfs: Option<String>,
    /// Where the virtio drivers are.
    pub virtio: VirtioDrivers,
}

/// Where a kernel's virtio drivers are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VirtioDrivers {
    /// Drivers this kernel has, as modules or built in, e.g. `virtio_blk`.
    pub in_kernel: Vec<String>,
    /// Of these, built into the kernel image.
    #[serde(default)]
    pub built_in: Vec<String>,
    /// Of these, available at boot: inside the initramfs, or built in.
    pub in_initramfs: Vec<String>,
}

/// Network configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NetworkInfo {
    /// Stacks with configuration, the one in use first: `cloud-init`, `netplan`, `networkmanager`, `systemd-networkd`, `ifcfg`, `wicked`,
    /// `ifupdown`, `netctl`, `netifrc`.
    #[serde(default)]
    pub stacks: Vec<String>,
    /// Interfaces that the configuration names.
    #[serde(default)]
    pub interfaces: Vec<InterfaceInfo>,
}

/// An interface that the guest's configuration names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InterfaceInfo {
    /// Interface name, e.g. `ens192`.
    pub name: String,
    /// What software makes it: `vlan`, `bond`, `bridge`, `team`, `macvlan`, `tunnel`, `dummy`, `virtual`, ... `None`: it is a card, as far as
    /// the files say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Names of the interfaces that it is made over: the card of a VLAN, the ports of a bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<String>,
    /// It does not come up by itself, nor for anything that does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inactive: bool,
    /// MAC that a rule or a match binds to this name.
    #[serde(default)]
    pub mac: Option<String>,
    /// Static addresses with prefix length, e.g. `10.0.2.77/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Configured by DHCP.
    #[serde(default)]
    pub dhcp: bool,
    /// Files that say so.
    #[serde(default)]
    pub files: Vec<String>,
}

/// VMware Tools.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolsInfo {
    /// Whether anything of them was found.
    pub installed: bool,
    /// `package`, `tarball`, or empty.
    #[serde(default)]
    pub kind: String,
    /// Package names.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Version, when known.
    #[serde(default)]
    pub version: Option<String>,
}

/// A disk of the VM and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GuestDiskInfo {
    /// Index into `VmSpec::disks`.
    pub index: u32,
    /// Size in bytes.
    pub size_bytes: u64,
    /// `gpt`, `mbr`, or `none`.
    pub table: String,
    /// Everything on it that has a number or an identity: the whole disk (partition 0) and its partitions.
    pub devices: Vec<GuestBlockDevice>,
}

/// A block device of the guest with its stable identities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GuestBlockDevice {
    /// Name in the inspector's own naming, e.g. `/dev/sda1`.
    pub device: String,
    /// Partition number; 0 for the whole disk.
    pub partition: u32,
    /// Filesystem or container type as `blkid` names it: `ext4`, `swap`, `vfat`, `LVM2_member`, `crypto_LUKS`, ...
    #[serde(default)]
    pub fstype: Option<String>,
    /// UUID of the filesystem or container.
    #[serde(default)]
    pub uuid: Option<String>,
    /// Filesystem label.
    #[serde(default)]
    pub label: Option<String>,
    /// Partition UUID.
    #[serde(default)]
    pub partuuid: Option<String>,
    /// Partition label.
    #[serde(default)]
    pub partlabel: Option<String>,
    /// The type that the partition table gives it: a GUID, or `0x` and the number of an MBR's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parttype: Option<String>,
    /// Where on its disk a partition begins, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_bytes: Option<u64>,
    /// Where the guest had the filesystem mounted when it last did, as far as the filesystem says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_mounted: Option<String>,
    /// Further names of it, of `by-path` and `by-id`, where the running system was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

impl OsInfo {
    /// A system of a family.
    pub fn new(family: OsFamily) -> Self {
        Self { family, ..Self::default() }
    }
}

impl MountInfo {
    /// A mounted filesystem.
    pub fn new(device: impl Into<String>, mountpoint: impl Into<String>, fstype: impl Into<String>) -> Self {
        Self { device: device.into(), mountpoint: mountpoint.into(), fstype: fstype.into(), ..Self::default() }
    }
}

impl KernelInfo {
    /// A kernel of a release.
    pub fn new(version: impl Into<String>) -> Self {
        Self { version: version.into(), ..Self::default() }
    }
}

impl InterfaceInfo {
    /// An interface of a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

impl GuestDiskInfo {
    /// A disk on which nothing is known.
    pub fn new(index: u32, size_bytes: u64, table: impl Into<String>) -> Self {
        Self { index, size_bytes, table: table.into(), devices: Vec::new() }
    }
}

impl GuestBlockDevice {
    /// A device without an identity.
    pub fn new(device: impl Into<String>, partition: u32) -> Self {
        Self { device: device.into(), partition, ..Self::default() }
    }
}

grows!(
    Inspection,
    OsInfo,
    MountInfo,
    KernelInfo,
    VirtioDrivers,
    NetworkInfo,
    InterfaceInfo,
    ToolsInfo,
    GuestDiskInfo,
    GuestBlockDevice,
);
