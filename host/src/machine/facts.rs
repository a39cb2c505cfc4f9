//! The new machine in words, for plans and reports: the same words everywhere.

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, CardNetwork, Chipset, Clock, Cpus, DiskBus, Firmware, Machine, MachineDisk, Video,
};

use crate::events::bytes;

/// Labels and values. Values hold hostile text.
pub fn facts(machine: &Machine) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Chipset", chipset(machine.chipset).to_owned()),
        ("Firmware", firmware(machine.firmware, machine.secure_boot).to_owned()),
        ("Processors", cpus(machine.cpus)),
        ("Memory", bytes(machine.memory_bytes)),
        ("Clock", clock(machine.clock).to_owned()),
        ("Graphics", video(machine.video).to_owned()),
    ];
    facts.extend((1..).zip(&machine.disks).map(|(number, it)| ("Disk", format!("{number} on {}", disk(it)))));
    facts.extend(machine.cards.iter().map(|it| ("Network card", card(it))));
    facts.push(("Has", extras(machine)));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// Firmware in words.
pub fn firmware(firmware: Firmware, secure_boot: bool) -> &'static str {
    match (firmware, secure_boot) {
        (Firmware::Uefi, false) => "UEFI",
        (Firmware::Uefi, true) => "UEFI with Secure Boot",
        _ => "BIOS",
    }
}

/// Processors in words.
pub fn cpus(cpus: Cpus) -> String {
    format!("{} (sockets: {}, cores each: {})", cpus.count, cpus.sockets, cpus.cores_per_socket)
}

pub(super) fn chipset(chipset: Chipset) -> &'static str {
    if chipset == Chipset::Pc { "pc" } else { "q35" }
}

pub(super) fn clock(clock: Clock) -> &'static str {
    if clock == Clock::Local { "local time" } else { "UTC" }
}

pub(super) fn video(video: Video) -> &'static str {
    if video == Video::Virtio { "virtio" } else { "VGA" }
}

/// What else the machine has.
pub(super) fn extras(machine: &Machine) -> String {
    let extras = [
        (machine.tpm, "TPM"),
        (machine.enlightenments, "enlightenments"),
        (machine.serial_console, "serial console"),
        (machine.paravirtual, "agent channel, random numbers, balloon"),
    ];
    extras.into_iter().filter_map(|(has, word)| has.then_some(word)).collect::<Vec<_>>().join(", ")
}

pub(super) fn bus(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::Virtio => "virtio",
        DiskBus::VirtioScsi => "virtio-scsi",
        DiskBus::Ide => "IDE",
        _ => "SATA",
    }
}

pub(super) fn disk(disk: &MachineDisk) -> String {
    let boot = if disk.boot_order == Some(1) { ", boots" } else { "" };
    format!("{}, {}, {}{boot}", bus(disk.bus), disk.format, bytes(disk.size_bytes))
}

pub(super) fn model(model: CardModel) -> &'static str {
    match model {
        CardModel::Virtio => "virtio",
        CardModel::E1000e => "e1000e",
        CardModel::Rtl8139 => "rtl8139",
        _ => "e1000",
    }
}

pub(super) fn card(card: &Card) -> String {
    let network = match &card.network {
        Some(CardNetwork::Network(name)) => Some(format!("network {name}")),
        Some(CardNetwork::Bridge(name)) => Some(format!("bridge {name}")),
        _ => None,
    };
    let words = [Some(model(card.model).to_owned()), card.mac.clone(), network];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
