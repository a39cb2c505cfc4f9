//! Names of real guests against the disks of real VMs.

use vmdk2kvm_plugin_api::model::{Controller, GuestDiskInfo};

use super::*;
use crate::fixture;

fn names(devices: &Devices<'_>, spec: &str) -> String {
    match devices.refer(spec) {
        Reference::Place(device) => device.device.clone(),
        other => format!("{other:?}"),
    }
}

fn three() -> (Vec<GuestDiskInfo>, VmSpec) {
    let disks = vec![
        fixture::disk(0, &[(1, "ext4"), (5, "swap")]),
        fixture::disk(1, &[(1, "xfs")]),
        fixture::disk(2, &[(1, "ext4")]),
    ];
    let mut vm = fixture::vm(3);
    vm.disks[1] = vm.disks[1].clone().with(|it| it.unit = 2);
    vm.disks[2] = vm.disks[2].clone().with(|it| {
        it.bus = 1;
        it.unit = 0;
    });
    (disks, vm)
}

#[test]
fn what_a_running_system_links_is_believed_where_the_hardware_is_named() {
    let (mut disks, vm) = three();
    let link = "/dev/disk/by-path/pci-0000:0b:00.0-fc-0x5006:0-lun-1".to_owned();
    let by_id = "/dev/disk/by-id/scsi-36000c29aaaaaaaaaa-part1".to_owned();
    disks[1].devices[1].links = vec![link.clone(), by_id.clone(), "/dev/disk/by-id/dm-name-x".to_owned()];
    let devices = Devices::new(&disks, Some(&vm));
    for (spec, want) in [
        (link.as_str(), "/dev/sdb1"),
        (&by_id, "/dev/sdb1"),
        ("/dev/disk/by-id/dm-name-x", "Stable"),
        ("/dev/dm-3", "Unknown"),
    ] {
        assert_eq!(names(&devices, spec), want, "{spec}");
    }
}

#[test]
fn resolves_by_the_order_of_the_vm() {
    let (disks, vm) = three();
    let mut devices = Devices::new(&disks, Some(&vm));
    devices.learn("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1", "/dev/sda1");
    for (spec, want) in [
        ("/dev/sda1", "/dev/sda1"),
        ("/dev/sdb1", "/dev/sdb1"),
        ("/dev/xvdc1", "/dev/sdc1"),
        ("/dev/sdd1", "Unknown"),
        ("/dev/sda9", "Unknown"),
        ("/dev/hda1", "Unknown"),
        ("/dev/nvme0n1p1", "Unknown"),
        ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part5", "/dev/sda5"),
        ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:2:0-part1", "/dev/sdb1"),
        ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:1:0-part1", "Unknown"),
        // Another controller: the only other one of the VM.
        ("/dev/disk/by-path/pci-0000:0b:00.0-scsi-0:0:0:0-part1", "/dev/sdc1"),
        ("/dev/disk/by-path/pci-0000:0b:00.0-fc-0x5006:0-lun-1", "Unknown"),
        ("/dev/disk/by-id/scsi-36000c29aaaaaaaaaa-part1", "Unknown"),
        ("/dev/disk/by-uuid/0000-1", "Stable"),
        ("/dev/disk/by-id/dm-name-vg-root", "Stable"),
        ("UUID=x", "Stable"),
        ("PARTLABEL=\"a\"", "Stable"),
        ("/dev/mapper/vg-root", "Stable"),
        ("/dev/vg/root", "Stable"),
        ("/dev/md0", "Stable"),
        ("/dev/mapper/mpathvg-root", "Stable"),
        ("/dev/mapper/mpatha1", "Unknown"),
        ("/dev/dm-3", "Unknown"),
        ("/dev/sr0", "Removable"),
        ("/dev/cdrom", "Removable"),
        ("/dev/fd0", "Removable"),
        ("server:/export", "Other"),
        ("tmpfs", "Other"),
        ("/srv/a", "Other"),
    ] {
        assert_eq!(names(&devices, spec), want, "{spec}");
    }
}

