//! Packages that leave things open, through the whole program: deltas on a disk that the OVF names, disks of one file, properties.
//!
//! Requires qemu-img and qemu-io (Debian: qemu-utils).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::Command;

use vmdk2kvm_tests::{Outcome, run};

const MIB: usize = 1 << 20;
/// Bytes of the base.
const SIZE: usize = 2 * MIB;

fn qemu(program: &str, folder: &Path, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(folder).output();
    let done = done.unwrap_or_else(|error| panic!("{program} (package qemu-utils): {error}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A base full of ones, and two deltas on it with a megabyte of their own each. The base is moved once they are made, as exporters do.
fn write_disks(folder: &Path) {
    std::fs::write(folder.join("base.raw"), vec![1; SIZE]).unwrap();
    qemu("qemu-img", folder, &["convert", "-f", "raw", "-O", "vmdk", "base.raw", "base.vmdk"]);
    for (name, pattern, at) in [("first.vmdk", "2", "0"), ("second.vmdk", "3", "1M")] {
        qemu("qemu-img", folder, &["create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", name]);
        qemu("qemu-io", folder, &["-f", "vmdk", "-c", &format!("write -P {pattern} {at} 1M"), name]);
    }
    std::fs::rename(folder.join("base.vmdk"), folder.join("shared.vmdk")).unwrap();
    std::fs::remove_file(folder.join("base.raw")).unwrap();
}

/// An OVF with these disks, each the attributes of its element behind its id, and each on the machine.
fn write_ovf(folder: &Path, disks: &[&str], unused: &str, properties: &str) {
    let item = |kind: u32, id: usize, rest: &str| {
        format!(
            "<Item><rasd:InstanceID>{id}</rasd:InstanceID><rasd:ResourceType>{kind}</rasd:ResourceType>{rest}</Item>"
        )
    };
    let files = ["first", "second", "shared"].map(|name| format!("<File ovf:id=\"{name}\" ovf:href=\"{name}.vmdk\"/>"));
    let (mut elements, mut items) = (unused.to_owned(), item(6, 100, ""));
    for (number, disk) in disks.iter().enumerate() {
        elements.push_str(&format!("<Disk ovf:diskId=\"d{number}\" {disk}/>"));
        let place = format!(
            "<rasd:AddressOnParent>{number}</rasd:AddressOnParent><rasd:Parent>100</rasd:Parent>\
             <rasd:HostResource>ovf:/disk/d{number}</rasd:HostResource>"
        );
        items.push_str(&item(17, number, &place));
    }
    let ovf = format!(
        "<Envelope\n xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\">\
         <References>{}</References><DiskSection><Info/>{elements}</DiskSection><VirtualSystem ovf:id=\"vm\"><Info/><Name>vm</Name>\
         <ProductSection><Info/>{properties}</ProductSection><VirtualHardwareSection>{items}</VirtualHardwareSection></VirtualSystem></Envelope>",
        files.concat()
    );
    std::fs::write(folder.join("vm.ovf"), ovf).unwrap();
}

fn flatten(folder: &Path, further: &[&str]) -> Outcome {
    let (ovf, output) = (folder.join("vm.ovf"), folder.join("out"));
    let _ = std::fs::remove_dir_all(&output);
    let arguments = ["flatten", ovf.to_str().unwrap(), "-o", output.to_str().unwrap(), "--format", "raw"];
    run(&[&arguments, further].concat())
}

/// The images, each as what its megabytes are full of.
#[track_caller]
fn images(folder: &Path, outcome: Outcome) -> Vec<Vec<u8>> {
    let report = outcome.expect(0).json;
    let read =
        |image: &serde_json::Value| std::fs::read(folder.join("out").join(image["path"].as_str().unwrap())).unwrap();
    let full_of = |megabyte: &[u8]| {
        assert!(megabyte.iter().all(|byte| *byte == megabyte[0]));
        megabyte[0]
    };
    report["images"].as_array().unwrap().iter().map(|image| read(image).chunks(MIB).map(full_of).collect()).collect()
}

#[test]
fn deltas_are_read_through_the_disk_that_the_ovf_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_disks(path);
    let base = "<Disk ovf:diskId=\"base\" ovf:fileRef=\"shared\"/>";
    let disks = [
        "ovf:fileRef=\"first\" ovf:parentRef=\"base\"",
        "ovf:fileRef=\"second\" ovf:parentRef=\"base\"",
        "ovf:parentRef=\"base\"",
        "ovf:fileRef=\"shared\"",
    ];
    write_ovf(path, &disks, base, "");
    assert_eq!(images(path, flatten(path, &[])), [[2, 1], [1, 3], [1, 1], [1, 1]]);
    // Without the word of the OVF the name in the delta leads nowhere.
    write_ovf(path, &disks[..1].iter().map(|_| "ovf:fileRef=\"first\"").collect::<Vec<_>>(), base, "");
    let refused = flatten(path, &[]).expect(65);
    assert!(refused.message().contains("its parent base.vmdk"), "{}", refused.message());
}

#[test]
fn a_capacity_that_is_a_property_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let disk = "ovf:capacity=\"${data.size}\" ovf:capacityAllocationUnits=\"byte * 2^20\"";
    write_ovf(path, &[disk], "", "<Property ovf:key=\"data.size\" ovf:type=\"uint32\" ovf:value=\"3\"/>");
    assert_eq!(images(path, flatten(path, &[])), [[0, 0, 0]]);
    assert_eq!(images(path, flatten(path, &["--set", "plugin.local.properties.data.size=2"])), [[0, 0]]);
    write_ovf(path, &[disk], "", "");
    let refused = flatten(path, &[]).expect(65);
    assert_eq!(refused.hint(), "give it one with --set plugin.local.properties.data.size=VALUE");
}
