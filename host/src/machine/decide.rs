//! Which machine the guest gets: the best one that it can drive when its fixers are done.

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, Chipset, Clock, Disk, DiskBus, Finding, Firmware, Inspection, Machine, MachineDisk, MachineDrive,
    Nic, OsFamily, RemovableKind, Severity, Video, VmSpec, unicast_mac,
};
use vmdk2kvm_plugin_api::text::escape;

use super::asked;
use super::promises::{MOST_IDE_DRIVES, Promises};
use crate::config::MachineOptions;

/// Above this many disks virtio-blk runs out of PCI slots on a machine without extra bridges.
const MOST_VIRTIO_DISKS: usize = 20;

/// Network cards by the word for their driver, the best first.
const CARDS: [(&str, CardModel); 4] = [
    ("virtio-net", CardModel::Virtio),
    ("e1000e", CardModel::E1000e),
    ("e1000", CardModel::E1000),
    ("rtl8139", CardModel::Rtl8139),
];

/// What a fixer may want of the machine.
const WANTS: [&str; 3] = ["clock-local", "enlightenments", "tpm"];

/// A machine, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The machine; its images have no names yet.
    pub machine: Machine,
    /// What the job asks and the guest cannot drive, and what a fixer wants and nobody knows.
    pub findings: Vec<Finding>,
}

