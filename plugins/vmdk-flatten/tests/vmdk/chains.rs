//! Snapshot chains across the subformats, compared with qemu's reading, and the chains that must be refused.

use std::path::Path;

use crate::support::{assert_same, failure, flatten, qemu, read_all};
use vmdk2kvm_plugin_api::{ErrorKind, ExtentKind};

/// A base with a pattern in its first 40 MiB.
fn base(folder: &Path, name: &str, subformat: &str) {
    qemu::create(folder, "base.seed", "subformat=monolithicSparse", "64M");
    qemu::io(folder, "base.seed", &["write -P 1 0 40M", "write -P 2 1M 100k"]);
    let options = format!("subformat={subformat}");
    qemu::run(folder, "qemu-img", &["convert", "-f", "vmdk", "-O", "vmdk", "-o", &options, "base.seed", name]);
}

#[test]
fn children_of_every_subformat() {
    for subformat in
        ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"]
    {
        for above in ["monolithicSparse", "twoGbMaxExtentSparse"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            base(path, "base.vmdk", subformat);
            qemu::child(path, "mid.vmdk", &format!("subformat={above}"), "base.vmdk", None);
            qemu::io(path, "mid.vmdk", &["write -P 3 2M 200k", "write -P 4 50M 1M"]);
            qemu::child(path, "top.vmdk", "subformat=monolithicSparse,zeroed_grain=on", "mid.vmdk", None);
            qemu::io(path, "top.vmdk", &["write -P 5 2100k 4k", "write -z 3M 1M", "write -P 6 63M 1M"]);
            qemu::to_raw(path, "top.vmdk", "top.raw");
            let flat = flatten(path, "top.vmdk").unwrap();
            assert_same(&*flat.source, &path.join("top.raw"));
            let links = &flat.report.links;
            let objects: Vec<_> = links.iter().map(|link| link.object.as_str()).collect();
            assert_eq!(objects, ["top.vmdk", "mid.vmdk", "base.vmdk"]);
            assert_eq!(links[0].parent_content_id, links[1].content_id);
            assert_eq!(links[1].parent_content_id, links[2].content_id);
            assert_eq!(links[2].parent_content_id.as_deref(), Some("ffffffff"));
            assert_eq!(links[1].format, format!("vmdk/{above}"));
            assert_eq!(links[2].format, format!("vmdk/{subformat}"));
            let map = flat.source.extents(3 << 20, 1 << 20).unwrap();
            assert_eq!((map.len(), map[0].kind), (1, ExtentKind::Zero), "zeroed in the child, data in the base");
        }
    }
}

#[test]
fn the_serial_is_that_of_the_nearest_link_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let link = |name: &str, ids: &str, uuid: &str| {
        let uuid = if uuid.is_empty() { String::new() } else { format!("ddb.uuid = \"{uuid}\"\n") };
        let text = format!("# Disk DescriptorFile\nversion=1\n{ids}createType=\"monolithicFlat\"\nRW 8 ZERO\n{uuid}");
        std::fs::write(path.join(name), text).unwrap();
    };
    let serial = || flatten(path, "top.vmdk").unwrap().report.serial;
    link("base.vmdk", "CID=1\nparentCID=ffffffff\n", "60 00 C2 9f 0b 1c 2d 3e-4f 5a 6b 7c 8d 9e 0f 1a");
    link("top.vmdk", "CID=2\nparentCID=1\nparentFileNameHint=\"base.vmdk\"\n", "");
    assert_eq!(serial().as_deref(), Some("6000c29f0b1c2d3e4f5a6b7c8d9e0f1a"));
    link(
        "top.vmdk",
        "CID=2\nparentCID=1\nparentFileNameHint=\"base.vmdk\"\n",
        "60 00 C2 90 00 00 00 00-00 00 00 00 00 00 00 02",
    );
    assert_eq!(serial().as_deref(), Some("6000c290000000000000000000000002"));
    link("top.vmdk", "CID=2\nparentCID=ffffffff\n", "");
    assert_eq!(serial(), None);
}

#[test]
fn a_grown_child_is_zero_past_its_parents_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    base(path, "base.vmdk", "monolithicFlat");
    qemu::child(path, "top.vmdk", "subformat=monolithicSparse", "base.vmdk", Some("96M"));
    qemu::io(path, "top.vmdk", &["write -P 5 60M 1M", "write -P 6 90M 64k"]);
    qemu::to_raw(path, "top.vmdk", "top.raw");
    let flat = flatten(path, "top.vmdk").unwrap();
    assert_eq!(flat.report.capacity_bytes, 96 << 20);
    assert_same(&*flat.source, &path.join("top.raw"));
    assert_eq!(read_all(&*flat.source).unwrap(), std::fs::read(path.join("top.raw")).unwrap());
    assert_eq!(flat.source.extents(95 << 20, 1 << 20).unwrap()[0].kind, ExtentKind::Hole);
}

