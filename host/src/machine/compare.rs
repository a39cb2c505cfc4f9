//! The old machine and the new one side by side, in words.

use vmdk2kvm_plugin_api::model::{
    Card, CardNetwork, Controller, Disk, DiskBus, Machine, MachineDisk, MachineDrive, Nic, Removable, RemovableKind,
    VmSpec,
};

use super::facts::{bus, card, chipset, clock, cpus, disk, extras, firmware, model, video};
use crate::events::bytes;

/// A part of both machines. Its texts hold hostile words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// What it is.
    pub label: String,
    /// In the old machine; empty: it has none, or nothing states it.
    pub old: String,
    /// In the new one; empty: it has none.
    pub new: String,
    /// Whether it is another one than it was, as far as the old one is known.
    pub changed: bool,
}

/// Both machines, part by part: disks and cards in their order.
pub fn compare(old: &VmSpec, new: &Machine) -> Vec<Compared> {
    let guess = |member: &str, value: String| match old.guessed.iter().any(|guessed| guessed == member) {
        true => format!("{value} (guessed)"),
        false => value,
    };
    let yes = |has: bool| if has { "yes".to_owned() } else { String::new() };
    let row = |label: &str, old: String, new: String, changed| Compared { label: label.to_owned(), old, new, changed };
    let old_firmware = firmware(old.firmware, old.secure_boot);
    let new_firmware = firmware(new.firmware, new.secure_boot);
    let uuid = |uuid: &Option<String>| uuid.clone().unwrap_or_default();
    let mut rows = vec![
        row("Name", old.name.clone(), new.name.clone(), old.name != new.name),
        row("UUID", uuid(&old.uuid), uuid(&new.uuid), old.uuid.is_some() && old.uuid != new.uuid),
        row("Chipset", String::new(), chipset(new.chipset).to_owned(), false),
        row(
            "Firmware",
            guess("firmware", old_firmware.to_owned()),
            new_firmware.to_owned(),
            old_firmware != new_firmware,
        ),
        row("Processors", guess("cpus", cpus(old.cpus)), cpus(new.cpus), old.cpus != new.cpus),
        row(
            "Memory",
            guess("memory_bytes", bytes(old.memory_bytes)),
            bytes(new.memory_bytes),
            old.memory_bytes != new.memory_bytes,
        ),
        row("TPM", yes(old.tpm), yes(new.tpm), old.tpm != new.tpm),
        row("Clock", String::new(), clock(new.clock).to_owned(), false),
        row("Graphics", String::new(), video(new.video).to_owned(), false),
    ];
    rows.extend(pairs("Disk", &old.disks, &new.disks, old_disk, disk, is_other_disk));
    rows.extend(pairs("Network card", &old.nics, &new.cards, old_card, card, is_other_card));
    rows.extend(pairs("Drive", &old.removable, &new.drives, old_drive, new_drive, |old, new| old.kind != new.kind));
    rows.push(row("Also", String::new(), extras(new), false));
    rows.retain(|row| !row.old.is_empty() || !row.new.is_empty());
    rows
}

/// Parts of a kind, the first with the first; one that has no other is a change.
fn pairs<Old, New>(
    label: &str,
    old: &[Old],
    new: &[New],
    old_words: impl Fn(&Old) -> String,
    new_words: impl Fn(&New) -> String,
    is_other: impl Fn(&Old, &New) -> bool,
) -> Vec<Compared> {
    let one = |index: usize| {
        let (old, new) = (old.get(index), new.get(index));
        Compared {
            label: format!("{label} {}", index + 1),
            old: old.map(&old_words).unwrap_or_default(),
            new: new.map(&new_words).unwrap_or_default(),
            changed: old.zip(new).is_none_or(|(old, new)| is_other(old, new)),
        }
    };
    (0..old.len().max(new.len())).map(one).collect()
}

fn old_disk(disk: &Disk) -> String {
    let controller = match disk.controller {
        Controller::Ide => "IDE",
        Controller::Sata => "SATA",
        Controller::Nvme => "NVMe",
        _ => "SCSI",
    };
    match disk.capacity_bytes {
        0 => controller.to_owned(),
        capacity => format!("{controller}, {}", bytes(capacity)),
    }
}

