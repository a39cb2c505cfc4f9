//! A virtual system as a machine: everything but its disks' files.

use std::collections::BTreeSet;

use roxmltree::Node;
use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Controller, Cpus, Firmware, Nic, NicKind, Removable, RemovableKind, VmSpec};
use vmdk2kvm_plugin_api::tracing::warn;

use super::envelope::{Disk, Envelope, bad, identity};
use super::hardware::{Adapter, Item, adapters, items, number, section};
use super::settings::Settings;
use super::units;
use super::xml::{attribute, child};
use crate::bare::GUESSED_MEMORY;
use crate::names::shown;
use crate::vmx::identity::{mac, uuid};

/// The most memory, in bytes: 64 TiB.
const MAX_MEMORY: u64 = 64 << 40;
/// The most processors.
const MAX_CPUS: u64 = 4096;
/// The most disks of a machine (VMware's own limit is 256).
const MAX_DISKS: usize = 256;

/// A disk on its place, its file not yet looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Kind of controller.
    pub controller: Controller,
    /// Number of the controller among those of its kind.
    pub bus: u32,
    /// Unit on the controller.
    pub unit: u32,
    /// The controller or the unit is a guess.
    pub guessed: bool,
    /// The disk.
    pub disk: Disk,
}

/// A machine whose disks are still only names.
#[derive(Debug)]
pub struct Described {
    /// Its id in the package.
    pub id: Option<String>,
    /// The machine, without disks.
    pub vm: VmSpec,
    /// Its disks in order.
    pub disks: Vec<Placed>,
}

/// Reads a virtual system. `stem` names a machine that has neither name nor id.
pub fn describe(envelope: &Envelope, system: Node<'_, '_>, stem: &str) -> Result<Described> {
    let hardware = section(system);
    let items = hardware.map_or(Ok(Vec::new()), |section| items(section, envelope.configuration.as_deref()))?;
    let settings = Settings::read(system, hardware);
    let mut guessed = Vec::new();
    let mut guess = |member: &str| guessed.push(member.to_owned());

    let (id, name) = identity(system);
    let name = name.or(id).map(str::to_owned).unwrap_or_else(|| {
        guess("name");
        stem.to_owned()
    });
    let firmware = settings.firmware().unwrap_or_else(|| {
        guess("firmware");
        Firmware::Bios
    });
    let memory_bytes = memory(&items, &mut guess)?;
    let cpus = cpus(&items, &settings, &mut guess)?;
    let adapters = adapters(&items);
    let disks = disks(envelope, &items, &adapters)?;
    let nics = nics(&items);
    let secure_boot = firmware == Firmware::Uefi && settings.secure_boot();
    let has_tpm_item =
        items.iter().any(|item| item.subtype.as_deref().is_some_and(|subtype| subtype.to_lowercase().contains("tpm")));
    let vm = VmSpec::new(name, firmware, cpus, memory_bytes).with(|it| {
        it.uuid = settings.uuid().and_then(uuid);
        it.guest_id = child(system, "OperatingSystemSection")
            .and_then(|os| attribute(os, "osType").or_else(|| attribute(os, "id")))
            .map(str::to_owned);
        it.secure_boot = secure_boot;
        it.tpm = settings.tpm() || has_tpm_item;
        it.removable = removable(&items, &adapters);
        it.nics = nics;
        it.guessed = guessed;
    });
    Ok(Described { id: id.map(str::to_owned), vm, disks })
}

/// Memory, by its own unit; VMware means MiB when none is stated.
fn memory(items: &[Item], guess: &mut impl FnMut(&str)) -> Result<u64> {
    let Some(item) = items.iter().find(|item| item.kind == 4 && item.quantity.is_some()) else {
        guess("memory_bytes");
        return Ok(GUESSED_MEMORY);
    };
    let quantity = number(item, "VirtualQuantity", item.quantity.as_deref(), u64::MAX)?.unwrap_or_default();
    let unit = item.unit.as_deref().unwrap_or_else(|| {
        guess("memory_bytes");
        "byte * 2^20"
    });
    units::bytes(quantity, unit).filter(|bytes| *bytes <= MAX_MEMORY).ok_or_else(|| {
        bad(&format!("its memory of '{quantity} {}' is no amount of at most {MAX_MEMORY} bytes", shown(unit)))
    })
}

