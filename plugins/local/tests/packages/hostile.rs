//! What is refused, with exit code and sentence: each case is a file made here.

use tar::{EntryType, Header};
use vmdk2kvm_plugin_api::ErrorKind;

use crate::support::{Lab, VMDK, disk, envelope, item, system, usual};

/// A member of a tar: header with whatever is wrong with it, and data.
fn member(name: &[u8], kind: EntryType, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    finish(header, data)
}

fn finish(mut header: Header, data: &[u8]) -> Vec<u8> {
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    member(name.as_bytes(), EntryType::Regular, data.len() as u64, data)
}

fn pax(records: &str) -> Vec<u8> {
    let lines: String = records
        .split(';')
        .map(|record| {
            let mut length = record.len() + 3;
            while format!("{length} {record}\n").len() != length {
                length += 1;
            }
            format!("{length} {record}\n")
        })
        .collect();
    member(b"x", EntryType::XHeader, lines.len() as u64, lines.as_bytes())
}

fn sparse(map: &[(u64, u64)], real: u64, stored: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..4].copy_from_slice(b"disk");
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(stored.len() as u64);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(real);
    for (slot, (offset, length)) in gnu.sparse.iter_mut().zip(map) {
        slot.set_offset(*offset);
        slot.set_length(*length);
    }
    finish(header, stored)
}

#[test]
fn tars_that_cannot_be_trusted_are_refused() {
    let ovf = file("web.ovf", usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\"").as_bytes());
    let with = |member: Vec<u8>| [ovf.clone(), member].concat();
    let link = |kind| member(b"a.vmdk", kind, 0, b"");
    let mut torn = file("a.vmdk", b"data");
    torn[0] ^= 1;
    let records: Vec<u8> = (0..20).flat_map(|_| pax("comment=x")).collect();
    let at = ovf.len();
    for (number, (bytes, expected)) in [
        (with(file("../a.vmdk", b"x")), "the name '../a.vmdk' is refused: it is a path that leads outside of its folder".to_owned()),
        (with(file("sub/../../a", b"x")), "the name 'sub/../../a' is refused: it is a path that leads outside of its folder".into()),
        (with(file("/etc/passwd", b"x")), "the name '/etc/passwd' is refused: it is an absolute path".into()),
        (with(file("C:\\a.vmdk", b"x")), "the name 'C:\\a.vmdk' is refused: it is an absolute path of a Windows machine".into()),
        (with(member(b"a\xff", EntryType::Regular, 0, b"")), "the member 'a\\xff' has a name that is not UTF-8".into()),
        (with(pax("path=../../x;comment=y")), String::new()),
        (with([pax("path=../../x"), file("ok", b"x")].concat()), "the name '../../x' is refused: it is a path that leads outside of its folder".into()),
        (with([file("a", b"x"), file("./a", b"x")].concat()), "the archive has two members called 'a'".into()),
        (with([file("a", b"x"), file("a/b", b"x")].concat()), "'a' is a file and a folder at once".into()),
        (with(link(EntryType::Symlink)), "its member 'a.vmdk' is a symbolic link, not a file".into()),
        (with(link(EntryType::Link)), "its member 'a.vmdk' is a hard link, not a file".into()),
        (with(link(EntryType::Char)), "its member 'a.vmdk' is a character device, not a file".into()),
        (with(link(EntryType::Block)), "its member 'a.vmdk' is a block device, not a file".into()),
        (with(link(EntryType::Fifo)), "its member 'a.vmdk' is a FIFO, not a file".into()),
        (with(link(EntryType::new(b'M'))), "its member 'a.vmdk' is the rest of a file of another archive, not a file".into()),
        (with(link(EntryType::new(b'?'))), "its member 'a.vmdk' is of an unknown kind, not a file".into()),
        (with(member(b"a.vmdk", EntryType::Regular, 1 << 40, b"x")), format!("its member 'a.vmdk' of 1099511627776 bytes ends past the end of the archive, which has {} bytes", at + 1024)),
        (with(member(b"a.vmdk", EntryType::Regular, u64::MAX, b"x")), format!("its member 'a.vmdk' of 18446744073709551615 bytes ends past the end of the archive, which has {} bytes", at + 1024)),
        (with([pax("size=99999999"), file("a", b"x")].concat()), format!("its member 'a' of 99999999 bytes ends past the end of the archive, which has {} bytes", at + 2048)),
        (with([pax("size=-1"), file("a", b"x")].concat()), format!("the tar is damaged at offset {}: a member's size is no number", at + 512)),
        (with(torn), format!("the tar is damaged at offset {at}: a header's checksum is wrong")),
        (with(vec![1; 100]), format!("the tar is damaged at offset {at}: the archive ends in the midst of a header")),
        (with(member(b"x", EntryType::GNULongName, 2 << 20, &[b'a'; 2 << 20])), format!("the tar is damaged at offset {}: an extension record of 2097152 bytes; the limits are 1048576 bytes and 16 in a row", at + 512)),
        (with(records), format!("the tar is damaged at offset {}: an extension record of 13 bytes; the limits are 1048576 bytes and 16 in a row", at + 512 + 16 * 1024)),
        (with(sparse(&[(0, 512), (256, 512)], 2048, &[1; 1024])), "disk: its 512 bytes at offset 256 do not lie inside of the file they are stored in, or overlap others".into()),
        (with(sparse(&[(0, 1 << 30)], 2048, &[1; 1024])), format!("disk: the tar is damaged at offset {}: the map of a sparse member names more than is stored", at + 512)),
        (with(sparse(&[(4096, 512)], 2048, &[1; 512])), "disk: its 512 bytes at offset 4096 do not lie inside of the file they are stored in, or overlap others".into()),
        (with([pax("GNU.sparse.major=1;GNU.sparse.realsize=9"), file("a", b"99999999999999999999999")].concat()), format!("a: the tar is damaged at offset {}: the map in front of a sparse member is malformed", at + 1536)),
        (with([pax("GNU.sparse.major=1;GNU.sparse.realsize=9"), file("a", b"2000000\n")].concat()), String::new()),
        (with([pax("GNU.sparse.map=0,x;GNU.sparse.size=9"), file("a", b"99")].concat()), format!("a: the tar is damaged at offset {}: the map of a sparse member holds no number", at + 1024)),
        (with([pax("GNU.sparse.numblocks=1;GNU.sparse.size=9"), file("a", b"99")].concat()), "a: it is stored as a sparse file of a version that is not known".into()),
    ]
    .into_iter()
    .enumerate()
    {
        let lab = Lab::new();
        lab.file("web.ova", bytes);
        let (code, message) = lab.refusal("web.ova");
        assert_eq!(code, 65, "case {number}");
        let message = message.replace("DIR/web.ova/", "").replace("DIR/web.ova: ", "");
        assert!(expected.is_empty() || message == expected, "case {number}: {message}\nexpected: {expected}");
    }
}

