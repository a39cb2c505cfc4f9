//! Machines of every shape, for whoever writes them down or starts them.

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, Chipset, Clock, Cpus, DiskBus, Firmware, Machine, MachineDisk, MachineDrive, RemovableKind, Video,
};

/// Nine machines that differ in what a target has to express, each with the name of its shape. Their images are `/out/web-disk1.qcow2` and so on.
pub fn shapes() -> Vec<(&'static str, Machine)> {
    let virtio = |disks| machine(disks, DiskBus::Virtio);
    vec![
        ("bios", virtio(1)),
        ("uefi", uefi(virtio(1))),
        ("secure-boot", uefi(virtio(1)).with(|machine| machine.secure_boot = true)),
        ("tpm", uefi(virtio(1)).with(|machine| machine.tpm = true)),
        ("many-disks", machine(24, DiskBus::VirtioScsi)),
        ("old-kernel", old_kernel()),
        ("windows", windows()),
        ("several-cards", several_cards()),
        (
            "data-disk-first",
            virtio(2).with(|machine| {
                machine.disks[0].boot_order = Some(2);
                machine.disks[1].boot_order = Some(1);
            }),
        ),
    ]
}

/// A machine whose every text tries to be something else.
pub fn hostile() -> Machine {
    let text = "-rf '\"; touch owned; $(touch owned) `touch owned` \\ ,x=y: {a: !!b [*c]} <!--\n---\n#\r\t\u{1b}[2J\u{202e}\u{85}ä日本";
    machine(1, DiskBus::Virtio).with(|machine| {
        machine.name = text.to_owned();
        machine.uuid = Some(text.to_owned());
        machine.genid = Some(text.to_owned());
        machine.disks[0].serial = Some(text.to_owned());
        machine.cards[0].mac = Some(text.to_owned());
        machine.cards[0].old_network = Some(text.to_owned());
        (machine.cpus.sockets, machine.cpus.cores_per_socket) = (u32::MAX, u32::MAX);
    })
}

/// Two sockets with two cores, 2 GiB, one card and an empty drive; the guest has the drivers of what is best.
fn machine(disks: usize, bus: DiskBus) -> Machine {
    Machine::new("Web server", Firmware::Bios, Cpus::new(4, 2), 2 << 30).with(|machine| {
        machine.uuid = Some("564d1234-5678-9abc-def0-123456789abc".to_owned());
        machine.disks = (1..=disks).map(|number| disk(number, bus)).collect();
        machine.drives = vec![MachineDrive::new(RemovableKind::Cdrom, DiskBus::Sata)];
        machine.cards = vec![card(CardModel::Virtio, 1, "VM Network")];
        machine.paravirtual = true;
    })
}

fn disk(number: usize, bus: DiskBus) -> MachineDisk {
    MachineDisk::new("qcow2", 1 << 30, bus).with(|disk| {
        disk.image = format!("/out/web-disk{number}.qcow2");
        disk.serial = Some(format!("disk{number}"));
        disk.boot_order = u32::try_from(number).ok();
    })
}

fn card(model: CardModel, number: u8, network: &str) -> Card {
    Card::new(model).with(|card| {
        // Read as YAML of the older kind, an address such as this one is a number.
        card.mac = Some(format!("52:54:00:12:34:{number:02}"));
        card.old_network = Some(network.to_owned());
    })
}

fn uefi(machine: Machine) -> Machine {
    machine.with(|machine| machine.firmware = Firmware::Uefi)
}

/// A guest from before virtio.
fn old_kernel() -> Machine {
    machine(2, DiskBus::Ide).with(|machine| {
        machine.chipset = Chipset::Pc;
        machine.drives[0].bus = DiskBus::Ide;
        machine.cards[0].model = CardModel::E1000;
        machine.paravirtual = false;
    })
}

fn windows() -> Machine {
    uefi(machine(2, DiskBus::VirtioScsi)).with(|machine| {
        machine.genid = Some("00112233-4455-6677-8899-aabbccddeeff".to_owned());
        machine.secure_boot = true;
        machine.tpm = true;
        machine.clock = Clock::Local;
        machine.enlightenments = true;
        machine.disks[1].size_bytes += 512;
    })
}

fn several_cards() -> Machine {
    machine(1, DiskBus::Sata).with(|machine| {
        machine.cards = vec![
            card(CardModel::Virtio, 1, "VM Network"),
            card(CardModel::E1000, 2, "DMZ"),
            card(CardModel::E1000e, 3, "Storage net"),
            card(CardModel::Rtl8139, 4, "DMZ").with(|card| card.mac = None),
        ];
        machine.video = Video::Virtio;
        machine.serial_console = false;
    })
}