/// The machine for a VM whose images have this format.
pub fn decide(
    vm: &VmSpec,
    inspection: Option<&Inspection>,
    promises: &Promises,
    format: &str,
    options: &MachineOptions,
) -> Decided {
    let mut machine = best(vm, inspection, promises, format);
    let mut findings = asked::ask(&mut machine, options, promises);
    let mut unknown: Vec<&str> =
        promises.wants.iter().map(String::as_str).filter(|word| !WANTS.contains(word)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    findings.extend(unknown.into_iter().map(|word| {
        let message = format!("a fixer wants `{}` of the new machine, which this version does not know", escape(word));
        Finding::new("machine-unknown-want", Severity::Info, message)
    }));
    Decided { machine, findings }
}

/// The same for a machine that was decided before, by a plan: what it has, its guest drives, and what the guest drove before.
pub fn ask_again(machine: &mut Machine, inspection: Option<&Inspection>, options: &MachineOptions) -> Vec<Finding> {
    let mut promises = Promises::of(inspection);
    let mut drives: Vec<&str> = machine
        .disks
        .iter()
        .filter_map(|disk| match disk.bus {
            DiskBus::Virtio => Some("virtio-blk"),
            DiskBus::VirtioScsi => Some("virtio-scsi"),
            _ => None,
        })
        .collect();
    drives.extend(machine.cards.iter().any(|card| card.model == CardModel::Virtio).then_some("virtio-net"));
    drives.extend((machine.video == Video::Virtio).then_some("virtio-gpu"));
    promises.drives.extend(drives.into_iter().map(str::to_owned));
    asked::ask(machine, options, &promises)
}

/// The best machine that the guest can drive.
fn best(vm: &VmSpec, inspection: Option<&Inspection>, promises: &Promises, format: &str) -> Machine {
    // The disks know better than the description: a guest installed for UEFI does not boot by BIOS.
    let firmware = match inspection.and_then(|inspection| inspection.firmware).unwrap_or(vm.firmware) {
        Firmware::Uefi => Firmware::Uefi,
        _ => Firmware::Bios,
    };
    // A system that nobody recognised gets what every system knows.
    let known = inspection.is_some_and(|inspection| inspection.os.family != OsFamily::Unknown);
    let cdroms = vm.removable.iter().filter(|drive| drive.kind == RemovableKind::Cdrom).count();
    let bus = bus(promises, vm.disks.len(), cdroms, known && firmware == Firmware::Bios);
    let card = CARDS.into_iter().find(|(word, _)| promises.drive(word)).map(|(_, model)| model);
    let card = card.unwrap_or(if known { CardModel::E1000 } else { CardModel::E1000e });
    Machine::new(&vm.name, firmware, vm.cpus, vm.memory_bytes).with(|machine| {
        machine.uuid.clone_from(&vm.uuid);
        machine.genid.clone_from(&vm.genid);
        machine.chipset = if bus == DiskBus::Ide { Chipset::Pc } else { Chipset::Q35 };
        machine.secure_boot = vm.secure_boot && firmware == Firmware::Uefi;
        machine.tpm = vm.tpm || promises.want("tpm");
        machine.clock = if promises.want("clock-local") { Clock::Local } else { Clock::Utc };
        machine.enlightenments = promises.want("enlightenments");
        let places = vm.boot_places();
        let disks = (1u32..).zip(&vm.disks).zip(places);
        machine.disks = disks.map(|((number, disk), place)| new_disk(number, place + 1, disk, format, bus)).collect();
        let drive = MachineDrive::new(RemovableKind::Cdrom, if bus == DiskBus::Ide { bus } else { DiskBus::Sata });
        machine.drives = vec![drive; cdroms];
        machine.cards = vm.nics.iter().map(|nic| new_card(nic, card)).collect();
        machine.video = if promises.drive("virtio-gpu") { Video::Virtio } else { Video::Vga };
        machine.paravirtual = ["virtio-blk", "virtio-scsi", "virtio-net"].iter().any(|driver| promises.drive(driver));
    })
}

fn bus(promises: &Promises, disks: usize, cdroms: usize, is_old_kind: bool) -> DiskBus {
    let (block, scsi) = (promises.drive("virtio-blk"), promises.drive("virtio-scsi"));
    match block {
        true if disks <= MOST_VIRTIO_DISKS || !scsi => DiskBus::Virtio,
        _ if scsi => DiskBus::VirtioScsi,
        _ if promises.drive("ahci") => DiskBus::Sata,
        // A kernel from before virtio may know nothing of AHCI either.
        _ if is_old_kind && disks + cdroms <= MOST_IDE_DRIVES => DiskBus::Ide,
        _ => DiskBus::Sata,
    }
}

fn new_disk(number: u32, boot_order: u32, disk: &Disk, format: &str, bus: DiskBus) -> MachineDisk {
    MachineDisk::new(format, disk.capacity_bytes.next_multiple_of(512), bus).with(|disk| {
        // Gives the guest /dev/disk/by-id names that do not depend on the order of devices.
        disk.serial = Some(format!("disk{number}"));
        disk.boot_order = Some(boot_order);
    })
}

fn new_card(nic: &Nic, model: CardModel) -> Card {
    Card::new(model).with(|card| {
        card.mac = nic.mac.as_deref().and_then(unicast_mac);
        card.old_network.clone_from(&nic.network);
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vm(firmware: &str, disks: usize) -> VmSpec {
        let disk = json!({"name": "x", "controller": "scsi", "bus": 0, "unit": 0, "capacity_bytes": 1000});
        serde_json::from_value(json!({"schema": 1, "name": "x", "firmware": firmware, "secure_boot": true,
            "cpus": {"count": 1, "sockets": 1, "cores_per_socket": 1}, "memory_bytes": 1,
            "disks": vec![disk; disks], "removable": [{"kind": "cdrom", "controller": "ide"}],
            "nics": [{"mac": "00:50:56:AA:BB:01", "network": "A", "kind": "network"}]}))
        .unwrap()
    }

    fn guest(family: &str) -> Inspection {
        serde_json::from_value(json!({"schema": 1, "os": {"family": family}})).unwrap()
    }

    fn machine(vm: &VmSpec, family: &str, drives: &[&str], asked: Option<DiskBus>) -> Machine {
        let promises = Promises { drives: drives.iter().map(|word| (*word).to_owned()).collect(), wants: Vec::new() };
        let options = MachineOptions { disk_bus: asked, ..MachineOptions::default() };
        let decided = decide(vm, Some(&guest(family)), &promises, "qcow2", &options);
        assert_eq!(decided.findings, []);
        decided.machine
    }

    #[test]
    fn the_bus_is_one_that_the_guest_can_drive() {
        let all = ["virtio-blk", "virtio-scsi", "virtio-net"];
        let asked = Some(DiskBus::VirtioScsi);
        for (firmware, family, drives, disks, asked, chipset, bus, card) in [
            ("bios", "linux", &all[..], 1, None, Chipset::Q35, DiskBus::Virtio, CardModel::Virtio),
            ("bios", "linux", &all[..], 21, None, Chipset::Q35, DiskBus::VirtioScsi, CardModel::Virtio),
            ("bios", "linux", &all[..1], 21, None, Chipset::Q35, DiskBus::Virtio, CardModel::E1000),
            ("bios", "linux", &all[1..], 1, None, Chipset::Q35, DiskBus::VirtioScsi, CardModel::Virtio),
            ("bios", "linux", &all[..], 1, asked, Chipset::Q35, DiskBus::VirtioScsi, CardModel::Virtio),
            ("bios", "linux", &[], 3, None, Chipset::Pc, DiskBus::Ide, CardModel::E1000),
            ("bios", "linux", &[], 4, None, Chipset::Q35, DiskBus::Sata, CardModel::E1000),
            ("uefi", "linux", &[], 1, None, Chipset::Q35, DiskBus::Sata, CardModel::E1000),
            ("bios", "unknown", &[], 1, None, Chipset::Q35, DiskBus::Sata, CardModel::E1000e),
            ("bios", "windows", &["ahci", "ide", "e1000e"], 1, None, Chipset::Q35, DiskBus::Sata, CardModel::E1000e),
            ("bios", "windows", &["ide", "rtl8139"], 1, None, Chipset::Pc, DiskBus::Ide, CardModel::Rtl8139),
        ] {
            let machine = machine(&vm(firmware, disks), family, drives, asked);
            assert_eq!(
                (machine.chipset, machine.disks[0].bus, machine.cards[0].model),
                (chipset, bus, card),
                "{firmware} {family} {drives:?} {disks}"
            );
        }
    }

    #[test]
    fn the_disk_that_the_old_firmware_started_from_is_started_first() {
        let mut vm = vm("bios", 3);
        vm.boot_order = vec![1];
        let machine = machine(&vm, "linux", &["virtio-blk", "virtio-net"], None);
        let orders: Vec<_> = machine.disks.iter().map(|disk| (disk.serial.as_deref(), disk.boot_order)).collect();
        assert_eq!(orders, [(Some("disk1"), Some(2)), (Some("disk2"), Some(1)), (Some("disk3"), Some(3))]);
    }

    #[test]
    fn firmware_is_what_the_disks_are_made_for() {
        let mut inspection = guest("linux");
        inspection.firmware = Some(Firmware::Bios);
        let decided = |inspection| {
            let (promises, options) = (Promises::default(), MachineOptions::default());
            decide(&vm("uefi", 1), inspection, &promises, "qcow2", &options).machine
        };
        let machine = decided(Some(&inspection));
        assert_eq!((machine.firmware, machine.secure_boot), (Firmware::Bios, false));
        assert!(decided(None).secure_boot);
    }

    #[test]
    fn wishes_of_the_guest_are_heeded_and_unknown_ones_told() {
        let promises = Promises {
            wants: ["clock-local", "tpm", "moonlight", "enlightenments", "moonlight"].map(str::to_owned).to_vec(),
            ..Promises::default()
        };
        let decided = decide(&vm("uefi", 1), None, &promises, "raw", &MachineOptions::default());
        let machine = decided.machine;
        assert_eq!((machine.clock, machine.tpm, machine.enlightenments), (Clock::Local, true, true));
        assert_eq!(machine.cards[0].mac.as_deref(), Some("00:50:56:aa:bb:01"));
        assert_eq!((machine.disks[0].format.as_str(), machine.disks[0].size_bytes), ("raw", 1024));
        let [finding] = &decided.findings[..] else { panic!("{:?}", decided.findings) };
        assert_eq!(finding.code, "machine-unknown-want");
        assert_eq!(finding.message, "a fixer wants `moonlight` of the new machine, which this version does not know");
    }
}
