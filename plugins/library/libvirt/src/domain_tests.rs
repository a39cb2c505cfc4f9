//! Snapshots of domains, and libvirt's own schema over many of them. Requires `virt-xml-validate` (libvirt-clients).

use std::collections::BTreeSet;
use std::process::Command;

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, CardNetwork, Cpus, DiskBus, Machine, MachineDisk, MachineDrive, RemovableKind, Video,
};

use super::*;

/// Two sockets with two cores, 2 GiB, one card and one CD-ROM drive; the guest has the drivers of what is best.
fn machine(disks: usize, format: &str, bus: DiskBus) -> Machine {
    Machine::new("web", Firmware::Bios, Cpus::new(4, 2), 2 << 30).with(|machine| {
        machine.uuid = Some("564D1234-5678-9abc-def0-123456789abc".to_owned());
        machine.disks = (1..=disks).map(|number| disk(number, format, bus)).collect();
        machine.drives = vec![MachineDrive::new(RemovableKind::Cdrom, drive_bus(bus))];
        machine.cards = vec![card(CardModel::Virtio)];
        machine.paravirtual = true;
    })
}

fn disk(number: usize, format: &str, bus: DiskBus) -> MachineDisk {
    MachineDisk::new(format, 1 << 30, bus).with(|disk| {
        disk.image = format!("/out/web-disk{number}.{format}");
        disk.serial = Some(format!("disk{number}"));
        disk.boot_order = u32::try_from(number).ok();
    })
}

fn drive_bus(bus: DiskBus) -> DiskBus {
    if bus == DiskBus::Ide { bus } else { DiskBus::Sata }
}

fn card(model: CardModel) -> Card {
    Card::new(model).with(|card| {
        card.mac = Some("00:50:56:aa:bb:01".to_owned());
        card.old_network = Some("VM Network".to_owned());
    })
}

fn uefi(machine: Machine) -> Machine {
    machine.with(|machine| machine.firmware = Firmware::Uefi)
}

/// What the schema says of a document.
fn validate(xml: &str) -> std::result::Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("domain.xml");
    std::fs::write(&path, xml).unwrap();
    let output =
        Command::new("virt-xml-validate").arg(&path).arg("domain").output().expect("virt-xml-validate is installed");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The document of a machine, which fits the schema.
fn valid(shape: &str, machine: &Machine) -> String {
    let xml = domain_xml(machine, &Words::default()).unwrap();
    validate(&xml).unwrap_or_else(|error| panic!("{shape}: {error}\n{xml}"));
    xml
}

#[test]
fn libvirt_opens_the_formats_that_its_schema_knows() {
    for format in ["qcow2", "raw", "vdi", "vmdk", "vhdx"] {
        let xml = domain_xml(&machine(1, format, DiskBus::Virtio), &Words::default()).unwrap();
        assert_eq!(validate(&xml).is_ok(), opens(format), "{format}");
    }
}

#[test]
fn a_linux_guest_on_bios() {
    let xml = valid("linux", &machine(2, "qcow2", DiskBus::Virtio));
    assert_eq!(xml, include_str!("snapshots/linux-bios.xml"));
}

#[test]
fn a_secure_boot_guest_with_a_tpm() {
    let machine = uefi(machine(1, "raw", DiskBus::VirtioScsi)).with(|machine| {
        machine.secure_boot = true;
        machine.tpm = true;
        machine.genid = Some("00112233-4455-6677-8899-aabbccddeeff".to_owned());
        machine.clock = Clock::Local;
        machine.enlightenments = true;
        machine.cards[0].network = Some(CardNetwork::Bridge("br0".to_owned()));
    });
    assert_eq!(valid("secure boot", &machine), include_str!("snapshots/windows-secure-boot.xml"));
}