#[test]
fn a_name_that_is_no_known_one_is_what_the_guests_rules_say() {
    let (disks, vm) = three();
    let rules = "KERNEL==\"sdb1\", SYMLINK+=\"archive\"\nENV{ID_FS_UUID}==\"uuid-2-1\", SYMLINK+=\"data disk/own/data\"\n\
        ENV{ID_PATH}==\"x\", SYMLINK+=\"odd\"\n";
    let guest = fixture::MapGuest::new(&[("/etc/udev/rules.d/60-own.rules", rules)]);
    let devices = Devices::new(&disks, Some(&vm)).with_names_of(&guest).unwrap();
    for (spec, want, resolved) in [
        ("/dev/archive", "/dev/sdb1", Some("/dev/sdb1")),
        ("/dev/data", "Stable", Some("/dev/sdc1")),
        ("/dev/disk/own/data", "Stable", Some("/dev/sdc1")),
        ("/dev/odd", "Unknown", None),
        ("/dev/nobody-knows", "Unknown", None),
        ("/dev/disk/own/other", "Unknown", None),
        ("/dev/emcpowera1", "Unknown", None),
        ("/dev/vg/lv", "Stable", Some("/dev/vg/lv")),
        ("/dev/md127", "Stable", Some("/dev/md127")),
        ("/dev/md/boot", "Stable", Some("/dev/md/boot")),
        ("/dev/drbd0", "Stable", Some("/dev/drbd0")),
        ("/dev/mdisk", "Unknown", None),
        ("/dev/root", "Stable", Some("/dev/root")),
    ] {
        assert_eq!(names(&devices, spec), want, "{spec}");
        assert_eq!(devices.resolve(spec).as_deref(), resolved, "{spec}");
    }
}

#[test]
fn never_takes_another_controllers_disk_for_the_root_disk() {
    let disks = vec![fixture::disk(0, &[(1, "ext4")])];
    let vm = fixture::vm(1);
    let mut devices = Devices::new(&disks, Some(&vm));
    devices.learn("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1", "/dev/sda1");
    assert_eq!(names(&devices, "/dev/disk/by-path/pci-0000:0b:00.0-scsi-0:0:0:0-part1"), "Unknown");
    assert_eq!(names(&devices, "/dev/disk/by-id/wwn-0x6000c2999-part1"), "/dev/sda1");
}

#[test]
fn knows_ata_ide_and_nvme() {
    let disks =
        vec![fixture::disk(0, &[(1, "ext4")]), fixture::disk(1, &[(1, "ext4")]), fixture::disk(2, &[(1, "ext4")])];
    let mut vm = fixture::vm(3);
    for (disk, (controller, bus, unit)) in
        vm.disks.iter_mut().zip([(Controller::Ide, 1, 0), (Controller::Sata, 0, 3), (Controller::Nvme, 0, 1)])
    {
        *disk = disk.clone().with(|it| {
            it.controller = controller;
            it.bus = bus;
            it.unit = unit;
        });
    }
    let devices = Devices::new(&disks, Some(&vm));
    for (spec, want) in [
        ("/dev/hdc1", "/dev/sda1"),
        ("/dev/sda1", "/dev/sda1"),
        ("/dev/sdb1", "/dev/sdb1"),
        ("/dev/sdc1", "Unknown"),
        ("/dev/nvme0n2p1", "/dev/sdc1"),
        ("/dev/nvme0n1p1", "Unknown"),
        ("/dev/disk/by-path/pci-0000:02:01.0-ata-4-part1", "/dev/sdb1"),
        ("/dev/disk/by-path/pci-0000:00:07.1-ata-2.0-part1", "/dev/sda1"),
        ("/dev/disk/by-path/pci-0000:00:07.1-ide-1:0-part1", "/dev/sda1"),
        ("/dev/disk/by-path/pci-0000:0b:00.0-nvme-2-part1", "/dev/sdc1"),
    ] {
        assert_eq!(names(&devices, spec), want, "{spec}");
    }
}

#[test]
fn finds_devices_by_every_kind_of_name() {
    let (disks, vm) = three();
    let devices = Devices::new(&disks, Some(&vm));
    for (spec, want) in [
        ("UUID=uuid-0-5", Some("/dev/sda5")),
        ("UUID=\"UUID-0-5\"", Some("/dev/sda5")),
        ("/dev/disk/by-partuuid/part-1-1", Some("/dev/sdb1")),
        ("LABEL=nowhere", Some("/dev/disk/by-label/nowhere")),
        ("/dev/mapper/my--vg-my--lv", Some("/dev/my-vg/my-lv")),
        ("/dev/mapper/luks-01-02", Some("/dev/mapper/luks-01-02")),
        ("/dev/vg/root", Some("/dev/vg/root")),
        ("proc", None),
        ("/dev/sr0", None),
    ] {
        assert_eq!(devices.resolve(spec).as_deref(), want, "{spec}");
    }
}

#[test]
fn shared_uuids_are_not_used() {
    let mut disks = vec![fixture::disk(0, &[(1, "ext4")]), fixture::disk(1, &[(1, "ext4")])];
    disks[1].devices[1].uuid = disks[0].devices[1].uuid.clone();
    let devices = Devices::new(&disks, None);
    assert_eq!(devices.stable_name(&disks[1].devices[1]).as_deref(), Some("PARTUUID=part-1-1"));
}

