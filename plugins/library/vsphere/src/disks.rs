//! The disks of a configuration, with their controllers, what lies behind them, and their ways.

use vmdk2kvm_plugin_api::model::{Controller, Disk, Removable, RemovableKind};

use crate::datastore::{self, File};
use crate::tree::Tree;
use crate::ways;

/// The longest chain that is followed.
const CHAIN: usize = 256;

/// A disk as a configuration has it.
#[derive(Debug, Clone)]
pub struct VirtualDisk {
    /// The device's key, by which it is known again.
    pub key: i64,
    /// As the machine's description has it.
    pub disk: Disk,
    /// What lies behind it.
    pub backing: Backing,
    /// Whether its controller is shared with other machines.
    pub shared_bus: bool,
}

/// What lies behind a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backing {
    /// Its type in the API, e.g. `VirtualDiskFlatVer2BackingInfo`.
    pub kind: String,
    /// Its files: the one that is written to first, then each one's parent.
    pub files: Vec<File>,
    /// `persistent`, `independent_persistent`, ...
    pub mode: String,
    /// A raw device that is handed through as it is.
    pub physical: bool,
    /// Several machines may write to it.
    pub multi_writer: bool,
    /// It is encrypted.
    pub encrypted: bool,
}

impl Backing {
    /// Snapshots leave it out.
    pub fn is_independent(&self) -> bool {
        self.mode.starts_with("independent")
    }

    fn of(tree: &Tree) -> Self {
        let mut files = Vec::new();
        let mut layer = Some(tree);
        while let Some(here) = layer.filter(|_| files.len() < CHAIN) {
            files.extend(here.text("fileName").and_then(|name| File::parse(name).ok()));
            layer = here.find("parent");
        }
        Self {
            kind: tree.kind.clone(),
            files,
            mode: tree.text("diskMode").unwrap_or_default().to_owned(),
            physical: tree.text("compatibilityMode") == Some("physicalMode"),
            multi_writer: tree.text("sharing") == Some("sharingMultiWriter"),
            encrypted: tree.find("keyId").is_some(),
        }
    }
}

/// Whether a device is a disk.
fn is_disk(device: &Tree) -> bool {
    device.kind == "VirtualDisk"
}

/// The kind of a controller by its type in the API; `None`: it is no controller of disks.
fn controller(kind: &str) -> Option<Controller> {
    match kind {
        "VirtualIDEController" => Some(Controller::Ide),
        "VirtualNVMEController" => Some(Controller::Nvme),
        "VirtualAHCIController" => Some(Controller::Sata),
        _ if kind.contains("SATA") => Some(Controller::Sata),
        // Paravirtual, LSI Logic, LSI Logic SAS, BusLogic, and what may come.
        _ if kind.contains("SCSI") || kind.contains("LsiLogic") || kind.contains("BusLogic") => Some(Controller::Scsi),
        _ => None,
    }
}

fn controller_of<'a>(devices: &'a Tree, device: &Tree) -> Option<(&'a Tree, Controller)> {
    let key = device.text("controllerKey")?;
    let found = devices.children.iter().find(|other| other.text("key") == Some(key))?;
    controller(&found.kind).map(|kind| (found, kind))
}

/// The disks of `config.hardware.device`, in the order in which the machine's firmware sees them.
pub fn disks(devices: &Tree, vm: &str, datacenter: &str) -> Vec<VirtualDisk> {
    let mut found: Vec<VirtualDisk> = devices
        .children
        .iter()
        .filter(|device| is_disk(device))
        .map(|device| disk(devices, device, vm, datacenter))
        .collect();
    found.sort_by_key(|it| (it.disk.controller, it.disk.bus, it.disk.unit));
    // A name tells a disk in messages and progress.
    for index in 0..found.len() {
        let twice = found.iter().filter(|other| other.disk.name == found[index].disk.name).count() > 1;
        if let (true, Some(file)) = (twice, found[index].backing.files.first()) {
            found[index].disk.name = file.to_string();
        }
    }
    found
}

fn disk(devices: &Tree, device: &Tree, vm: &str, datacenter: &str) -> VirtualDisk {
    let backing = device.find("backing").map(Backing::of).unwrap_or_default();
    let key: i64 = device.number("key").unwrap_or_default();
    let on = controller_of(devices, device);
    let name = backing.files.first().map_or_else(|| format!("disk {key}"), |file| file.name().to_owned());
    let kilobytes = device.number::<u64>("capacityInKB").and_then(|size| size.checked_mul(1024));
    let disk = Disk::new(
        name,
        on.as_ref().map_or(Controller::Scsi, |(_, kind)| *kind),
        on.as_ref().and_then(|(found, _)| found.number("busNumber")).unwrap_or_default(),
        device.number("unitNumber").unwrap_or_default(),
    )
    .with(|it| {
        it.id = key.to_string();
        it.uuid = device.text("backing.uuid").map(str::to_lowercase);
        it.capacity_bytes = device.number("capacityInBytes").or(kilobytes).unwrap_or_default();
        if let Some((top, parents)) = backing.files.split_first() {
            it.ways.push(datastore::way(top, datacenter, parents));
        }
        if let Some((on, _)) = &on {
            let bus = on.number::<u32>("busNumber").unwrap_or_default();
            let place = format!("{}{bus}:{}", on.kind, it.unit);
            let content = device.text("backing.contentId").unwrap_or_default();
            it.ways.push(ways::lease(vm, key, content, &place));
            it.ways.push(ways::ovf(vm, key, content));
        }
        it.ways.push(ways::disk(vm, key));
    });
    let shared_bus = on.is_some_and(|(found, _)| found.text("sharedBus").is_some_and(|word| word != "noSharing"));
    VirtualDisk { key, disk, backing, shared_bus }
}

/// Drives for removable media.
pub fn removable(devices: &Tree) -> Vec<Removable> {
    let drive = |device: &Tree| match device.kind.as_str() {
        "VirtualFloppy" => Some(Removable::new(RemovableKind::Floppy, "floppy")),
        "VirtualCdrom" => Some(Removable::new(
            RemovableKind::Cdrom,
            match controller_of(devices, device).map(|(_, kind)| kind) {
                Some(Controller::Sata) => "sata",
                Some(Controller::Scsi) => "scsi",
                _ => "ide",
            },
        )),
        _ => None,
    };
    devices.children.iter().filter_map(drive).collect()
}
