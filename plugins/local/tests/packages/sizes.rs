//! Disks whose sizes are not known, not stated, or not as stated, and disks that share a file or have none.

use vmdk2kvm_plugin_api::model::{Controller, Severity};

use crate::documents::{VMDK, disk, envelope, item, system, usual};
use crate::manifests::manifest;
use crate::support::{Lab, usual_folder};

/// A finding by its code and its sentence.
fn told(code: &str, message: &str) -> (String, String) {
    (code.to_owned(), message.to_owned())
}

#[test]
fn two_disks_of_one_file_are_two_disks_with_one_content() {
    let lab = Lab::new();
    lab.file("web.ovf", usual("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\"")).file("a.vmdk", disk(1));
    assert!(lab.contents("web.ovf").unwrap() == [Some(disk(1)), Some(disk(1))]);
    let vm = lab.describe("web.ovf", None).unwrap();
    assert_eq!((vm.disks[0].unit, vm.disks[1].unit), (0, 1));
}

#[test]
fn sizes_below_zero_are_not_known() {
    let lab = Lab::new();
    let ovf = usual("ovf:href=\"a.vmdk\" ovf:size=\"-1\"", "ovf:href=\"b.vmdk\" ovf:chunkSize=\"-1\"")
        .replacen("ovf:capacity=\"2\"", "ovf:capacity=\"-1\" ovf:populatedSize=\"-1\"", 1)
        .replacen("AddressOnParent>1<", "AddressOnParent>-1<", 1);
    lab.file("web.ovf", ovf).file("a.vmdk", disk(1)).file("b.vmdk", disk(2));
    let vm = lab.describe("web.ovf", None).unwrap();
    let disks: Vec<_> = vm.disks.iter().map(|disk| (disk.name.as_str(), disk.unit, disk.capacity_bytes)).collect();
    assert_eq!(disks, [("a.vmdk", 0, 0), ("b.vmdk", 1, 1 << 30)]);
    lab.file("web.ovf", usual("ovf:href=\"a.vmdk\" ovf:size=\"-x\"", "ovf:href=\"b.vmdk\""));
    assert_eq!(lab.refusal("web.ovf").1, "DIR/web.ovf: the File 'f1' has a size that is no number");
}

#[test]
fn an_item_with_nothing_behind_it_is_an_empty_disk_or_left_out() {
    let lab = Lab::new();
    let hardware = [
        item(6, 1, "Address=0"),
        item(17, 2, "Parent=1 AddressOnParent=0 AllocationUnits=byte_*_2^20 VirtualQuantity=64"),
        item(17, 3, "Parent=1 AddressOnParent=1"),
        item(17, 4, "Parent=1 AddressOnParent=2 AllocationUnits=count VirtualQuantity=64"),
        item(17, 5, "Parent=1 AddressOnParent=3 HostResource=ovf:/file/f"),
    ];
    let files = "<File ovf:id=\"f\" ovf:href=\"a.vmdk\"/>";
    lab.file("web.ovf", envelope(files, "", &system("web", "Web", &hardware.concat()))).file("a.vmdk", disk(1));
    let vm = lab.describe("web.ovf", None).unwrap();
    let disks: Vec<_> = vm.disks.iter().map(|disk| (disk.controller, disk.unit, disk.capacity_bytes)).collect();
    assert_eq!(disks, [(Controller::Scsi, 0, 64 << 20), (Controller::Scsi, 3, 0)]);
    assert!(lab.contents("web.ovf").unwrap() == [None, Some(disk(1))]);
    assert_eq!(
        lab.findings("web.ovf"),
        [
            told("ovf-disk-without-content", "disk '3' names nothing behind it and states no size: it is left out"),
            told("ovf-disk-without-content", "disk '4' names nothing behind it and states no size: it is left out"),
        ]
    );
}

#[test]
fn a_disk_that_no_machine_has_is_told_of() {
    let lab = Lab::new();
    let files = "<File ovf:id=\"f\" ovf:href=\"a.vmdk\"/><File ovf:id=\"g\" ovf:href=\"b.vmdk\"/>";
    let disks = "<Disk ovf:diskId=\"d\" ovf:fileRef=\"f\"/><Disk ovf:diskId=\"e\" ovf:fileRef=\"g\"/><Disk ovf:diskId=\"none\"/>";
    lab.file("web.ovf", envelope(files, disks, &system("web", "Web", &item(17, 1, "HostResource=ovf:/disk/d"))))
        .file("a.vmdk", disk(1));
    assert_eq!(
        lab.findings("web.ovf"),
        [told(
            "ovf-disk-unused",
            "disk 'e' with the file 'b.vmdk' is in no virtual machine of the OVF, and is not moved"
        )]
    );
}

#[test]
fn a_disk_whose_file_a_machine_names_is_no_disk_that_nobody_has() {
    let lab = Lab::new();
    let files = "<File ovf:id=\"f\" ovf:href=\"a.vmdk\"/>";
    let disks = "<Disk ovf:diskId=\"d\" ovf:fileRef=\"f\"/>";
    lab.file("web.ovf", envelope(files, disks, &system("web", "Web", &item(17, 1, "HostResource=ovf:/file/f"))))
        .file("a.vmdk", disk(1));
    assert_eq!(lab.findings("web.ovf"), []);
    assert!(lab.contents("web.ovf").unwrap() == [Some(disk(1))]);
}

