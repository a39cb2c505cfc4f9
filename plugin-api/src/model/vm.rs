//! The virtual machine as its hypervisor described it.

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Finding, Way};

/// A virtual machine. Made by a `Catalog`, completed by later stages, never shrunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
    /// Disks, as indices into `disks`, in the order in which its firmware was told to start from them. Those that are not named come behind;
    /// empty: in the order of `disks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot_order: Vec<u32>,
    /// CD-ROM and floppy drives.
    #[serde(default)]
    pub removable: Vec<Removable>,
    /// Network cards in slot order.
    #[serde(default)]
    pub nics: Vec<Nic>,
    /// Whether the guest saw its disks' identifiers ([`Disk::serial`]) as serial numbers; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shows_disk_serials: Option<bool>,
    /// What the description itself says that is worth knowing, or stands in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Names of the members above that no source stated and that were guessed, e.g. `memory_bytes`.
    #[serde(default)]
    pub guessed: Vec<String>,
    /// Where this description came from.
    #[serde(default)]
    pub origin: Option<Origin>,
}

impl VmSpec {
    /// A machine without disks, drives and cards.
    pub fn new(name: impl Into<String>, firmware: Firmware, cpus: Cpus, memory_bytes: u64) -> Self {
        Self {
            schema: super::SCHEMA,
            name: name.into(),
            uuid: None,
            genid: None,
            guest_id: None,
            firmware,
            secure_boot: false,
            tpm: false,
            cpus,
            memory_bytes,
            disks: Vec::new(),
            boot_order: Vec::new(),
            removable: Vec::new(),
            nics: Vec::new(),
            shows_disk_serials: None,
            findings: Vec::new(),
            guessed: Vec::new(),
            origin: None,
        }
    }

    /// The place of each disk in the order in which the firmware starts from them, from 0; what the description names twice, or does not
    /// have, counts once, or not.
    pub fn boot_places(&self) -> Vec<u32> {
        let named = self.boot_order.iter().map(|index| *index as usize);
        let mut order: Vec<usize> = Vec::with_capacity(self.disks.len());
        for index in named.chain(0..self.disks.len()).filter(|index| *index < self.disks.len()) {
            if !order.contains(&index) {
                order.push(index);
            }
        }
        let mut places = vec![0; order.len()];
        for (place, index) in (0..).zip(order) {
            places[index] = place;
        }
        places
    }
}

/// Where a description came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Origin {
    /// Name of the plugin that described it.
    pub fetcher: String,
    /// The file or URI that was read, without secrets.
    pub uri: String,
}

impl Origin {
    /// What this plugin read there.
    pub fn new(fetcher: impl Into<String>, uri: impl Into<String>) -> Self {
        Self { fetcher: fetcher.into(), uri: uri.into() }
    }
}

/// Boot firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Firmware {
    /// Legacy BIOS.
    Bios,
    /// UEFI.
    Uefi,
    /// A word of a newer contract, or not known: the disks decide, else BIOS.
    #[serde(other)]
    Unknown,
}

/// Processors and their topology; `count == sockets * cores_per_socket`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cpus {
    /// Virtual processors in all.
    pub count: u32,
    /// Sockets.
    pub sockets: u32,
    /// Cores in each socket.
    pub cores_per_socket: u32,
}

impl Cpus {
    /// So many processors, in sockets of so many cores; one socket a processor where that does not divide.
    pub fn new(count: u32, cores_per_socket: u32) -> Self {
        let count = count.max(1);
        let cores_per_socket = if cores_per_socket > 0 && count % cores_per_socket == 0 { cores_per_socket } else { 1 };
        Self { count, sockets: count / cores_per_socket, cores_per_socket }
    }

    /// The same, or, where its members contradict each other, so many processors of a socket each.
    #[must_use]
    pub fn consistent(self) -> Self {
        let fits = self.count > 0 && self.sockets.checked_mul(self.cores_per_socket) == Some(self.count);
        if fits { self } else { Self::new(self.count, 1) }
    }
}

/// The kind of controller a disk hangs on in the old machine. Declared in the order the firmware enumerates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Controller {
    /// Parallel ATA.
    Ide,
    /// Any SCSI or SAS adapter, paravirtual ones included.
    Scsi,
    /// AHCI.
    Sata,
    /// NVMe.
    Nvme,
    /// A word of a newer contract: to be treated as SCSI.
    #[serde(other)]
    Unknown,
}

