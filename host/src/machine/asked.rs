//! What the job asks of the new machine, laid over what was decided. The user's word counts; where the guest, as far as is known, cannot
//! drive what is asked, a finding says so.

use vmdk2kvm_plugin_api::model::{
    CardModel, Chipset, Cpus, DiskBus, Finding, Firmware, Machine, MachineDrive, Severity, Video,
};

use super::promises::{MOST_IDE_DRIVES, Promises};
use crate::config::MachineOptions;

/// Changes the machine to what the job asks.
pub(super) fn ask(machine: &mut Machine, options: &MachineOptions, promises: &Promises) -> Vec<Finding> {
    let mut findings = Vec::new();
    processors_and_memory(machine, options);
    firmware(machine, options, &mut findings);
    buses(machine, options, promises, &mut findings);
    cards(machine, options, promises, &mut findings);
    boot_disk(machine, options, &mut findings);
    let set = |member: &mut bool, asked: Option<bool>| *member = asked.unwrap_or(*member);
    set(&mut machine.tpm, options.tpm);
    set(&mut machine.enlightenments, options.enlightenments);
    set(&mut machine.serial_console, options.serial_console);
    set(&mut machine.paravirtual, options.paravirtual);
    machine.clock = options.clock.unwrap_or(machine.clock);
    if let Some(video) = options.video {
        machine.video = video;
        if video == Video::Virtio && !promises.drive("virtio-gpu") {
            findings.push(not_driven("video", "the graphics card", "virtio"));
        }
    }
    findings
}

fn not_driven(code: &str, what: &str, word: &str) -> Finding {
    let message = format!("the job asks for {what} to be {word}, for which no driver was found in the guest");
    let code = format!("machine-{code}-not-driven");
    Finding::new(code, Severity::Warn, message)
        .hint("leave the setting out, and the best that the guest drives is taken")
}

fn processors_and_memory(machine: &mut Machine, options: &MachineOptions) {
    if options.cpus.is_some() || options.cores_per_socket.is_some() {
        let cores = options.cores_per_socket.unwrap_or(machine.cpus.cores_per_socket);
        machine.cpus = Cpus::new(options.cpus.unwrap_or(machine.cpus.count), cores);
    }
    if let Some(memory) = options.memory_mib {
        machine.memory_bytes = memory << 20;
    }
}

fn firmware(machine: &mut Machine, options: &MachineOptions, findings: &mut Vec<Finding>) {
    if let Some(asked) = options.firmware.filter(|asked| *asked != machine.firmware) {
        let name = |firmware| if firmware == Firmware::Uefi { "UEFI" } else { "BIOS" };
        let message = format!("the job asks for {}, but the guest is made for {}", name(asked), name(machine.firmware));
        findings.push(
            Finding::new("machine-firmware-differs", Severity::Warn, message)
                .hint("it only boots when its disks have loaders for both"),
        );
        machine.firmware = asked;
        machine.secure_boot &= asked == Firmware::Uefi;
    }
    match options.secure_boot {
        Some(true) if machine.firmware != Firmware::Uefi => {
            let message = "the job asks for Secure Boot, which a BIOS does not have: it is left out";
            findings.push(Finding::new("machine-secure-boot-without-uefi", Severity::Warn, message));
        }
        asked => machine.secure_boot = asked.unwrap_or(machine.secure_boot),
    }
}

