use vmdk2kvm_plugin_api::model::{Controller, Severity};

use super::*;
use crate::{concerns, datastore, privileges, ways};

/// A VM as a vCenter 8 writes it, shortened; `disk` stands in its second disk's backing.
fn object(disk: &str) -> Object {
    let text = r#"<objects xmlns:xsi="x"><obj type="VirtualMachine">vm-7</obj>
      <propSet><name>name</name><val xsi:type="xsd:string">web%2f01</val></propSet>
      <propSet><name>config.uuid</name><val>4213AB00-0000-0000-0000-000000000001</val></propSet>
      <propSet><name>config.firmware</name><val>efi</val></propSet>
      <propSet><name>config.guestId</name><val>debian12_64Guest</val></propSet>
      <propSet><name>config.hardware.numCPU</name><val>8</val></propSet>
      <propSet><name>config.hardware.numCoresPerSocket</name><val>4</val></propSet>
      <propSet><name>config.hardware.memoryMB</name><val>4096</val></propSet>
      <propSet><name>config.flags.diskUuidEnabled</name><val>true</val></propSet>
      <propSet><name>config.changeTrackingEnabled</name><val>false</val></propSet>
      <propSet><name>runtime.powerState</name><val>poweredOn</val></propSet>
      <propSet><name>runtime.host</name><val type="HostSystem">host-9</val></propSet>
      <propSet><name>datastore</name><val xsi:type="ArrayOfManagedObjectReference"><ManagedObjectReference type="Datastore">datastore-1</ManagedObjectReference></val></propSet>
      <propSet><name>config.bootOptions</name><val><efiSecureBootEnabled>true</efiSecureBootEnabled>
        <bootOrder xsi:type="VirtualMachineBootOptionsBootableEthernetDevice"><deviceKey>4000</deviceKey></bootOrder>
        <bootOrder xsi:type="VirtualMachineBootOptionsBootableDiskDevice"><deviceKey>2001</deviceKey></bootOrder></val></propSet>
      <propSet><name>snapshot</name><val><currentSnapshot type="VirtualMachineSnapshot">snapshot-2</currentSnapshot>
        <rootSnapshotList><snapshot type="VirtualMachineSnapshot">snapshot-1</snapshot><name>a %25</name>
          <childSnapshotList><snapshot type="VirtualMachineSnapshot">snapshot-2</snapshot><name>b</name></childSnapshotList></rootSnapshotList></val></propSet>
      <propSet><name>config.hardware.device</name><val xsi:type="ArrayOfVirtualDevice">
        <VirtualDevice xsi:type="ParaVirtualSCSIController"><key>1000</key><busNumber>0</busNumber><sharedBus>noSharing</sharedBus></VirtualDevice>
        <VirtualDevice xsi:type="VirtualAHCIController"><key>15000</key><busNumber>1</busNumber></VirtualDevice>
        <VirtualDevice xsi:type="VirtualCdrom"><key>16000</key><controllerKey>15000</controllerKey></VirtualDevice>
        <VirtualDevice xsi:type="VirtualTPM"><key>11000</key></VirtualDevice>
        <VirtualDevice xsi:type="VirtualDisk"><key>16001</key><controllerKey>15000</controllerKey><unitNumber>3</unitNumber><capacityInKB>2048</capacityInKB>
          <backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds 1] web/data.vmdk</fileName>@DISK@</backing></VirtualDevice>
        <VirtualDevice xsi:type="VirtualDisk"><key>2001</key><controllerKey>1000</controllerKey><unitNumber>1</unitNumber><capacityInBytes>1048576</capacityInBytes>
          <backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds 1] web/web-000001.vmdk</fileName><diskMode>persistent</diskMode>
            <parent xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds 1] web/web.vmdk</fileName></parent></backing></VirtualDevice>
      </val></propSet></objects>"#;
    Object::of(&Tree::parse(&text.replace("@DISK@", disk), "vc").unwrap()).unwrap()
}

#[test]
fn a_configuration_becomes_a_description() {
    let machine = Machine::new(&object(""), &Names::default(), None);
    let spec = &machine.spec;
    assert_eq!((spec.name.as_str(), spec.uuid.as_deref()), ("web/01", Some("4213ab00-0000-0000-0000-000000000001")));
    assert_eq!(
        (spec.firmware, spec.secure_boot, spec.tpm, spec.shows_disk_serials),
        (Firmware::Uefi, true, true, Some(true))
    );
    assert_eq!((spec.cpus.count, spec.cpus.sockets, spec.memory_bytes), (8, 2, 4 << 30));
    let disks: Vec<_> = spec
        .disks
        .iter()
        .map(|it| (it.id.as_str(), it.name.as_str(), it.controller, it.bus, it.unit, it.capacity_bytes))
        .collect();
    assert_eq!(
        disks,
        [
            ("2001", "web-000001.vmdk", Controller::Scsi, 0, 1, 1 << 20),
            ("16001", "data.vmdk", Controller::Sata, 1, 3, 2 << 20)
        ]
    );
    let way = &spec.disks[0].ways[0];
    assert_eq!(
        (way.scheme.as_str(), way.object.as_str(), way.format.as_str()),
        (datastore::SCHEME, "[ds 1] web/web-000001.vmdk", "vmdk")
    );
    assert!(!way.extra.contains_key(datastore::PARENTS), "they lie beside it");
    assert_eq!((spec.boot_order.as_slice(), spec.removable[0].controller.as_str()), (&[0][..], "sata"));
    assert!(spec.guessed.is_empty());
    assert_eq!(
        (machine.power, machine.tracking, machine.host.as_deref()),
        (PowerState::On, Some(false), Some("host-9"))
    );
    let names: Vec<_> = machine.snapshots.iter().map(|it| (it.name.as_str(), it.moref.id.as_str())).collect();
    assert_eq!(names, [("a %", "snapshot-1"), ("b", "snapshot-2")]);
}

