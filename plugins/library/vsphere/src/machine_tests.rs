use vmdk2kvm_plugin_api::model::{Controller, Severity};

use super::*;
use crate::{concerns, datastore};

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
    assert_eq!(codes(concerns::examine(&mut machine)), ["snapshots-present", "tpm-secrets-stay"]);
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
            "tpm-secrets-stay",
            "datastore-not-file",
            "disk-rdm-physical",
            "disk-shared-bus",
            "datastore-not-file"
        ]
    );
    assert!(machine.spec.disks.iter().all(|disk| disk.ways.is_empty()), "no file has their bytes");
}
