//! The hardware section in full.

use vmdk2kvm_plugin_api::model::{Controller, Cpus, Firmware, NicKind, Removable, RemovableKind, VmSpec};

use crate::documents::{VMDK, disk, envelope, item, system, usual};
use crate::support::Lab;

/// The machine of these items, with disks `a` to `d` in files.
fn machine(hardware: &str) -> VmSpec {
    let lab = Lab::new();
    described(&lab, hardware).unwrap()
}

fn described(lab: &Lab, hardware: &str) -> vmdk2kvm_plugin_api::Result<VmSpec> {
    let (mut files, mut disks) = (String::new(), String::new());
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        lab.file(&format!("{name}.vmdk"), disk(number as u64));
        files.push_str(&format!("<File ovf:id=\"{name}\" ovf:href=\"{name}.vmdk\"/>"));
        disks.push_str(&format!("<Disk ovf:diskId=\"{name}\" ovf:fileRef=\"{name}\" ovf:format=\"{VMDK}\"/>"));
    }
    disks.push_str("<Disk ovf:diskId=\"empty\" ovf:capacity=\"16\" ovf:capacityAllocationUnits=\"MegaBytes\"/>");
    lab.file("web.ovf", envelope(&files, &disks, &system("web", "Web", hardware)));
    lab.describe("web.ovf", None)
}

#[test]
fn disks_come_by_controller_and_place_not_by_the_document() {
    let vm = machine(
        &[
            item(17, 20, "Parent=12 AddressOnParent=0 HostResource=ovf:/disk/a"),
            item(17, 21, "Parent=11 AddressOnParent=8 HostResource=/disk/b"),
            item(17, 22, "Parent=11 AddressOnParent=2 HostResource=ovf:/file/c"),
            item(17, 23, "Parent=10 AddressOnParent=0 HostResource=ovf:/disk/empty"),
            item(17, 24, "Parent=13 AddressOnParent=1 HostResource=ovf:/disk/d"),
            // Numbered by Address, not by their order here.
            item(6, 12, "Address=1 ResourceSubType=lsilogicsas"),
            item(6, 11, "Address=0 ResourceSubType=VirtualSCSI"),
            item(20, 13, "Address=0 ResourceSubType=vmware.nvme.controller"),
            item(20, 10, "Address=0 ResourceSubType=vmware.sata.ahci"),
        ]
        .concat(),
    );
    let disks: Vec<_> =
        vm.disks.iter().map(|disk| (disk.name.as_str(), disk.controller, disk.bus, disk.unit)).collect();
    use Controller::{Nvme, Sata, Scsi};
    let expected = [
        ("c.vmdk", Scsi, 0, 2),
        ("b.vmdk", Scsi, 0, 8),
        ("a.vmdk", Scsi, 1, 0),
        ("empty", Sata, 0, 0),
        ("d.vmdk", Nvme, 0, 1),
    ];
    assert_eq!(disks, expected);
    assert_eq!((vm.disks[3].ways.len(), vm.disks[3].capacity_bytes), (0, 16 << 20));
    assert_eq!(vm.guessed, ["firmware", "memory_bytes", "cpus"]);
}

#[test]
fn what_places_a_disk_and_is_missing_is_guessed_and_said() {
    let vm = machine(
        &[
            item(5, 1, "Address=0"),
            item(17, 2, "Parent=1 HostResource=ovf:/disk/a"),
            item(17, 3, "Parent=1 AddressOnParent=0 HostResource=ovf:/disk/b"),
            item(17, 4, "HostResource=ovf:/disk/c"),
            item(20, 5, "ResourceSubType=acme.storage"),
            item(17, 6, "Parent=5 AddressOnParent=0 HostResource=ovf:/disk/d"),
        ]
        .concat(),
    );
    let disks: Vec<_> = vm.disks.iter().map(|disk| (disk.name.as_str(), disk.controller, disk.unit)).collect();
    use Controller::{Ide, Sata, Scsi};
    assert_eq!(disks, [("b.vmdk", Ide, 0), ("a.vmdk", Ide, 1), ("c.vmdk", Scsi, 0), ("d.vmdk", Sata, 0)]);
    let guessed: Vec<_> = vm.guessed.iter().filter(|guess| guess.starts_with("disks")).collect();
    assert_eq!(guessed, ["disks[1].controller", "disks[2].controller", "disks[3].controller"]);
}

