//! The same machine in every packing has the same description and the same bytes.

use crate::documents::{disk, usual};
use crate::support::{Lab, beneath, usual_folder};

/// Disk names, units and contents are those of the usual machine.
#[track_caller]
fn assert_usual(lab: &Lab, name: &str) {
    let vm = lab.describe(name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((vm.name.as_str(), vm.memory_bytes, vm.cpus.count), ("Web", 1 << 30, 2), "{name}");
    assert_eq!(vm.guessed, ["firmware"], "{name}");
    let disks: Vec<_> =
        vm.disks.iter().map(|disk| (disk.unit, disk.capacity_bytes, disk.ways[0].format.as_str())).collect();
    assert_eq!(disks, [(0, 2 << 30, "vmdk"), (1, 1 << 30, "vmdk")], "{name}");
    for disk in &vm.disks {
        assert!(beneath(&lab.root(), &disk.ways[0].object));
    }
    let contents = lab.contents(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(contents == [Some(disk(1)), Some(disk(2))], "{name}: other bytes");
    assert_eq!(lab.inventory(name).unwrap(), [vm], "{name}");
}

#[test]
fn every_tar_dialect_and_order_is_read_in_place() {
    let lab = Lab::new();
    usual_folder(&lab, "in");
    for (number, dialect) in ["v7", "ustar", "oldgnu", "gnu", "posix"].into_iter().enumerate() {
        let name = format!("{number}.ova");
        lab.run("in", &format!("tar --format={dialect} -cf ../{name} web.ovf web-disk1.vmdk web-disk2.vmdk"));
        assert_usual(&lab, &name);
    }
    lab.run("in", "tar -cf ../reversed.ova web-disk2.vmdk web-disk1.vmdk web.ovf");
    assert_usual(&lab, "reversed.ova");
    lab.run(".", "tar -cf folder.ova ./in")
        .run(".", "tar -cf plain.tar in/web.ovf in/web-disk1.vmdk in/web-disk2.vmdk");
    assert_usual(&lab, "folder.ova");
    assert_usual(&lab, "plain.tar");
}

#[test]
fn names_longer_than_a_header_are_read_in_every_dialect() {
    let lab = Lab::new();
    let long = format!("{}/{}", "folder-".repeat(20), "sub-".repeat(30));
    usual_folder(&lab, &format!("in/{long}"));
    // ustar splits a name at a slash, and this one has none at a place that suits.
    for dialect in ["gnu", "oldgnu", "posix"] {
        lab.run("in", &format!("tar --format={dialect} -cf ../{dialect}.ova ."));
        assert_usual(&lab, &format!("{dialect}.ova"));
    }
    usual_folder(&lab, &format!("split/{}", "folder-".repeat(12)));
    lab.run("split", &format!("tar --format=ustar -cf ../ustar.ova {}", "folder-".repeat(12)));
    assert_usual(&lab, "ustar.ova");
}

#[test]
fn compressed_archives_zips_and_folders_are_read() {
    let lab = Lab::new();
    usual_folder(&lab, "in");
    lab.run("in", "tar -czf ../web.tar.gz .").run("in", "tar -cJf ../web.tar.xz .").run("in", "tar -czf ../web.ova .");
    lab.run("in", "zip -q -0 ../stored.zip web-disk1.vmdk web.ovf web-disk2.vmdk")
        .run(".", "zip -q -r deflated.zip in");
    for name in ["web.tar.gz", "web.tar.xz", "web.ova", "stored.zip", "deflated.zip", "in", "in/web.ovf"] {
        assert_usual(&lab, name);
    }
}

#[test]
fn gzip_and_chunked_disks_are_joined_and_unpacked() {
    let lab = Lab::new();
    let chunked = |name: &str| {
        let whole = lab.read(&format!("in/{name}"));
        for (number, chunk) in whole.chunks(40_000).enumerate() {
            lab.file(&format!("in/{name}.{number:09}"), chunk);
        }
        std::fs::remove_file(lab.root().join("in").join(name)).unwrap();
        whole.len()
    };
    lab.file("in/a.vmdk", disk(1)).file("in/b.vmdk", disk(2)).run("in", "gzip -n b.vmdk");
    lab.file("in/web.ovf", usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk.gz\" ovf:compression=\"gzip\""));
    lab.run("in", "tar -cf ../gzip.ova .").run(".", "zip -q -r gzip.zip in");
    for name in ["gzip.ova", "gzip.zip", "in"] {
        assert_usual(&lab, name);
    }
    let (a, b) = (chunked("a.vmdk"), chunked("b.vmdk.gz"));
    let attributes =
        |name: &str, size: usize| format!("ovf:href=\"{name}\" ovf:size=\"{size}\" ovf:chunkSize=\"40000\"");
    let both = usual(&attributes("a.vmdk", a), &format!("{} ovf:compression=\"gzip\"", attributes("b.vmdk.gz", b)));
    lab.file("in/web.ovf", both).run("in", "tar -cf ../chunked.ova .");
    for name in ["chunked.ova", "in"] {
        assert_usual(&lab, name);
    }
    std::fs::remove_file(lab.root().join("in/a.vmdk.000000002")).unwrap();
    assert_eq!(
        lab.refusal("in").1,
        "DIR/in/web.ovf: disk 'd1': its file 'a.vmdk' has 80000 bytes, and the OVF says 150004"
    );
    lab.file("in/a.vmdk.000000002", b"short");
    lab.file("in/a.vmdk.000000003", [0; 40_000]);
    assert_eq!(lab.refusal("in").1, "DIR/in/web.ovf: disk 'd1': DIR/in/a.vmdk: its 4 chunks are not of one size");
}

#[test]
fn references_are_uris_and_names() {
    let lab = Lab::new();
    lab.file("in/my disk.vmdk", disk(1)).file("in/100%25.vmdk", disk(2));
    lab.file("in/web.ovf", usual("ovf:href=\"my%20disk.vmdk\"", "ovf:href=\"100%25.vmdk\""));
    assert_usual(&lab, "in");
    lab.run("in", "tar -cf ../web.ova .");
    assert_usual(&lab, "web.ova");
}

#[test]
fn the_only_file_of_a_name_in_another_case_is_it() {
    let lab = Lab::new();
    usual_folder(&lab, "in");
    lab.file("in/web.ovf", usual("ovf:href=\"Web-Disk1.VMDK\"", "ovf:href=\"web-disk2.vmdk\""));
    lab.run("in", "tar -cf ../web.ova .").run(".", "tar -cf bundle.tar web.ova");
    for name in ["in", "web.ova", "bundle.tar"] {
        assert_usual(&lab, name);
    }
    // Of two nobody knows which is meant.
    lab.run("in", "cp web-disk1.vmdk WEB-disk1.vmdk").run("in", "tar -cf ../two.ova .");
    assert_eq!(lab.refusal("in").1, "DIR/in/web.ovf: disk 'd1': DIR/in/Web-Disk1.VMDK: there is no such file");
    let expected = "DIR/two.ova/web.ovf: disk 'd1': DIR/two.ova/Web-Disk1.VMDK: there is no such file in the archive";
    assert_eq!(lab.refusal("two.ova").1, expected);
}