#[test]
fn two_reasons_for_no_better_name() {
    let mut disks = vec![fixture::disk(0, &[(1, "ext4")]), fixture::disk(1, &[(1, "ext4"), (2, "ext4")])];
    let (uuid, partuuid) = (disks[0].devices[1].uuid.clone(), disks[0].devices[1].partuuid.clone());
    (disks[1].devices[1].uuid, disks[1].devices[1].partuuid) = (uuid, partuuid);
    (disks[1].devices[2].uuid, disks[1].devices[2].partuuid) = (None, None);
    let vm = fixture::vm(2);
    let devices = Devices::new(&disks, Some(&vm));
    for (spec, why) in [
        ("/dev/sda1", "which is /dev/sda1 here, and /dev/sdb1 has the same UUIDs: it is a copy"),
        ("/dev/sdb2", "which is /dev/sdb2 here, and has neither UUID nor label"),
        ("/dev/sdc1", "and no disk of this VM is known to be that device"),
    ] {
        assert_eq!(devices.why_not(spec).why, why, "{spec}");
    }
    assert!(devices.copies().unwrap().message.starts_with("/dev/sda1 and /dev/sdb1 have the same UUIDs"));
    // A partition table that was copied for an array, members of one array, and the devices of one btrfs.
    let mut table = vec![fixture::disk(0, &[(1, "swap")]), fixture::disk(1, &[(1, "swap")])];
    table[1].devices[1].partuuid = table[0].devices[1].partuuid.clone();
    assert_eq!(Devices::new(&table, Some(&vm)).copies(), None);
    for fstype in ["linux_raid_member", "btrfs"] {
        let mut disks = vec![fixture::disk(0, &[(1, fstype)]), fixture::disk(1, &[(1, fstype)])];
        disks[1].devices[1].uuid = disks[0].devices[1].uuid.clone();
        assert_eq!(Devices::new(&disks, Some(&vm)).copies(), None, "{fstype}");
    }
}

#[test]
fn letters_over_controllers_of_different_kinds_are_a_guess() {
    let (disks, mut vm) = three();
    let doubts = |vm: &VmSpec, spec: &str| Devices::new(&disks, Some(vm)).doubt(spec).is_some();
    assert!(!doubts(&vm, "/dev/sdb1"));
    vm.disks[2].controller = Controller::Nvme;
    assert!(!doubts(&vm, "/dev/sdb1"));
    vm.disks[2].controller = Controller::Sata;
    assert!(doubts(&vm, "/dev/sdb1") && doubts(&vm, "\"/dev/sda\""));
    assert!(!doubts(&vm, "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1") && !doubts(&vm, "UUID=x"));
}

#[test]
fn a_serial_number_is_that_of_one_disk() {
    let (disks, mut vm) = three();
    let id = |end: char| format!("6000c29{}", end.to_string().repeat(25));
    for (disk, end) in vm.disks.iter_mut().zip(['a', 'b', 'c']) {
        disk.serial = Some(id(end));
    }
    let devices = Devices::new(&disks, Some(&vm));
    for (spec, want) in [
        (format!("/dev/disk/by-id/scsi-3{}-part1", id('b')), "/dev/sdb1"),
        (format!("/dev/disk/by-id/wwn-0x{}", id('c')), "/dev/sdc"),
        (format!("/dev/mapper/3{}-part5", id('a')), "/dev/sda5"),
        (format!("/dev/mapper/3{}5", id('a')), "/dev/sda5"),
        (format!("/dev/disk/by-id/scsi-3{}-part1", id('d')), "Unknown"),
        ("/dev/disk/by-id/scsi-0VMware_Virtual_disk-part1".to_owned(), "Unknown"),
    ] {
        assert_eq!(names(&devices, &spec), want, "{spec}");
    }
    vm.disks[1].serial = Some(id('a'));
    let devices = Devices::new(&disks, Some(&vm));
    assert_eq!(names(&devices, &format!("/dev/disk/by-id/scsi-3{}-part1", id('a'))), "Unknown");
}

#[test]
fn a_serial_number_that_the_guest_did_not_see_is_of_no_disk() {
    let disks = vec![fixture::disk(0, &[(1, "ext4")])];
    let mut vm = three().1;
    vm.disks.truncate(1);
    let spec = format!("/dev/disk/by-id/scsi-36000c29{}-part1", "a".repeat(25));
    for (shows, serial, want) in [
        (None, None, "/dev/sda1"),
        (Some(true), None, "/dev/sda1"),
        (Some(false), None, "Unknown"),
        (Some(false), Some(format!("6000c29{}", "a".repeat(25))), "/dev/sda1"),
    ] {
        (vm.shows_disk_serials, vm.disks[0].serial) = (shows, serial.clone());
        assert_eq!(names(&Devices::new(&disks, Some(&vm)), &spec), want, "{shows:?} {serial:?}");
    }
}