#[test]
fn the_firmware_starts_from_what_it_is_told() {
    let disks = [
        item(6, 1, "Address=0"),
        item(17, 2, "Parent=1 AddressOnParent=0 HostResource=ovf:/disk/a"),
        item(17, 3, "Parent=1 AddressOnParent=1 HostResource=ovf:/disk/b"),
        item(15, 4, "AddressOnParent=0"),
    ]
    .concat();
    let section =
        |id| format!("<vmw:BootOrderSection vmw:instanceId=\"{id}\" vmw:type=\"x\"><Info/></vmw:BootOrderSection>");
    let setting = "<vmw:ExtraConfig vmw:key=\"bios.hddOrder\" vmw:value=\"scsi0:1\"/>".to_owned();
    for (more, order) in [
        (String::new(), &[][..]),
        (section(4) + &section(3), &[1]),
        (section(3) + &section(2), &[1, 0]),
        (setting, &[1]),
    ] {
        assert_eq!(machine(&(disks.clone() + &more)).boot_order, order, "{more}");
    }
}

#[test]
fn everything_else_is_read_too() {
    let vm = machine(
        &[
            "<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity>\
             <vmw:CoresPerSocket ovf:required=\"false\">2</vmw:CoresPerSocket></Item>"
                .to_owned(),
            item(4, 2, "AllocationUnits=byte_*_2^30 VirtualQuantity=3"),
            item(5, 3, "Address=0"),
            item(20, 4, "Address=0 ResourceSubType=vmware.sata.ahci"),
            item(15, 5, "Parent=4 AddressOnParent=0 ResourceSubType=vmware.cdrom.iso"),
            item(16, 6, "Parent=3 AddressOnParent=1"),
            item(14, 7, "AddressOnParent=0"),
            item(10, 9, "AddressOnParent=8 ResourceSubType=E1000e Connection=Back_Office Address=00:50:56:AA:bb:02"),
            item(10, 8, "AddressOnParent=7 ResourceSubType=VmxNet3 Connection=VM_Network Address=00-50-56-aa-bb-01"),
            item(10, 10, "AddressOnParent=9 ResourceSubType=PCNet32 Connection=nat Address=9"),
            "<vmw:Config ovf:required=\"false\" vmw:key=\"firmware\" vmw:value=\"efi\"/>".to_owned(),
            "<vmw:Config vmw:key=\"bootOptions.efiSecureBootEnabled\" vmw:value=\"true\"/>".to_owned(),
            "<vmw:ExtraConfig vmw:key=\"vtpm.present\" vmw:value=\"TRUE\"/>".to_owned(),
            "<vmw:ExtraConfig vmw:key=\"uuid.bios\" vmw:value=\"56 4d 1a 2b 3c 4d 5e 6f-70 81 92 a3 b4 c5 d6 e7\"/>".to_owned(),
        ]
        .concat(),
    );
    assert_eq!(vm.cpus, Cpus::new(4, 2));
    assert_eq!(vm.memory_bytes, 3 << 30);
    assert_eq!((vm.firmware, vm.secure_boot, vm.tpm), (Firmware::Uefi, true, true));
    assert_eq!(vm.guest_id.as_deref(), Some("debian10_64Guest"));
    assert_eq!(vm.uuid.as_deref(), Some("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e7"));
    let nics: Vec<_> =
        vm.nics.iter().map(|nic| (nic.mac.as_deref(), nic.model.as_deref(), nic.network.as_deref())).collect();
    assert_eq!(
        nics,
        [
            (Some("00:50:56:aa:bb:01"), Some("vmxnet3"), Some("VM Network")),
            (Some("00:50:56:aa:bb:02"), Some("e1000e"), Some("Back Office")),
            (None, Some("pcnet32"), Some("nat")),
        ]
    );
    assert!(vm.nics.iter().all(|nic| nic.kind == NicKind::Network));
    let drive = |kind, controller: &str| Removable::new(kind, controller);
    use RemovableKind::{Cdrom, Floppy};
    assert_eq!(vm.removable, [drive(Cdrom, "sata"), drive(Cdrom, "ide"), drive(Floppy, "floppy")]);
    assert_eq!(vm.guessed, Vec::<String>::new());
}