#[test]
fn zips_that_cannot_be_trusted_are_refused() {
    let lab = Lab::new();
    lab.file("web.ovf", usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\""))
        .file("a.vmdk", disk(1))
        .file("b.vmdk", disk(2));
    lab.run(".", "zip -q good.zip web.ovf a.vmdk b.vmdk");
    let good = lab.read("good.zip");
    assert!(lab.contents("good.zip").is_ok());
    let replaced = |from: &[u8], to: &[u8]| {
        let mut bytes = good.clone();
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from) {
            bytes[at + found..at + found + from.len()].copy_from_slice(to);
            at += found + from.len();
        }
        bytes
    };
    // The last byte of the deflated second disk, before the directory.
    let directory = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mut flipped = good.clone();
    flipped[directory - 100] ^= 1;
    std::os::unix::fs::symlink("/etc/passwd", lab.root().join("link.vmdk")).unwrap();
    lab.run(".", "zip -q -y link.zip web.ovf link.vmdk").run(".", "zip -q -P secret locked.zip web.ovf");
    lab.file("outside.zip", replaced(b"a.vmdk", b"../etc")).file("twice.zip", replaced(b"a.vmdk", b"b.vmdk"));
    lab.file("cut.zip", &good[..good.len() / 2]).file("flipped.zip", flipped);
    for (name, expected) in [
        ("outside.zip", "DIR/outside.zip: the name '../etc' is refused: it is a path that leads outside of its folder"),
        ("twice.zip", "DIR/twice.zip: the archive has two members called 'b.vmdk'"),
        ("link.zip", "DIR/link.zip: its member 'link.vmdk' is a link or a device, not a file"),
        ("locked.zip", "DIR/locked.zip: its member 'web.ovf' is encrypted"),
        ("cut.zip", "DIR/cut.zip: the ZIP is damaged or cut off ("),
        (
            "flipped.zip",
            "DIR/flipped.zip/web.ovf: disk 'd2': DIR/flipped.zip/b.vmdk: the compressed data is damaged or cut off (",
        ),
    ] {
        let (code, message) = lab.refusal(name);
        assert!(message.starts_with(expected), "{name}: {message}");
        assert_eq!(code, 65, "{name}");
    }
}