#[test]
fn what_no_property_says_is_marked() {
    let bare = Tree::parse("<o><obj type=\"VirtualMachine\">vm-1</obj></o>", "vc").unwrap();
    let machine = Machine::new(&Object::of(&bare).unwrap(), &Names::default(), None);
    assert_eq!((machine.spec.name.as_str(), machine.power), ("vm-1", PowerState::Unknown));
    assert_eq!(machine.spec.guessed, ["memory_bytes", "cpus", "firmware"]);
    assert!(machine.runs(), "nobody knows");
}

#[test]
fn what_stands_in_the_way_has_its_code() {
    for (backing, code, severity) in [
        ("<diskMode>independent_persistent</diskMode>", "disk-independent", Severity::Warn),
        ("<sharing>sharingMultiWriter</sharing>", "disk-multiwriter", Severity::Block),
        ("<keyId><keyId>k</keyId></keyId>", "disk-encrypted", Severity::Block),
        ("<parent><fileName>[other] base/base.vmdk</fileName></parent>", "linked-clone", Severity::Warn),
    ] {
        let mut machine = Machine::new(&object(backing), &Names::default(), None);
        let findings = concerns::examine(&mut machine);
        let found: Vec<_> = findings
            .iter()
            .filter(|it| it.message.starts_with("data.vmdk: "))
            .map(|it| (it.code.as_str(), it.severity))
            .collect();
        assert_eq!(found, [(code, severity)]);
        assert!(findings.iter().all(|it| !it.hint.is_empty()));
    }
    let mut machine = Machine::new(&object(""), &Names::default(), None);
    let codes =
        |findings: Vec<vmdk2kvm_plugin_api::model::Finding>| findings.into_iter().map(|it| it.code).collect::<Vec<_>>();
    assert_eq!(codes(concerns::examine(&mut machine)), ["snapshots-present", "tools-absent", "tpm-secrets-stay"]);
    machine.datastores = vec![("ds 1".to_owned(), "vsan".to_owned())];
    (machine.consolidation_needed, machine.connected) = (true, false);
    machine.disks[1].backing.kind = "VirtualDiskRawDiskMappingVer1BackingInfo".to_owned();
    (machine.disks[1].backing.physical, machine.disks[1].shared_bus) = (true, true);
    assert_eq!(
        codes(concerns::examine(&mut machine)),
        [
            "host-disconnected",
            "snapshots-present",
            "consolidation-needed",
            "tools-absent",
            "tpm-secrets-stay",
            "datastore-not-file",
            "disk-rdm-physical",
            "disk-shared-bus",
            "datastore-not-file"
        ]
    );
    let ways = |disk: usize| machine.spec.disks[disk].ways.iter().map(|way| way.scheme.as_str()).collect::<Vec<_>>();
    assert_eq!(
        (ways(0), ways(1)),
        (vec!["nfc-lease", "ovf-export", "vsphere-disk"], vec!["vsphere-disk"]),
        "no file has their bytes, and nobody exports a physical device"
    );
}

/// The VM with further elements beside its properties.
fn object_with(more: &str) -> Object {
    let text = format!(
        "<objects xmlns:xsi=\"x\"><obj type=\"VirtualMachine\">vm-7</obj><propSet><name>name</name><val>web</val></propSet>{more}</objects>"
    );
    Object::of(&Tree::parse(&text, "vc").unwrap()).unwrap()
}

#[test]
fn what_a_property_says_before_a_byte_moves_has_its_code() {
    let set = |name: &str, value: &str| format!("<propSet><name>{name}</name><val>{value}</val></propSet>");
    let on = set("runtime.powerState", "poweredOn");
    let off = set("runtime.powerState", "poweredOff");
    let tools = set("guest.toolsRunningStatus", "guestToolsRunning");
    let missing =
        |kind: &str| format!("<missingSet><path>config</path><fault><fault xsi:type=\"{kind}\"/></fault></missingSet>");
    for (properties, expected) in [
        (off.clone(), None),
        (on.clone(), Some(("tools-absent", Severity::Warn))),
        (format!("{on}{tools}"), None),
        (format!("{off}{}", set("config.version", "vmx-04")), Some(("cbt-unsupported", Severity::Info))),
        (format!("{off}{}", set("config.version", "vmx-07")), None),
        (
            format!("{off}{}", set("capability.changeTrackingSupported", "false")),
            Some(("cbt-unsupported", Severity::Info)),
        ),
        (format!("{off}{}", missing("NoPermission")), Some(("privilege-missing", Severity::Block))),
        (format!("{off}{}", missing("InvalidProperty")), None),
        (
            format!("{off}{}", set("runtime.connectionState", "disconnected")),
            Some(("host-disconnected", Severity::Block)),
        ),
    ] {
        let mut machine = Machine::new(&object_with(&properties), &Names::default(), None);
        let findings = concerns::examine(&mut machine);
        let found: Vec<_> = findings.iter().map(|it| (it.code.as_str(), it.severity)).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{properties}");
        assert!(findings.iter().all(|it| !it.hint.is_empty()));
    }
}