#[test]
fn numbered_files_are_revisions_unless_chunks_or_sizes_say_parts() {
    let whole = disk(1);
    let parts = [&whole[..60_000], &whole[60_000..120_000], &whole[120_000..]];
    let revisions = [&disk(3)[..], &disk(4)[..], &whole[..]];
    let parts_told =
        "'a.vmdk' is read as 3 parts of one file, because their sizes add up to the size that the OVF states";
    let revision_told = "of the 3 files that are numbered 'a.vmdk.*' the highest is read, 'a.vmdk.000000007': without a \
        chunkSize they are revisions of one disk";
    for (files, numbers, attributes, message) in [
        (parts, [0, 1, 2], "ovf:chunkSize=\"60000\"", None),
        (parts, [0, 1, 2], "ovf:size=\"150004\"", Some(parts_told)),
        (revisions, [0, 1, 7], "", Some(revision_told)),
        (revisions, [3, 5, 7], "ovf:size=\"150004\"", Some(revision_told)),
    ] {
        let lab = Lab::new();
        for (number, bytes) in numbers.iter().zip(files) {
            lab.file(&format!("in/a.vmdk.{number:09}"), bytes);
        }
        // Names that only look alike.
        lab.file("in/a.vmdk.99", "x").file("in/xa.vmdk.000000009", "x").file("in/b.vmdk", disk(2));
        lab.file("in/web.ovf", usual(&format!("ovf:href=\"a.vmdk\" {attributes}"), "ovf:href=\"b.vmdk\""));
        lab.run("in", "tar -cf ../web.ova .").run(".", "tar -cf bundle.tar web.ova");
        for name in ["in", "web.ova", "bundle.tar"] {
            assert!(lab.contents(name).unwrap() == [Some(whole.clone()), Some(disk(2))], "{name} {attributes}");
            assert_eq!(lab.describe(name, None).unwrap().disks[0].name, "a.vmdk");
            assert_eq!(
                lab.findings(name),
                message.into_iter().map(|message| told("ovf-numbered-files", message)).collect::<Vec<_>>(),
                "{name} {attributes}"
            );
        }
    }
    // Of compressed ones, too; and one alone is the disk.
    let lab = Lab::new();
    lab.file("in/a.vmdk", &whole).file("in/b.vmdk.000000004", disk(2)).run("in", "gzip -n a.vmdk");
    lab.run("in", "cp a.vmdk.gz a.vmdk.gz.000000000").run("in", "mv a.vmdk.gz a.vmdk.gz.000000001");
    lab.file("in/web.ovf", usual("ovf:href=\"a.vmdk.gz\" ovf:compression=\"gzip\"", "ovf:href=\"b.vmdk\""));
    assert!(lab.contents("in").unwrap() == [Some(whole), Some(disk(2))]);
}

#[test]
fn a_size_that_differs_is_told_where_a_digest_decides() {
    let lab = Lab::new();
    lab.file("in/web-disk1.vmdk", disk(1)).file("in/web-disk2.vmdk", disk(2));
    let ovf =
        |size: u64| usual(&format!("ovf:href=\"web-disk1.vmdk\" ovf:size=\"{size}\""), "ovf:href=\"web-disk2.vmdk\"");
    let differs = |size: u64| format!("its file 'web-disk1.vmdk' has 150004 bytes, and the OVF says {size}");
    // Without a digest a file that is longer is told of, and one that is shorter refused; a list of machines has it all the same.
    lab.file("in/web.ovf", ovf(150_000));
    assert_eq!(lab.findings("in"), [told("ovf-file-size", &differs(150_000))]);
    lab.file("in/web.ovf", ovf(150_008));
    assert_eq!(lab.refusal("in").1, format!("DIR/in/web.ovf: disk 'd1': {}", differs(150_008)));
    let listed = lab.inventory("in").unwrap();
    let disks: Vec<_> = listed[0].disks.iter().map(|disk| (disk.name.as_str(), disk.capacity_bytes)).collect();
    assert_eq!(disks, [("web-disk1.vmdk", 2 << 30), ("web-disk2.vmdk", 1 << 30)]);
    assert!(lab.paths(&listed[0])[0].is_none() && lab.paths(&listed[0])[1].is_some());
    assert_eq!(
        lab.told(&listed[0]),
        [told("ovf-disk-unreadable", &format!("DIR/in/web.ovf: disk 'd1': {}", differs(150_008)))]
    );
    assert_eq!(listed[0].findings[0].severity, Severity::Block);
    assert_eq!(listed[0].findings[0].hint, "the package is incomplete: copy it again");
    // With one both are told of, and it decides.
    for size in [150_000, 150_008] {
        lab.file("in/web.ovf", ovf(size));
        lab.file("in/web.mf", manifest(&lab, "in", "SHA256", &["web.ovf", "web-disk1.vmdk", "web-disk2.vmdk"]));
        assert_eq!(
            lab.findings("in"),
            [told(
                "ovf-file-size",
                &format!("{}; its digest in the manifest decides when it is copied", differs(size))
            )]
        );
        let vm = lab.describe("in", None).unwrap();
        assert!(lab.verify("in", &vm.disks[0]).unwrap());
        lab.file("in/web-disk1.vmdk", &disk(1)[..150_000]);
        assert!(lab.verify("in", &vm.disks[0]).is_err());
        lab.file("in/web-disk1.vmdk", disk(1));
    }
    // A machine that cannot be listed either: nobody says how large its disk is.
    let lab = Lab::new();
    lab.file("a.vmdk", disk(1)).file(
        "web.ovf",
        envelope(
            "<File ovf:id=\"f\" ovf:href=\"a.vmdk\" ovf:size=\"200000\"/>",
            &format!("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f\" ovf:format=\"{VMDK}\"/>"),
            &system("web", "Web", &item(17, 1, "HostResource=ovf:/disk/d")),
        ),
    );
    assert!(lab.inventory("web.ovf").is_err());
    usual_folder(&lab, "good");
    assert_eq!(lab.findings("good"), []);
}