fn cpus(items: &[Item], settings: &Settings, guess: &mut impl FnMut(&str)) -> Result<Cpus> {
    let item = items.iter().find(|item| item.kind == 3);
    let stated = item.map_or(Ok(None), |item| number(item, "VirtualQuantity", item.quantity.as_deref(), MAX_CPUS))?;
    if stated.is_none() {
        guess("cpus");
    }
    let count = stated.unwrap_or(1) as u32;
    let cores = item.and_then(|item| item.cores_per_socket.as_deref()).or(settings.text("cpuid.corespersocket"));
    let cores = cores.and_then(|cores| cores.parse().ok()).filter(|cores| *cores > 0).unwrap_or(1);
    if count % cores == 0 {
        return Ok(Cpus::new(count, cores));
    }
    warn!("{count} processors do not divide into sockets of {cores} cores; each gets a socket of its own");
    guess("cpus");
    Ok(Cpus::new(count, 1))
}

/// Disks in the order of their controllers and places.
fn disks(
    envelope: &Envelope,
    items: &[Item],
    adapters: &std::collections::BTreeMap<String, Adapter>,
) -> Result<Vec<Placed>> {
    let mut disks: Vec<Placed> = Vec::new();
    let mut taken = BTreeSet::new();
    // Those with a place first, so that one without does not take it.
    let mut order: Vec<&Item> = items.iter().filter(|item| item.kind == 17).collect();
    if order.len() > MAX_DISKS {
        return Err(bad(&format!("it has more than {MAX_DISKS} disks")));
    }
    order.sort_by_key(|item| item.place.is_none());
    for item in order {
        let name = shown(&item.instance);
        let resource =
            item.resource.as_deref().ok_or_else(|| bad(&format!("disk '{name}' names nothing behind it")))?;
        let disk = envelope.resource(resource).ok_or_else(|| {
            bad(&format!("disk '{name}' names '{}', which the package does not have", shown(resource)))
        })?;
        let adapter = item.parent.as_deref().and_then(|parent| adapters.get(parent));
        let Adapter { kind, bus, guessed } =
            *adapter.unwrap_or(&Adapter { kind: Controller::Scsi, bus: 0, guessed: true });
        let unit = match item.place {
            Some(unit) if taken.insert((kind, bus, unit)) => unit,
            Some(unit) if adapter.is_some() => {
                return Err(bad(&format!("two disks are on place {unit} of one controller; the second is '{name}'")));
            }
            _ => (0..).find(|unit| taken.insert((kind, bus, *unit))).unwrap_or_default(),
        };
        disks.push(Placed { controller: kind, bus, unit, guessed: guessed || item.place.is_none(), disk });
    }
    disks.sort_by_key(|disk| (disk.controller, disk.bus, disk.unit));
    Ok(disks)
}

/// Network cards by their places.
fn nics(items: &[Item]) -> Vec<Nic> {
    let mut cards: Vec<&Item> = items.iter().filter(|item| item.kind == 10).collect();
    cards.sort_by_key(|item| item.place.unwrap_or(u32::MAX));
    let nic = |item: &Item| {
        let address = item.address.as_deref().and_then(mac);
        if let (Some(written), None) = (&item.address, &address) {
            warn!("the card '{}': '{}' is not a MAC address; it gets a new one", shown(&item.instance), shown(written));
        }
        Nic::new(NicKind::Network).with(|it| {
            it.mac = address;
            it.model = item.subtype.as_deref().map(str::to_lowercase);
            it.network = item.connection.clone();
        })
    };
    cards.into_iter().map(nic).collect()
}

fn removable(items: &[Item], adapters: &std::collections::BTreeMap<String, Adapter>) -> Vec<Removable> {
    let word =
        |item: &Item| match item.parent.as_deref().and_then(|parent| adapters.get(parent)).map(|found| found.kind) {
            Some(Controller::Sata | Controller::Nvme) => "sata",
            Some(Controller::Ide) | None => "ide",
            Some(_) => "scsi",
        };
    let of = |item: &Item| match item.kind {
        15 | 16 => Some(Removable::new(RemovableKind::Cdrom, word(item).to_owned())),
        14 => Some(Removable::new(RemovableKind::Floppy, "floppy".to_owned())),
        _ => None,
    };
    let mut all: Vec<Removable> = items.iter().filter_map(of).collect();
    all.sort_by_key(|drive| drive.kind == RemovableKind::Floppy);
    all
}