#[test]
fn compressed_files_that_are_damaged_are_refused() {
    let lab = Lab::new();
    lab.file("web.raw", vec![7; 1 << 20])
        .run(".", "gzip -nk web.raw")
        .run(".", "xz -k web.raw")
        .run(".", "tar -czf web.tar.gz web.raw");
    for name in ["web.raw.gz", "web.raw.xz", "web.tar.gz"] {
        let good = lab.read(name);
        lab.file(&format!("cut-{name}"), &good[..good.len() - 9]);
        let (code, message) = lab.refusal(&format!("cut-{name}"));
        assert_eq!(code, 65);
        assert!(
            message.starts_with(&format!("DIR/cut-{name}: the compressed data is damaged or cut off (")),
            "{message}"
        );
    }
}

#[test]
fn ovfs_that_make_no_sense_are_refused_by_what_is_wrong() {
    let lab = Lab::new();
    lab.file("a.vmdk", disk(1))
        .file("b.vmdk", disk(2))
        .file("text.vmdk", "text")
        .file("empty.vmdk", "")
        .file("sub/c.vmdk", disk(3));
    std::os::unix::fs::symlink("/etc/passwd", lab.root().join("link.vmdk")).unwrap();
    let href = |first: &str| usual(&format!("ovf:href=\"{first}\""), "ovf:href=\"b.vmdk\"");
    let hardware = |items: &str| {
        let disks = format!("<Disk ovf:diskId=\"d\" ovf:fileRef=\"f\" ovf:format=\"{VMDK}\"/>");
        envelope("<File ovf:id=\"f\" ovf:href=\"a.vmdk\"/>", &disks, &system("web", "Web", items))
    };
    let disks = |disks: &str| {
        envelope(
            "<File ovf:id=\"f\" ovf:href=\"a.vmdk\"/>",
            disks,
            &system("web", "Web", &item(17, 1, "HostResource=ovf:/disk/d")),
        )
    };
    let good = href("a.vmdk");
    for (ovf, expected) in [
        (href("/etc/passwd"), "disk 'd1': DIR/web.ovf: the name '/etc/passwd' is refused: it is an absolute path"),
        (
            href("../a.vmdk"),
            "disk 'd1': DIR/web.ovf: the name '../a.vmdk' is refused: it is a path that leads outside of its folder",
        ),
        (href("%2e%2e/a.vmdk"), "disk 'd1': DIR/%2e%2e/a.vmdk: there is no such file"),
        (
            href("http://host/a.vmdk"),
            "disk 'd1': its file 'http://host/a.vmdk' is an address, not a file of the package",
        ),
        (href("missing.vmdk"), "disk 'd1': DIR/missing.vmdk: there is no such file"),
        (
            href("link.vmdk"),
            "disk 'd1': DIR/link.vmdk: it is a symbolic link, which is not followed, not a regular file",
        ),
        (href("sub"), "disk 'd1': DIR/sub: it is a folder, not a regular file"),
        (
            href("text.vmdk"),
            "disk 'd1': DIR/text.vmdk: its package declares it as vmdk, and it does not begin like one",
        ),
        (href("empty.vmdk"), "disk 'd1': DIR/empty.vmdk: the file is empty"),
        (href("b.vmdk"), "disk 'd2': another disk has the same file"),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:size=\"200000\""),
            "disk 'd1': its file 'a.vmdk' has 150004 bytes, and the OVF says 200000",
        ),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:size=\"x\""),
            "the File 'f1' has a size that is no number",
        ),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:compression=\"bzip2\""),
            "the File 'f1' is compressed by 'bzip2'; gzip is read",
        ),
        (
            good.replace("ovf:href=\"a.vmdk\"", "ovf:href=\"a.vmdk\" ovf:compression=\"gzip\""),
            "disk 'd1': 'a.vmdk' is said to be compressed by gzip, and is not",
        ),
        (good.replace("ovf:href=\"a.vmdk\"", ""), "the File 'f1' has no href"),
        (good.replace("\"f2\"", "\"f1\""), "two Files have the id 'f1'"),
        (
            good.replace("ovf:fileRef=\"f1\"", "ovf:fileRef=\"f9\""),
            "disk 'd1' names the file 'f9', which References does not have",
        ),
        (good.replace("\"d2\"", "\"d1\""), "two Disks have the id 'd1'"),
        (
            disks("<Disk ovf:diskId=\"d\" ovf:capacity=\"1\" ovf:parentRef=\"p\"/>"),
            "disk 'd' is a delta on 'p', and deltas between the disks of a package are not read",
        ),
        (disks("<Disk ovf:diskId=\"d\"/>"), "disk 'd': it has neither a file nor a capacity"),
        (
            disks("<Disk ovf:diskId=\"d\" ovf:capacity=\"9\" ovf:capacityAllocationUnits=\"byte * 2^63\"/>"),
            "disk 'd' has a capacity of '9 byte * 2^63', which is no amount",
        ),
        (
            disks("<Disk ovf:diskId=\"d\" ovf:capacity=\"${size}\"/>"),
            "disk 'd' has a capacity of '${size} byte', which is no amount",
        ),
        (disks("<Disk/>"), "a Disk has no diskId"),
        (hardware("<Item><rasd:ResourceType>3</rasd:ResourceType></Item>"), "an item of hardware has no InstanceID"),
        (
            hardware("<Item><rasd:InstanceID>1</rasd:InstanceID></Item>"),
            "the item '1' has a ResourceType that is missing or no number",
        ),
        (hardware(&[item(3, 1, ""), item(4, 1, "")].concat()), "two items have the InstanceID '1'"),
        (hardware(&item(17, 1, "")), "disk '1' names nothing behind it"),
        (
            hardware(&item(17, 1, "HostResource=ovf:/disk/x")),
            "disk '1' names 'ovf:/disk/x', which the package does not have",
        ),
        (
            hardware(&item(17, 1, "AddressOnParent=x HostResource=ovf:/disk/d")),
            "the item '1' has the AddressOnParent 'x', which is no number",
        ),
        (
            hardware(
                &[
                    item(6, 1, ""),
                    item(17, 2, "Parent=1 AddressOnParent=0 HostResource=ovf:/disk/d"),
                    item(17, 3, "Parent=1 AddressOnParent=0 HostResource=ovf:/file/f"),
                ]
                .concat(),
            ),
            "two disks are on place 0 of one controller; the second is '3'",
        ),
        (
            hardware(&item(3, 1, "VirtualQuantity=0")),
            "the item '1' has the VirtualQuantity '0', not a number between 1 and 4096",
        ),
        (
            hardware(&item(4, 1, "VirtualQuantity=9 AllocationUnits=furlongs")),
            "its memory of '9 furlongs' is no amount of at most 70368744177664 bytes",
        ),
        (
            hardware(&item(4, 1, "VirtualQuantity=99 AllocationUnits=byte_*_2^60")),
            "its memory of '99 byte * 2^60' is no amount of at most 70368744177664 bytes",
        ),
        ("<Envelope ><References/></Envelope>".into(), "it describes no virtual machine"),
        ("<Envelope ></Envelope>".into(), "its root element is 'Envelope', not an Envelope with content"),
        ("<Envelope ><References>".into(), "its XML is malformed: the root node was opened but never closed"),
        (
            "<!DOCTYPE x [<!ENTITY e SYSTEM \"/etc/passwd\">]><Envelope >&e;</Envelope>".into(),
            "it has a document type, which is refused: entities could name other files",
        ),
        (format!("<Envelope >{}", "<a>".repeat(1000)), "its elements are nested more than 64 deep"),
        (format!("<Envelope >{}", " ".repeat(17 << 20)), "an OVF of 17825803 bytes; the limit is 16777216"),
    ] {
        lab.file("web.ovf", ovf);
        let (code, message) = lab.refusal("web.ovf");
        assert_eq!((code, message), (65, format!("DIR/web.ovf: {expected}")));
    }
}

#[test]
fn members_of_an_archive_cannot_reach_outside_of_it() {
    let lab = Lab::new();
    lab.file("secret.vmdk", disk(9))
        .file("in/web.ovf", usual("ovf:href=\"../secret.vmdk\"", "ovf:href=\"b.vmdk\""))
        .file("in/b.vmdk", disk(2));
    lab.run("in", "tar -cf ../web.ova web.ovf b.vmdk");
    let expected = "DIR/web.ova/web.ovf: disk 'd1': DIR/web.ova/web.ovf: the name '../secret.vmdk' is refused: it is a path that leads outside of its folder";
    assert_eq!(lab.refusal("web.ova").1, expected);
    let transport = lab.transport("web.ova");
    let object = |name: &str| lab.root().join(name).to_str().unwrap().to_owned();
    for outside in ["web.ova/../secret.vmdk", "web.ova/nothing", "web.ova/b.vmdk/x"] {
        let error = transport.open(&object(outside)).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unusable, "{outside}: {error}");
    }
    assert_eq!(transport.resolve(&object("web.ova/b.vmdk"), "web.ovf").unwrap(), object("web.ova/web.ovf"));
    assert!(transport.resolve(&object("web.ova/b.vmdk"), "../secret.vmdk").is_err());
}