fn is_other_disk(old: &Disk, new: &MachineDisk) -> bool {
    let same_bus =
        matches!((old.controller, new.bus), (Controller::Ide, DiskBus::Ide) | (Controller::Sata, DiskBus::Sata));
    !same_bus || (old.capacity_bytes > 0 && old.capacity_bytes != new.size_bytes)
}

fn old_card(card: &Nic) -> String {
    [&card.model, &card.mac, &card.network].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")
}

fn is_other_card(old: &Nic, new: &Card) -> bool {
    let is_other = |old: &Option<String>, new: Option<&str>| old.as_deref().is_some_and(|old| Some(old) != new);
    let network = match &new.network {
        Some(CardNetwork::Network(name) | CardNetwork::Bridge(name)) => Some(name.as_str()),
        _ => None,
    };
    is_other(&old.model, Some(model(new.model)))
        || is_other(&old.mac, new.mac.as_deref())
        || is_other(&old.network, network)
}

fn drive(kind: RemovableKind) -> &'static str {
    if kind == RemovableKind::Floppy { "floppy" } else { "CD-ROM" }
}

fn old_drive(old: &Removable) -> String {
    if old.kind == RemovableKind::Floppy {
        drive(old.kind).to_owned()
    } else {
        format!("{}, {}", drive(old.kind), old.controller)
    }
}

fn new_drive(new: &MachineDrive) -> String {
    if new.kind == RemovableKind::Floppy {
        drive(new.kind).to_owned()
    } else {
        format!("{}, {}", drive(new.kind), bus(new.bus))
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{CardModel, Cpus, Firmware, NicKind};

    use super::*;

    #[test]
    fn what_changed_is_told_from_what_stayed() {
        let mut old = VmSpec::new("web", Firmware::Bios, Cpus::new(2, 1), 1 << 30);
        old.guessed = vec!["memory_bytes".into()];
        old.disks = vec![Disk::new("web.vmdk", Controller::Scsi, 0, 0), Disk::new("ide.vmdk", Controller::Ide, 0, 0)];
        let mut nic = Nic::new(NicKind::Network);
        (nic.mac, nic.model) = (Some("00:50:56:00:00:01".into()), Some("e1000".into()));
        old.nics = vec![nic];
        old.removable = vec![Removable::new(RemovableKind::Cdrom, "ide")];
        let mut new = Machine::new("web", Firmware::Uefi, Cpus::new(2, 1), 1 << 30);
        new.disks =
            vec![MachineDisk::new("qcow2", 4 << 30, DiskBus::Virtio), MachineDisk::new("qcow2", 1 << 30, DiskBus::Ide)];
        let mut card = Card::new(CardModel::E1000);
        card.mac = Some("00:50:56:00:00:01".into());
        new.cards = vec![card];
        let rows = compare(&old, &new);
        let of = |label: &str| {
            let row = rows.iter().find(|row| row.label == label).unwrap_or_else(|| panic!("{label}: {rows:#?}"));
            (row.old.as_str(), row.new.as_str(), row.changed)
        };
        assert_eq!(of("Firmware"), ("BIOS", "UEFI", true));
        assert_eq!(of("Memory"), ("1.00 GiB (guessed)", "1.00 GiB", false));
        assert_eq!(of("Chipset"), ("", "q35", false));
        assert_eq!(of("Disk 1"), ("SCSI", "virtio, qcow2, 4.00 GiB", true));
        assert_eq!(of("Disk 2"), ("IDE", "IDE, qcow2, 1.00 GiB", false));
        assert_eq!(of("Network card 1"), ("e1000, 00:50:56:00:00:01", "e1000, 00:50:56:00:00:01", false));
        assert_eq!(of("Drive 1"), ("CD-ROM, ide", "", true));
        assert!(rows.iter().all(|row| row.label != "TPM"), "{rows:#?}");
    }
}
