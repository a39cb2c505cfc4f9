//! A virtual system as a machine: everything but its disks' files.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;
use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Controller, Cpus, Finding, Firmware, Removable, RemovableKind, Severity, VmSpec};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_vmx::GUESSED_MEMORY;
use vmdk2kvm_vmx::identity::uuid;

use super::cards::nics;
use super::choices::Choices;
use super::envelope::{Amount, Disk, Envelope, bad, identity};
use super::hardware::{Adapter, Item, adapters, items, number, section};
use super::properties::{Properties, Unclear, without_value};
use super::settings::Settings;
use super::units;
use super::xml::{attribute, child, children};

/// The most memory, in bytes: 64 TiB.
const MAX_MEMORY: u64 = 64 << 40;
/// The most processors.
const MAX_CPUS: u64 = 4096;
/// The most disks of a machine (VMware's own limit is 256).
const MAX_DISKS: usize = 256;

/// A disk on its place, its file not yet looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The item's own name.
    pub instance: String,
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
    /// Its capacity in bytes, where it is known.
    pub capacity: Option<u64>,
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
    /// What is odd about it.
    pub findings: Vec<Finding>,
}

/// Reads a virtual system. `stem` names a machine that has neither name nor id.
pub fn describe(envelope: &Envelope, system: Node<'_, '_>, stem: &str, choices: &Choices) -> Result<Described> {
    let hardware = section(system);
    let items = hardware.map_or(Ok(Vec::new()), |section| items(section, &envelope.configurations))?;
    let properties = Properties::read(system, &envelope.configurations, choices);
    let mut findings: Vec<Finding> =
        envelope.configurations.finding().into_iter().chain(properties.finding()).collect();
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
    let memory_bytes = memory(&items, &properties, &mut guess)?;
    let cpus = cpus(&items, &properties, &settings, &mut guess)?;
    let adapters = adapters(&items);
    let disks = disks(envelope, &items, &adapters, &properties, &mut findings)?;
    let nics = nics(&items, &settings);
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
        it.boot_order = boot_order(hardware, &settings, &disks);
        it.removable = removable(&items, &adapters);
        it.nics = nics;
        it.shows_disk_serials = settings.shows_disk_serials();
        it.guessed = guessed;
    });
    Ok(Described { id: id.map(str::to_owned), vm, disks, findings })
}

/// Memory, by its own unit; VMware means MiB when none is stated.
fn memory(items: &[Item], properties: &Properties<'_>, guess: &mut impl FnMut(&str)) -> Result<u64> {
    let Some(item) = items.iter().find(|item| item.kind == 4 && item.quantity.is_some()) else {
        guess("memory_bytes");
        return Ok(GUESSED_MEMORY);
    };
    let quantity = number(item, "VirtualQuantity", quantity(item, properties)?, u64::MAX)?.unwrap_or_default();
    let unit = item.unit.as_deref().unwrap_or_else(|| {
        guess("memory_bytes");
        "byte * 2^20"
    });
    units::bytes(quantity, unit).filter(|bytes| *bytes <= MAX_MEMORY).ok_or_else(|| {
        bad(&format!("its memory of '{quantity} {}' is not an amount of at most {MAX_MEMORY} bytes", escape(unit)))
    })
}

/// How many or how much an item has, properties resolved.
fn quantity<'a>(item: &'a Item, properties: &'a Properties<'_>) -> Result<Option<&'a str>> {
    let Some(text) = item.quantity.as_deref() else { return Ok(None) };
    let value = properties.resolve(text);
    value
        .map(Some)
        .ok_or_else(|| without_value(&format!("the VirtualQuantity of the item '{}'", escape(&item.instance)), text))
}

fn cpus(
    items: &[Item],
    properties: &Properties<'_>,
    settings: &Settings,
    guess: &mut impl FnMut(&str),
) -> Result<Cpus> {
    let item = items.iter().find(|item| item.kind == 3);
    let stated = match item {
        None => None,
        Some(item) => number(item, "VirtualQuantity", quantity(item, properties)?, MAX_CPUS)?,
    };
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
    adapters: &BTreeMap<String, Adapter>,
    properties: &Properties<'_>,
    findings: &mut Vec<Finding>,
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
        let name = escape(&item.instance);
        let disk = match &item.resource {
            Some(resource) => envelope.resource(resource).ok_or_else(|| {
                bad(&format!("disk '{name}' names '{}', which the package does not have", escape(resource)))
            })?,
            None => empty(item),
        };
        let capacity = match capacity(&disk, properties) {
            Err(_) if item.resource.is_none() => None,
            capacity => capacity?,
        };
        if item.resource.is_none() && capacity.is_none() {
            let what = format!("disk '{name}' names nothing behind it and states no size: it is left out");
            findings.push(Finding::new("ovf-disk-without-content", Severity::Warn, what));
            continue;
        }
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
        let (instance, guessed) = (item.instance.clone(), guessed || item.place.is_none());
        disks.push(Placed { instance, controller: kind, bus, unit, guessed, disk, capacity });
    }
    disks.sort_by_key(|disk| (disk.controller, disk.bus, disk.unit));
    Ok(disks)
}

/// The disks that the firmware is told to start from: VMware's `BootOrderSection`s, each of which names an item, or the setting of a VMX.
fn boot_order(hardware: Option<Node<'_, '_>>, settings: &Settings, disks: &[Placed]) -> Vec<u32> {
    let sections = hardware.into_iter().flat_map(|hardware| {
        let here = children(hardware, "BootOrderSection");
        let beside = hardware.parent().into_iter().flat_map(|system| children(system, "BootOrderSection"));
        here.chain(beside).filter_map(|section| attribute(section, "instanceId")).collect::<Vec<_>>()
    });
    let by_item = sections.filter_map(|id| disks.iter().position(|disk| disk.instance == id));
    let key = |disk: &Placed| {
        let word = match disk.controller {
            Controller::Ide => "ide",
            Controller::Sata => "sata",
            Controller::Nvme => "nvme",
            _ => "scsi",
        };
        format!("{word}{}:{}", disk.bus, disk.unit)
    };
    let list = settings.text("bios.hddorder").unwrap_or_default().split(',').map(str::trim);
    let by_key = list.filter_map(|word| disks.iter().position(|disk| key(disk).eq_ignore_ascii_case(word)));
    by_item.chain(by_key).filter_map(|index| u32::try_from(index).ok()).collect()
}

/// The disk of an item with nothing behind it: as large as the item says, and empty.
fn empty(item: &Item) -> Disk {
    let amount = |(quantity, unit): (&String, &String)| Amount { quantity: quantity.clone(), unit: unit.clone() };
    let capacity = item.quantity.as_ref().zip(item.unit.as_ref()).map(amount);
    Disk { id: item.instance.clone(), file: None, capacity, format: None, parent: None }
}

/// The capacity in bytes that the package states.
fn capacity(disk: &Disk, properties: &Properties<'_>) -> Result<Option<u64>> {
    let Some(amount) = &disk.capacity else { return Ok(None) };
    let name = escape(&disk.id);
    match properties.bytes(amount) {
        Ok(capacity) => Ok(capacity),
        // Where there is a file, that says how large the disk is.
        Err(Unclear::Property) if disk.file.is_some() => Ok(None),
        Err(Unclear::Property) => Err(without_value(&format!("the capacity of disk '{name}'"), &amount.quantity)),
        Err(Unclear::Amount(amount)) => {
            Err(bad(&format!("disk '{name}' has a capacity of '{amount}', which is not an amount")))
        }
    }
}

fn removable(items: &[Item], adapters: &BTreeMap<String, Adapter>) -> Vec<Removable> {
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
