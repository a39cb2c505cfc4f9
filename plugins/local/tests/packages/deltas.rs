//! Deltas between the disks of a package: the OVF says which disk lies below, whatever the delta's own file calls it.

use crate::documents::{VMDK, envelope, item, system};
use crate::support::Lab;

/// A text descriptor with these lines.
fn descriptor(lines: &str) -> String {
    format!("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\n{lines}")
}

const DELTA: &str = "CID=2\nparentCID=1\nparentFileNameHint=\"elsewhere.vmdk\"\nRW 8 FLAT \"delta-flat.vmdk\" 0\n";

/// A package whose disk is the first of these, each a delta on the next; `attributes` are further ones of the first.
fn package(names: &[&str], attributes: &str) -> String {
    let (mut files, mut disks) = (String::new(), String::new());
    for (number, name) in names.iter().enumerate() {
        files.push_str(&format!("<File ovf:id=\"f{number}\" ovf:href=\"{name}\"/>"));
        let parent =
            if number + 1 < names.len() { format!("ovf:parentRef=\"d{}\"", number + 1) } else { String::new() };
        let own = if number == 0 { attributes.to_owned() } else { format!("ovf:fileRef=\"f{number}\"") };
        disks.push_str(&format!("<Disk ovf:diskId=\"d{number}\" {own} ovf:format=\"{VMDK}\" {parent}/>"));
    }
    envelope(&files, &disks, &system("web", "Web", &item(17, 1, "HostResource=ovf:/disk/d0")))
}

#[test]
fn the_package_decides_what_a_delta_lies_on() {
    let lab = Lab::new();
    lab.file("in/delta.vmdk", descriptor(DELTA))
        .file("in/middle.vmdk", descriptor("CID=1\nparentCID=7\nparentFileNameHint=\"delta-flat.vmdk\"\n"))
        .file("in/base.vmdk", descriptor("CID=7\nparentCID=ffffffff\n"))
        .file("in/elsewhere.vmdk", descriptor("CID=1\nparentCID=ffffffff\n"))
        .file("in/delta-flat.vmdk", [0; 4096])
        .file("in/web.ovf", package(&["delta.vmdk", "middle.vmdk", "base.vmdk"], "ovf:fileRef=\"f0\""))
        .run("in", "tar -cf ../web.ova .");
    for name in ["in", "web.ova"] {
        let object = |file: &str| lab.root().join(name).join(file).to_str().unwrap().to_owned();
        let vm = lab.describe(name, None).unwrap();
        assert_eq!(lab.paths(&vm), [Some(object("delta.vmdk"))]);
        let transport = lab.transport(name, &vm, &vm.disks[0]);
        assert_eq!(transport.resolve(&object("delta.vmdk"), "elsewhere.vmdk").unwrap(), object("middle.vmdk"));
        // Even a name that leads nowhere, and one that is that of a file.
        assert_eq!(transport.resolve(&object("middle.vmdk"), "/vmfs/x/base.vmdk").unwrap(), object("base.vmdk"));
        assert_eq!(transport.resolve(&object("middle.vmdk"), "delta-flat.vmdk").unwrap(), object("base.vmdk"));
        // An extent of the delta is a file beside it.
        assert_eq!(transport.resolve(&object("delta.vmdk"), "delta-flat.vmdk").unwrap(), object("delta-flat.vmdk"));
        assert_eq!(transport.resolve(&object("base.vmdk"), "elsewhere.vmdk").unwrap(), object("elsewhere.vmdk"));
        assert!(transport.open(&object("delta.vmdk")).is_ok());
    }
}

#[test]
fn a_delta_that_is_none_by_its_own_file_is_refused_when_it_is_read() {
    let lab = Lab::new();
    let sparse = |descriptor: &str| {
        let mut bytes = b"KDMV\x01\0\0\0\x03\0\0\0".to_vec();
        bytes.extend(2048_u64.to_le_bytes());
        bytes.extend([128_u64, 1, 1].map(u64::to_le_bytes).concat());
        bytes.resize(512, 0);
        bytes.extend(descriptor.as_bytes());
        bytes.resize(4096, 0);
        bytes
    };
    let says = |id: &str| format!("# Disk DescriptorFile\nparentcid = {id}\nRW 2048 SPARSE \"base.vmdk\"\n");
    lab.file("in/base.vmdk", descriptor("CID=1\nparentCID=ffffffff\n"))
        .file("in/web.ovf", package(&["delta.vmdk", "base.vmdk"], "ovf:fileRef=\"f0\""));
    for (delta, refused) in [
        (descriptor("CID=2\nparentCID=FFFFFFFF\n").into_bytes(), true),
        (descriptor("CID=2\n").into_bytes(), true),
        (descriptor(DELTA).into_bytes(), false),
        (sparse(&says("ffffffff")), true),
        (sparse(&says("00000001")), false),
    ] {
        lab.file("in/delta.vmdk", delta);
        let answer = lab.contents("in");
        if refused {
            assert_eq!(
                lab.sentence(&answer.unwrap_err()),
                "DIR/in/delta.vmdk: the OVF says that it is a delta on another disk, and the file itself that it is none"
            );
        } else {
            assert!(answer.is_ok());
        }
    }
    // A sparse disk is its own extent, so this name can only be its parent's.
    let object = |file: &str| lab.root().join("in").join(file).to_str().unwrap().to_owned();
    let vm = lab.describe("in", None).unwrap();
    assert_eq!(
        lab.transport("in", &vm, &vm.disks[0]).resolve(&object("delta.vmdk"), "base.vmdk").unwrap(),
        object("base.vmdk")
    );
}

#[test]
fn a_delta_without_a_file_is_what_lies_below_it() {
    let lab = Lab::new();
    lab.file("base.vmdk", descriptor("CID=1\nparentCID=ffffffff\n"))
        .file("web.ovf", package(&["delta.vmdk", "base.vmdk"], "ovf:capacity=\"4096\""));
    let vm = lab.describe("web.ovf", None).unwrap();
    assert_eq!(vm.disks[0].capacity_bytes, 4096);
    assert_eq!(lab.paths(&vm), [Some(lab.root().join("base.vmdk").to_str().unwrap().to_owned())]);
    // Neither is a disk that nothing uses.
    assert_eq!(lab.findings("web.ovf"), []);
}

#[test]
fn deltas_of_formats_without_a_chain_reader_are_refused() {
    let lab = Lab::new();
    lab.file("delta.vmdk", [7; 512]).file("base.vmdk", [7; 512]);
    lab.file("web.ovf", package(&["delta.vmdk", "base.vmdk"], "ovf:fileRef=\"f0\"").replace(VMDK, "urn:raw"));
    assert_eq!(
        lab.refusal("web.ovf").1,
        "DIR/web.ovf: disk 'd0': it is a delta on 'd1' in the format raw, whose deltas are not read"
    );
}