#[test]
fn every_shape_of_a_machine_is_valid() {
    let plain = |disks, format, bus| {
        machine(disks, format, bus).with(|machine| {
            machine.paravirtual = false;
            machine.cards = vec![card(CardModel::E1000)];
        })
    };
    let shapes = [
        ("BIOS", machine(1, "qcow2", DiskBus::Virtio)),
        ("UEFI", uefi(machine(1, "vdi", DiskBus::Virtio))),
        ("Secure Boot", uefi(machine(2, "vmdk", DiskBus::Virtio)).with(|machine| machine.secure_boot = true)),
        ("a TPM on UEFI", uefi(machine(1, "raw", DiskBus::Virtio)).with(|machine| machine.tpm = true)),
        ("a TPM on BIOS", machine(1, "raw", DiskBus::Virtio).with(|machine| machine.tpm = true)),
        ("many disks", machine(30, "qcow2", DiskBus::VirtioScsi)),
        ("an old kernel", plain(3, "raw", DiskBus::Ide).with(|machine| machine.chipset = Chipset::Pc)),
        (
            "an unknown guest",
            plain(2, "qcow2", DiskBus::Sata).with(|machine| machine.cards = vec![card(CardModel::E1000e)]),
        ),
        (
            "several cards",
            machine(1, "qcow2", DiskBus::Virtio).with(|machine| {
                let models = [CardModel::Virtio, CardModel::E1000, CardModel::E1000e, CardModel::Rtl8139];
                machine.cards = models.map(card).into_iter().collect();
                machine.cards[1].network = Some(CardNetwork::Network("lab".to_owned()));
                machine.cards[2].network = Some(CardNetwork::Bridge("br0".to_owned()));
                machine.cards[3].mac = None;
            }),
        ),
        (
            "a data disk first",
            machine(2, "qcow2", DiskBus::Virtio).with(|machine| {
                machine.disks[0].boot_order = Some(2);
                machine.disks[1].boot_order = Some(1);
            }),
        ),
        ("buses of all kinds", {
            machine(4, "qcow2", DiskBus::Sata).with(|machine| {
                machine.disks[1].bus = DiskBus::Virtio;
                machine.disks[2].bus = DiskBus::VirtioScsi;
                machine.disks[3].bus = DiskBus::VirtioScsi;
            })
        }),
        ("no disk, no console", {
            machine(0, "qcow2", DiskBus::Virtio).with(|machine| {
                machine.serial_console = false;
                machine.video = Video::Virtio;
            })
        }),
    ];
    for (shape, machine) in shapes {
        let xml = valid(shape, &machine);
        let names: Vec<&str> = xml.split("<target dev=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let distinct: BTreeSet<&&str> = names.iter().collect();
        let count = machine.disks.len() + 1;
        assert_eq!((names.len(), distinct.len()), (count, count), "{shape}: {names:?}");
    }
}

#[test]
fn the_disk_that_boots_need_not_be_the_first() {
    let machine = machine(2, "raw", DiskBus::Virtio).with(|machine| {
        machine.disks[0].boot_order = None;
        machine.disks[1].boot_order = Some(1);
    });
    let xml = valid("data disk first", &machine);
    let boots: Vec<bool> = xml.split("<disk ").skip(1).map(|disk| disk.contains("<boot order=\"1\"/>")).collect();
    assert_eq!(boots, [false, true, false], "{xml}");
}

#[test]
fn the_newer_board_has_its_drives_on_sata() {
    let targets = |chipset| {
        let machine = machine(2, "raw", DiskBus::Ide).with(|machine| machine.chipset = chipset);
        let xml = valid("IDE", &machine);
        let lines = xml.lines().map(str::trim).filter(|line| line.starts_with("<target dev="));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let on = |names: [&str; 3], bus| names.map(|name| format!("<target dev=\"{name}\" bus=\"{bus}\"/>"));
    assert_eq!(targets(Chipset::Q35), on(["sda", "sdb", "sdc"], "sata"));
    assert_eq!(targets(Chipset::Pc), on(["hda", "hdb", "hdc"], "ide"));
}

#[test]
fn hostile_descriptions_stay_text() {
    let hostile = "</name><x a='&#10;\">\n\u{0}\u{1b}\u{202e}\u{fffe}/../%s";
    let mut machine = machine(1, "qcow2", DiskBus::Virtio);
    machine.name = hostile.to_owned();
    machine.uuid = Some(hostile.to_owned());
    machine.genid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    (machine.cpus.count, machine.cpus.sockets, machine.cpus.cores_per_socket) = (3, u32::MAX, u32::MAX);
    machine.memory_bytes = 0;
    machine.disks[0].image = "/out/a<b>&'\"-disk1.qcow2".to_owned();
    machine.disks[0].serial = Some("<serial x='\u{1b}'>".to_owned());
    machine.cards = vec![
        card(CardModel::E1000).with(|card| {
            card.mac = Some(hostile.to_owned());
            card.network = Some(CardNetwork::Network(hostile.replace(['/', '\n'], "")));
        }),
        card(CardModel::E1000).with(|card| card.mac = Some("01:00:00:00:00:00".to_owned())),
    ];
    let xml = valid("hostile", &machine);
    assert!(["<x", "<uuid", "<genid", "<mac", "<serial>"].iter().all(|tag| !xml.contains(tag)), "{xml}");
    assert!(xml.contains("file=\"/out/a&lt;b&gt;&amp;&apos;&quot;-disk1.qcow2\""), "{xml}");
    assert!(xml.contains("<topology sockets=\"3\" dies=\"1\" cores=\"1\" threads=\"1\"/>"), "{xml}");
}

#[test]
fn an_image_path_that_xml_cannot_carry_is_refused() {
    let mut machine = machine(1, "qcow2", DiskBus::Virtio);
    machine.disks[0].image = "/out\n/web-disk1.qcow2".to_owned();
    let error = domain_xml(&machine, &Words::default()).unwrap_err();
    assert_eq!(error.message, "/out\\n/web-disk1.qcow2: the path of an image cannot be written into a domain");
    assert_eq!(error.kind.exit_code(), 73);
}