/// Replaces text in a file, keeping its length.
fn patch(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_parent_that_was_written_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    base(path, "base.vmdk", "monolithicSparse");
    qemu::child(path, "top.vmdk", "subformat=monolithicSparse", "base.vmdk", None);
    let parent = flatten(path, "base.vmdk").unwrap().report.links[0].content_id.clone().unwrap();
    // qemu writes it without leading zeros.
    let written = parent.trim_start_matches('0');
    let other = &"badcafed"[..written.len()];
    patch(&path.join("base.vmdk"), &format!("\nCID={written}\n"), &format!("\nCID={other}\n"));
    let error = failure(path, "top.vmdk");
    assert_eq!(error.kind, ErrorKind::Unusable);
    assert_eq!(
        error.message,
        format!("top.vmdk: it was made on a parent with content id {parent}, and base.vmdk has {other:0>8}")
    );
    assert!(error.hint.unwrap().contains("restore the one that belongs to it"));
}

#[test]
fn a_missing_parent_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    base(path, "base.vmdk", "monolithicSparse");
    qemu::child(path, "top.vmdk", "subformat=monolithicSparse", "base.vmdk", None);
    std::fs::remove_file(path.join("base.vmdk")).unwrap();
    let error = failure(path, "top.vmdk");
    assert_eq!(error.message, "top.vmdk: its parent base.vmdk: base.vmdk: No such file or directory (os error 2)");
    assert!(error.hint.unwrap().contains("parentFileNameHint"));
}

#[test]
fn a_parent_outside_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    base(path, "base.vmdk", "monolithicSparse");
    qemu::child(path, "top.vmdk", "subformat=monolithicSparse", "base.vmdk", None);
    for name in ["/etc/pass", "../b.vmdk"] {
        std::fs::copy(path.join("top.vmdk"), path.join("bad.vmdk")).unwrap();
        patch(&path.join("bad.vmdk"), "=\"base.vmdk\"", &format!("=\"{name}\""));
        assert_eq!(
            failure(path, "bad.vmdk").message,
            format!("bad.vmdk: its parent {name}: {name}: leads outside of the source's folder")
        );
    }
}

/// A descriptor of a disk of zeros.
fn zeros(folder: &Path, name: &str, cid: &str, parent: Option<(&str, &str)>, sectors: u64) {
    let (parent_cid, hint) = match parent {
        Some((cid, name)) => (cid, format!("parentFileNameHint=\"{name}\"\n")),
        None => ("ffffffff", String::new()),
    };
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID={cid}\nparentCID={parent_cid}\ncreateType=\"monolithicSparse\"\n{hint}RW {sectors} ZERO\n"
    );
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn loops_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    zeros(path, "self.vmdk", "1", Some(("1", "./self.vmdk")), 8);
    zeros(path, "a.vmdk", "1", Some(("2", "b.vmdk")), 8);
    zeros(path, "b.vmdk", "2", Some(("1", "a.vmdk")), 8);
    assert_eq!(
        failure(path, "self.vmdk").message,
        "self.vmdk: its parent self.vmdk is already part of the chain: the chain is a loop"
    );
    assert_eq!(
        failure(path, "a.vmdk").message,
        "b.vmdk: its parent a.vmdk is already part of the chain: the chain is a loop"
    );
}

#[test]
fn the_depth_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    zeros(path, "0", "7", None, 8);
    for number in 1..=255 {
        zeros(path, &number.to_string(), "7", Some(("7", &(number - 1).to_string())), 8);
    }
    let longest = flatten(path, "254").unwrap();
    assert_eq!(longest.report.links.len(), 255);
    assert_eq!(read_all(&*longest.source).unwrap(), [0; 4096]);
    assert_eq!(failure(path, "255").message, "255: its chain of snapshots has more than 255 links");
}

#[test]
fn a_shrunk_child_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    zeros(folder.path(), "base", "7", None, 16);
    zeros(folder.path(), "top", "8", Some(("7", "base")), 8);
    assert_eq!(
        failure(folder.path(), "top").message,
        "top: its capacity of 4096 bytes is smaller than the 8192 bytes of its parent base"
    );
}
