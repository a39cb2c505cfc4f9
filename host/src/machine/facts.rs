//! The new machine in words, for plans and reports: the same words everywhere.

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, CardNetwork, Chipset, Clock, DiskBus, Firmware, Machine, MachineDisk, Video,
};

use crate::events::bytes;

/// Labels and values. Values hold hostile text.
pub fn facts(machine: &Machine) -> Vec<(&'static str, String)> {
    let firmware = match (machine.firmware, machine.secure_boot) {
        (Firmware::Uefi, false) => "UEFI",
        (Firmware::Uefi, true) => "UEFI with Secure Boot",
        _ => "BIOS",
    };
    let cpus = machine.cpus;
    let mut facts = vec![
        ("Chipset", if machine.chipset == Chipset::Pc { "pc" } else { "q35" }.to_owned()),
        ("Firmware", firmware.to_owned()),
        ("Processors", format!("{} (sockets: {}, cores each: {})", cpus.count, cpus.sockets, cpus.cores_per_socket)),
        ("Memory", bytes(machine.memory_bytes)),
        ("Clock", if machine.clock == Clock::Local { "local time" } else { "UTC" }.to_owned()),
        ("Graphics", if machine.video == Video::Virtio { "virtio" } else { "VGA" }.to_owned()),
    ];
    facts.extend((1..).zip(&machine.disks).map(|(number, it)| ("Disk", disk(number, it))));
    facts.extend(machine.cards.iter().map(|it| ("Network card", card(it))));
    let extras = [
        (machine.tpm, "TPM"),
        (machine.enlightenments, "enlightenments"),
        (machine.serial_console, "serial console"),
        (machine.paravirtual, "agent channel, random numbers, balloon"),
    ];
    let extras: Vec<&str> = extras.into_iter().filter_map(|(has, word)| has.then_some(word)).collect();
    facts.push(("Has", extras.join(", ")));
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

fn disk(number: u32, disk: &MachineDisk) -> String {
    let bus = match disk.bus {
        DiskBus::Virtio => "virtio",
        DiskBus::VirtioScsi => "virtio-scsi",
        DiskBus::Ide => "IDE",
        _ => "SATA",
    };
    let boot = if disk.boot_order == Some(1) { ", boots" } else { "" };
    format!("{number} on {bus}, {}, {}{boot}", disk.format, bytes(disk.size_bytes))
}

fn card(card: &Card) -> String {
    let model = match card.model {
        CardModel::Virtio => "virtio",
        CardModel::E1000e => "e1000e",
        CardModel::Rtl8139 => "rtl8139",
        _ => "e1000",
    };
    let network = match &card.network {
        Some(CardNetwork::Network(name)) => Some(format!("network {name}")),
        Some(CardNetwork::Bridge(name)) => Some(format!("bridge {name}")),
        _ => None,
    };
    let words = [Some(model.to_owned()), card.mac.clone(), network];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