#[test]
fn what_the_user_lacks_closes_ways_and_blocks_where_none_is_left() {
    let (browse, export, snapshot) = ("Datastore.Browse", "VApp.Export", "VirtualMachine.State.CreateSnapshot");
    for (lacking, expected, ways) in [
        (vec![], vec![], vec!["datastore-file", "nfc-lease", "ovf-export"]),
        (vec![browse], vec![Severity::Warn], vec!["nfc-lease", "ovf-export"]),
        (vec![export], vec![Severity::Warn], vec!["datastore-file"]),
        (vec![browse, export], vec![Severity::Block, Severity::Block], vec![]),
        (vec![snapshot], vec![Severity::Warn], vec!["datastore-file", "nfc-lease", "ovf-export"]),
    ] {
        let mut machine = Machine::new(&object(""), &Names::default(), None);
        let findings = privileges::examine(&mut machine, &lacking);
        assert_eq!(findings.iter().map(|it| it.severity).collect::<Vec<_>>(), expected, "{lacking:?}");
        assert!(findings.iter().all(|it| it.code == "privilege-missing" && !it.hint.is_empty()));
        for disk in &machine.spec.disks {
            let open: Vec<_> = disk.ways.iter().map(|way| way.scheme.as_str()).collect();
            assert_eq!(open, [ways.as_slice(), &["vsphere-disk"]].concat(), "{lacking:?}");
        }
    }
}

#[test]
fn a_mostly_empty_machine_is_streamed_and_others_are_read_as_files() {
    for (used, closed, first, reason) in [
        (None, "", "datastore-file", "files of a datastore are read at random, over several connections"),
        (Some(2 << 20), "", "datastore-file", "files of a datastore are read at random, over several connections"),
        (Some(600 << 10), "", "nfc-lease", "about 0 of 3 MiB are used, and a lease sends no others"),
        (
            Some(600 << 10),
            "nfc-lease",
            "datastore-file",
            "files of a datastore are read at random, over several connections",
        ),
        (None, "datastore-file", "nfc-lease", "no file of a datastore has its bytes, or none may be read"),
    ] {
        let mut machine = Machine::new(&object(""), &Names::default(), None);
        machine.used_bytes = used;
        machine.spec.disks.iter_mut().for_each(|disk| disk.ways.retain(|way| way.scheme != closed));
        ways::order(&mut machine);
        for disk in &machine.spec.disks {
            assert_eq!(
                (disk.ways[0].scheme.as_str(), disk.ways[0].reason.as_str()),
                (first, reason),
                "{used:?} {closed}"
            );
            assert_eq!(disk.ways.last().unwrap().scheme, ways::DISK);
        }
    }
}

#[test]
fn what_works_on_a_vm_is_said_to_end() {
    let info = |state: &str, kind: &str| {
        let text = format!("<info><state>{state}</state><descriptionId>{kind}</descriptionId></info>");
        concerns::working(&Tree::parse(&text, "vc").unwrap())
    };
    for (state, kind, expected) in [
        ("success", "VirtualMachine.relocate", None),
        ("error", "VirtualMachine.createSnapshot", None),
        (
            "running",
            "VirtualMachine.relocate",
            Some(("vm-migrating", "web: it is being moved to another host or datastore (vm-migrating)")),
        ),
        (
            "queued",
            "Drm.ExecuteVMotionLRO",
            Some(("vm-migrating", "web: it is being moved to another host or datastore (vm-migrating)")),
        ),
        (
            "running",
            "VirtualMachine.createSnapshot",
            Some(("task-running", "web: a task works on it: VirtualMachine.createSnapshot (task-running)")),
        ),
    ] {
        let found = info(state, kind);
        let told = found.as_ref().map(|busy| (busy.finding().code, busy.error("web")));
        let told = told.as_ref().map(|(code, error)| (code.as_str(), error.message.as_str()));
        assert_eq!(told, expected);
        assert!(found.is_none_or(|busy| busy.error("web").kind.exit_code() == 75));
    }
    let mut machine = Machine::new(&object_with(""), &Names::default(), None);
    assert_eq!(concerns::resting(&machine), None);
    (machine.host, machine.host_rests) = (Some("esx1".to_owned()), true);
    let busy = concerns::resting(&machine).unwrap();
    assert_eq!(busy.error("web").message, "web: its host esx1 is in maintenance mode (host-in-maintenance)");
    assert_eq!(busy.finding().severity, Severity::Warn);
}
