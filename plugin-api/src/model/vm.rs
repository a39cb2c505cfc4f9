//! The virtual machine as its hypervisor described it.

use serde::{Deserialize, Serialize};

/// A virtual machine. Made by a `Catalog`, completed by later stages, never shrunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSpec {
    /// Schema number of this document: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// The name a person gave it.
    pub name: String,
    /// SMBIOS UUID in its canonical text form.
    #[serde(default)]
    pub uuid: Option<String>,
    /// VM generation id (a 128-bit GUID in text form).
    #[serde(default)]
    pub genid: Option<String>,
    /// The old hypervisor's own word for the guest, e.g. `debian12-64`. Never trusted over the disk's content.
    #[serde(default)]
    pub guest_id: Option<String>,
    /// Firmware it was started with.
    pub firmware: Firmware,
    /// Secure Boot enforced.
    #[serde(default)]
    pub secure_boot: bool,
    /// Has a TPM.
    #[serde(default)]
    pub tpm: bool,
    /// Virtual processors.
    pub cpus: Cpus,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Disks in the order the guest's firmware sees them: controller, bus, unit.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// CD-ROM and floppy drives.
    #[serde(default)]
    pub removable: Vec<Removable>,
    /// Network cards in slot order.
    #[serde(default)]
    pub nics: Vec<Nic>,
    /// Names of the members above that no source stated and that were guessed, e.g. `memory_bytes`.
    #[serde(default)]
    pub guessed: Vec<String>,
    /// Where this description came from.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// Where a description came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the plugin that described it.
    pub fetcher: String,
    /// The file or URI that was read, without secrets.
    pub uri: String,
}

/// Boot firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

/// Processors and their topology; `count == sockets * cores_per_socket`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpus {
    /// Virtual processors in all.
    pub count: u32,
    /// Sockets.
    pub sockets: u32,
    /// Cores in each socket.
    pub cores_per_socket: u32,
}

/// The kind of controller a disk hangs on in the old machine. Declared in the order the firmware enumerates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    /// Parallel ATA.
    Ide,
    /// Any SCSI or SAS adapter, paravirtual ones included.
    Scsi,
    /// AHCI.
    Sata,
    /// NVMe.
    Nvme,
}

/// A virtual disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Name of the file or device for people, e.g. `web.vmdk`.
    pub name: String,
    /// Kind of controller.
    pub controller: Controller,
    /// Number of the controller among those of its kind.
    pub bus: u32,
    /// Unit on the controller.
    pub unit: u32,
    /// Capacity in bytes; 0 until the disk's chain was opened.
    #[serde(default)]
    pub capacity_bytes: u64,
    /// Format of the topmost file, e.g. `vmdk`, `qcow2`, `raw`: chooses the flattener.
    pub format: String,
    /// Opaque reference of the topmost file for the `Transport` of the same fetcher; for a local file its path. `None`: the
    /// disk has no file (an empty disk).
    #[serde(default)]
    pub path: Option<String>,
}

/// A drive for removable media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removable {
    /// CD-ROM or floppy.
    pub kind: RemovableKind,
    /// Controller word of the old machine: `ide`, `sata`, `scsi` or `floppy`.
    pub controller: String,
}

/// Kind of removable drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovableKind {
    /// CD or DVD.
    Cdrom,
    /// Floppy.
    Floppy,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// MAC address, lower case with colons. `None`: the source names none.
    #[serde(default)]
    pub mac: Option<String>,
    /// Model in the old machine, lower case, e.g. `vmxnet3`, `e1000`.
    #[serde(default)]
    pub model: Option<String>,
    /// Name of the network or bridge it was attached to.
    #[serde(default)]
    pub network: Option<String>,
    /// What `network` names.
    pub kind: NicKind,
}

/// What a card was attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NicKind {
    /// A named virtual network or port group.
    Network,
    /// A host bridge.
    Bridge,
}