/// The buses of disks and drives, and the chipset that has them.
fn buses(machine: &mut Machine, options: &MachineOptions, promises: &Promises, findings: &mut Vec<Finding>) {
    if let Some(asked) = options.disk_bus {
        machine.disks.iter_mut().for_each(|disk| disk.bus = asked);
        let driver = match asked {
            DiskBus::Virtio => Some(("virtio-blk", "virtio")),
            DiskBus::VirtioScsi => Some(("virtio-scsi", "virtio-scsi")),
            _ => None,
        };
        if let Some((_, word)) = driver.filter(|(driver, _)| !promises.drive(driver)) {
            findings.push(not_driven("disk-bus", "the bus of the disks", word));
        }
        // With IDE comes the board that has it.
        machine.chipset = if asked == DiskBus::Ide { Chipset::Pc } else { Chipset::Q35 };
    }
    machine.chipset = options.chipset.unwrap_or(machine.chipset);
    let drives = machine.disks.iter().filter(|disk| matches!(disk.bus, DiskBus::Ide | DiskBus::Sata)).count();
    // Each board has one of the two.
    let has = if machine.chipset == Chipset::Pc { DiskBus::Ide } else { DiskBus::Sata };
    if has == DiskBus::Ide && drives + machine.drives.len() > MOST_IDE_DRIVES {
        let message = format!(
            "the job asks for the chipset pc, which has places for {MOST_IDE_DRIVES} drives, and the machine has {}: \
             it gets the chipset q35",
            drives + machine.drives.len()
        );
        findings.push(Finding::new("machine-too-many-ide", Severity::Warn, message));
        machine.chipset = Chipset::Q35;
        return on(machine, DiskBus::Sata);
    }
    let asked = options.disk_bus.is_some_and(|asked| matches!(asked, DiskBus::Ide | DiskBus::Sata) && asked != has);
    if asked && options.chipset.is_some() {
        let (board, bus) = if has == DiskBus::Ide { ("pc", "IDE") } else { ("q35", "SATA") };
        let message = format!("the job asks for the chipset {board}, whose disks hang on {bus}, and for another bus");
        findings.push(Finding::new("machine-bus-of-another-chipset", Severity::Warn, message));
    }
    on(machine, has);
}

/// Moves what hangs on the one kind of ATA to this one.
fn on(machine: &mut Machine, bus: DiskBus) {
    let ata = |bus: &DiskBus| matches!(bus, DiskBus::Ide | DiskBus::Sata);
    machine.disks.iter_mut().filter(|disk| ata(&disk.bus)).for_each(|disk| disk.bus = bus);
    let moved = |drive: &MachineDrive| MachineDrive::new(drive.kind, bus);
    machine.drives = machine.drives.iter().map(moved).collect();
}

fn cards(machine: &mut Machine, options: &MachineOptions, promises: &Promises, findings: &mut Vec<Finding>) {
    if let Some(model) = options.card {
        machine.cards.iter_mut().for_each(|card| card.model = model);
        if model == CardModel::Virtio && !machine.cards.is_empty() && !promises.drive("virtio-net") {
            findings.push(not_driven("card", "the network cards", "virtio"));
        }
    }
    for card in &mut machine.cards {
        let named = card.old_network.as_deref().and_then(|name| options.networks.get(name));
        if let Some(target) = named.or_else(|| options.networks.get("*")) {
            card.network = Some(target.clone());
        }
    }
}