#[test]
fn configurations_bounds_and_virtualbox_are_understood() {
    let lab = Lab::new();
    let memory = |attributes: &str, id: u32, amount: u32| {
        item(4, id, &format!("AllocationUnits=MB VirtualQuantity={amount}"))
            .replace("<Item>", &format!("<Item {attributes}>"))
    };
    let hardware = [
        memory("", 1, 100),
        memory("ovf:configuration=\"small\"", 1, 200),
        memory("ovf:configuration=\"large wide\"", 1, 300),
        memory("ovf:bound=\"max\"", 1, 400),
    ]
    .concat();
    let plain = envelope("", "", &system("web", "Web", &hardware));
    let options = "<DeploymentOptionSection><Info/><Configuration ovf:id=\"small\"/><Configuration ovf:id=\"wide\" ovf:default=\"true\"/>\
                   </DeploymentOptionSection><VirtualSystem";
    lab.file("wide.ovf", plain.replacen("<VirtualSystem", options, 1)).file("plain.ovf", &plain);
    assert_eq!(lab.describe("wide.ovf", None).unwrap().memory_bytes, 300 << 20);
    assert_eq!(lab.describe("plain.ovf", None).unwrap().memory_bytes, 100 << 20);

    let machine = "<vbox:Machine uuid=\"{564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e7}\"><Hardware><Firmware type=\"EFI\"/></Hardware></vbox:Machine></VirtualSystem>";
    lab.file("box.ovf", envelope("", "", &system("web", "Web", "")).replace("</VirtualSystem>", machine));
    let vm = lab.describe("box.ovf", None).unwrap();
    assert_eq!((vm.firmware, vm.uuid.as_deref()), (Firmware::Uefi, Some("564d1a2b-3c4d-5e6f-7081-92a3b4c5d6e7")));
}

#[test]
fn of_several_systems_one_is_chosen() {
    let lab = Lab::new();
    let collection = format!(
        "<VirtualSystemCollection ovf:id=\"app\"><Info/>{}{}</VirtualSystemCollection>",
        system("db", "Database", ""),
        system("web", "Web", "")
    );
    lab.file("app.ovf", envelope("", "", &collection)).run(".", "tar -cf app.ova app.ovf");
    for name in ["app.ovf", "app.ova"] {
        let names: Vec<_> = lab.inventory(name).unwrap().into_iter().map(|vm| vm.name).collect();
        assert_eq!(names, ["Database", "Web"]);
        for wanted in ["db", "Database"] {
            assert_eq!(lab.describe(name, Some(wanted)).unwrap().name, "Database");
        }
        let message = |vm| lab.sentence(&lab.describe(name, vm).unwrap_err());
        assert_eq!(
            message(None),
            format!("DIR/{name}: the package holds several virtual machines: Database (db), Web (web)")
        );
        assert_eq!(message(Some("x")), "there is no virtual machine 'x' among Database (db), Web (web)");
    }
    lab.file("one.ovf", envelope("", "", &system("web", "Web", "")));
    for wanted in ["one", "one.ovf", "web", "Web"] {
        assert!(lab.describe("one.ovf", Some(wanted)).is_ok());
    }
}

#[test]
fn formats_are_as_declared() {
    let lab = Lab::new();
    let ovf = |format: &str| usual("ovf:href=\"a.img\"", "ovf:href=\"b.vmdk\"").replacen(VMDK, format, 1);
    // Declared raw is raw, even if it begins like a QCOW2; and not declared at all, content and name decide.
    lab.file("a.img", b"QFI\xfb\0\0\0\x03").file("b.vmdk", disk(2));
    for (format, expected) in
        [("urn:raw", "raw"), ("", "qcow2"), ("http://www.gnome.org/~markmc/qcow-image-format.html", "qcow2")]
    {
        lab.file("web.ovf", ovf(format));
        assert_eq!(lab.describe("web.ovf", None).unwrap().disks[0].ways[0].format, expected);
    }
    lab.file("web.ovf", ovf(VMDK));
    let refusal = lab.refusal("web.ovf").1;
    assert_eq!(
        refusal,
        "DIR/web.ovf: disk 'd1': DIR/a.img: its package declares it as vmdk, and it does not begin like one"
    );
}