/// A virtual disk.
///
/// In JSON it has also `format` and `path`, those of its first way, for readers who want to know no more than that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "DiskDocument")]
#[non_exhaustive]
pub struct Disk {
    /// The source's own key for it, by which a catalog knows it again; empty where it has none.
    #[serde(default)]
    pub id: String,
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
    /// What the guest could see as its serial number, in the form in which it saw it; `None`: not known.
    #[serde(default)]
    pub serial: Option<String>,
    /// What tells it from another disk that gets its `id` later: stays when its files get other names. `None`: the source has no such thing.
    #[serde(default)]
    pub uuid: Option<String>,
    /// The ways to its bytes, best first. None: the disk has no file (an empty disk).
    #[serde(default)]
    pub ways: Vec<Way>,
}

impl Disk {
    /// An empty disk at a place.
    pub fn new(name: impl Into<String>, controller: Controller, bus: u32, unit: u32) -> Self {
        Self {
            id: String::new(),
            name: name.into(),
            controller,
            bus,
            unit,
            capacity_bytes: 0,
            serial: None,
            uuid: None,
            ways: Vec::new(),
        }
    }
}

/// A disk as it is written.
#[derive(Serialize)]
struct DiskDocument {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    name: String,
    controller: Controller,
    bus: u32,
    unit: u32,
    capacity_bytes: u64,
    format: String,
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    ways: Vec<Way>,
}

impl From<Disk> for DiskDocument {
    fn from(disk: Disk) -> Self {
        let first = disk.ways.first();
        Self {
            format: first.map_or_else(|| "raw".to_owned(), |way| way.format.clone()),
            path: first.map(|way| way.object.clone()),
            id: disk.id,
            name: disk.name,
            controller: disk.controller,
            bus: disk.bus,
            unit: disk.unit,
            capacity_bytes: disk.capacity_bytes,
            serial: disk.serial,
            uuid: disk.uuid,
            ways: disk.ways,
        }
    }
}

/// A drive for removable media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Removable {
    /// CD-ROM or floppy.
    pub kind: RemovableKind,
    /// Controller word of the old machine: `ide`, `sata`, `scsi` or `floppy`.
    pub controller: String,
}

impl Removable {
    /// A drive.
    pub fn new(kind: RemovableKind, controller: impl Into<String>) -> Self {
        Self { kind, controller: controller.into() }
    }
}

/// Kind of removable drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RemovableKind {
    /// CD or DVD.
    Cdrom,
    /// Floppy.
    Floppy,
    /// A word of a newer contract: left out of the new machine.
    #[serde(other)]
    Unknown,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Nic {
    /// MAC address, lower case with colons. `None`: the source names none.
    #[serde(default)]
    pub mac: Option<String>,
    /// Model in the old machine, lower case, e.g. `vmxnet3`, `e1000`.
    #[serde(default)]
    pub model: Option<String>,
    /// The number of its PCI slot, as the old hypervisor counts and the guest's firmware told the guest: with it the name that the guest
    /// gave to the card can be worked out. `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// What the guest calls it, where the running guest was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_name: Option<String>,
    /// Name of the network or bridge it was attached to.
    #[serde(default)]
    pub network: Option<String>,
    /// What `network` names.
    pub kind: NicKind,
}

impl Nic {
    /// A card of which nothing is known but what kind of thing it was attached to.
    pub fn new(kind: NicKind) -> Self {
        Self { mac: None, model: None, slot: None, guest_name: None, network: None, kind }
    }
}

/// What a card was attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NicKind {
    /// A named virtual network or port group.
    Network,
    /// A host bridge.
    Bridge,
    /// A word of a newer contract: to be treated as a network.
    #[serde(other)]
    Unknown,
}

grows!(VmSpec, Origin, Disk, Removable, Nic);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_that_no_order_names_come_behind() {
        let disk = |unit| Disk::new("x", Controller::Scsi, 0, unit);
        for (order, places) in
            [(&[][..], [0, 1, 2]), (&[1], [1, 0, 2]), (&[2, 0], [1, 2, 0]), (&[2, 2, 9, 1, 0], [2, 1, 0])]
        {
            let vm = VmSpec::new("x", Firmware::Bios, Cpus::new(1, 1), 1).with(|it| {
                it.disks = (0..3).map(disk).collect();
                it.boot_order = order.to_vec();
            });
            assert_eq!(vm.boot_places(), places, "{order:?}");
        }
    }
}