/// The disk that is booted from becomes the first; the others keep their order.
fn boot_disk(machine: &mut Machine, options: &MachineOptions, findings: &mut Vec<Finding>) {
    let Some(asked) = options.boot_disk else { return };
    let count = machine.disks.len();
    if asked as usize > count {
        let message = format!("the job asks for disk {asked} to be booted from, and the machine has {count}");
        findings.push(Finding::new("machine-no-such-disk", Severity::Warn, message));
        return;
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|index| {
        (index + 1 != asked as usize, machine.disks[*index].boot_order.unwrap_or(u32::MAX), *index)
    });
    for (place, index) in (1u32..).zip(order) {
        machine.disks[index].boot_order = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Card, CardNetwork, Clock, MachineDisk, RemovableKind};

    use super::*;

    fn machine(disks: usize) -> Machine {
        Machine::new("web", Firmware::Bios, Cpus::new(4, 2), 1 << 30).with(|machine| {
            let disk = |order| {
                MachineDisk::new("qcow2", 1 << 30, DiskBus::Sata)
                    .with(|disk| disk.boot_order = u32::try_from(order).ok())
            };
            machine.disks = (1..=disks).map(disk).collect();
            machine.drives = vec![MachineDrive::new(RemovableKind::Cdrom, DiskBus::Sata)];
            machine.cards = ["A", "B"]
                .map(|name| Card::new(CardModel::E1000).with(|card| card.old_network = Some(name.to_owned())))
                .to_vec();
        })
    }

    fn asked(disks: usize, options: &MachineOptions) -> (Machine, Vec<String>) {
        let mut machine = machine(disks);
        let findings = ask(&mut machine, options, &Promises::default());
        (machine, findings.into_iter().map(|finding| finding.code).collect())
    }

    #[test]
    fn every_member_can_be_asked() {
        let options = MachineOptions {
            networks: [
                ("*".to_owned(), CardNetwork::Network("lab".to_owned())),
                ("A".to_owned(), CardNetwork::Bridge("br0".to_owned())),
            ]
            .into(),
            boot_disk: Some(2),
            card: Some(CardModel::Rtl8139),
            firmware: Some(Firmware::Uefi),
            secure_boot: Some(true),
            tpm: Some(true),
            cpus: Some(6),
            cores_per_socket: Some(3),
            memory_mib: Some(2048),
            clock: Some(Clock::Local),
            enlightenments: Some(true),
            serial_console: Some(false),
            paravirtual: Some(true),
            ..MachineOptions::default()
        };
        let (machine, findings) = asked(3, &options);
        assert_eq!(findings, ["machine-firmware-differs"]);
        let networks: Vec<_> = machine.cards.iter().map(|card| card.network.clone().unwrap()).collect();
        assert_eq!(networks, [CardNetwork::Bridge("br0".to_owned()), CardNetwork::Network("lab".to_owned())]);
        assert!(machine.cards.iter().all(|card| card.model == CardModel::Rtl8139));
        let order: Vec<_> = machine.disks.iter().map(|disk| disk.boot_order.unwrap()).collect();
        assert_eq!(order, [2, 1, 3]);
        assert_eq!((machine.firmware, machine.secure_boot, machine.tpm), (Firmware::Uefi, true, true));
        assert_eq!((machine.cpus, machine.memory_bytes), (Cpus::new(6, 3), 2 << 30));
        assert_eq!((machine.clock, machine.enlightenments, machine.paravirtual), (Clock::Local, true, true));
        assert!(!machine.serial_console);
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        assert_eq!(asked(3, &MachineOptions::default()), (machine(3), Vec::new()));
    }

    #[test]
    fn what_the_guest_cannot_drive_is_told_and_done() {
        let options = MachineOptions {
            disk_bus: Some(DiskBus::VirtioScsi),
            card: Some(CardModel::Virtio),
            video: Some(Video::Virtio),
            secure_boot: Some(true),
            boot_disk: Some(9),
            ..MachineOptions::default()
        };
        let (machine, findings) = asked(1, &options);
        let wanted = [
            "machine-secure-boot-without-uefi",
            "machine-disk-bus-not-driven",
            "machine-card-not-driven",
            "machine-no-such-disk",
            "machine-video-not-driven",
        ];
        assert_eq!(findings, wanted);
        assert_eq!((machine.disks[0].bus, machine.cards[0].model), (DiskBus::VirtioScsi, CardModel::Virtio));
        assert_eq!((machine.video, machine.secure_boot), (Video::Virtio, false));
    }

    #[test]
    fn each_chipset_has_its_own_ata() {
        let options = |chipset, disk_bus| MachineOptions { chipset, disk_bus, ..MachineOptions::default() };
        for (disks, chipset, bus, wanted, on, code) in [
            (3, None, Some(DiskBus::Ide), Chipset::Pc, DiskBus::Ide, None),
            (3, Some(Chipset::Pc), None, Chipset::Pc, DiskBus::Ide, None),
            (4, Some(Chipset::Pc), None, Chipset::Q35, DiskBus::Sata, Some("machine-too-many-ide")),
            (
                1,
                Some(Chipset::Q35),
                Some(DiskBus::Ide),
                Chipset::Q35,
                DiskBus::Sata,
                Some("machine-bus-of-another-chipset"),
            ),
            (1, None, Some(DiskBus::Sata), Chipset::Q35, DiskBus::Sata, None),
        ] {
            let (machine, findings) = asked(disks, &options(chipset, bus));
            assert_eq!(
                (machine.chipset, machine.disks[0].bus, machine.drives[0].bus),
                (wanted, on, on),
                "{disks} {chipset:?} {bus:?}"
            );
            assert_eq!(findings.first().map(String::as_str), code, "{disks} {chipset:?} {bus:?}");
        }
    }
}
