//! Images made by QEMU, read as QEMU reads them.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use crate::builder::{expected, sparse};
use crate::memory::Images;

fn qemu(program: &str, folder: &Path, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(folder).output();
    let done = done.unwrap_or_else(|error| panic!("{program} (Debian package qemu-utils): {error}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What QEMU reads of an image.
fn content_by_qemu(folder: &Path, name: &str) -> Vec<u8> {
    qemu("qemu-img", folder, &["convert", "-t", "unsafe", "-f", "vpc", "-O", "raw", name, "by-qemu.raw"]);
    std::fs::read(folder.join("by-qemu.raw")).unwrap()
}

#[track_caller]
fn compare(folder: &Path, name: &str) -> String {
    let theirs = content_by_qemu(folder, name);
    let images = Images::default().with(name, std::fs::read(folder.join(name)).unwrap());
    let mut format = String::new();
    for piece in [1 << 20, 12_345] {
        let (ours, report) = images.read(name, piece).unwrap();
        assert_eq!(ours.len(), theirs.len());
        assert_eq!(ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs), None);
        format.clone_from(&report.links[0].format);
    }
    format
}

#[test]
fn fixed_and_dynamic_images_of_qemu() {
    let dir = tempfile::tempdir().unwrap();
    for (options, expected) in [
        ("subformat=dynamic,force_size=on", "vhd/dynamic"),
        ("subformat=dynamic", "vhd/dynamic"),
        ("subformat=fixed,force_size=on", "vhd/fixed"),
    ] {
        qemu("qemu-img", dir.path(), &["create", "-q", "-f", "vpc", "-o", options, "a.vhd", "21M"]);
        let writes = ["write -P 1 0 512", "write -P 2 1M 3M", "write -P 3 20M 4k", "write -P 4 4100k 513k"];
        let mut arguments = vec!["-t", "unsafe", "-f", "vpc"];
        arguments.extend(writes.iter().flat_map(|write| ["-c", write]));
        arguments.push("a.vhd");
        qemu("qemu-io", dir.path(), &arguments);
        assert_eq!(compare(dir.path(), "a.vhd"), expected, "{options}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Random dynamic images made here are to QEMU what they are to us.
    #[test]
    fn random_dynamic_images(sectors in prop::collection::vec((0_u64..4032, 1_u8..), 0..40)) {
        // A size that cylinders, heads and sectors give exactly: QEMU goes by these for an unknown creator.
        let capacity = 63 * 64 * 512;
        let dir = tempfile::tempdir().unwrap();
        let mut image = sparse(capacity, 1, None, &sectors);
        let end = image.len();
        for at in [0, end - 512] {
            image[at + 28..at + 32].copy_from_slice(b"win ");
            crate::builder::seal(&mut image[at..at + 512], 64);
        }
        std::fs::write(dir.path().join("a.vhd"), &image).unwrap();
        let (ours, _) = Images::default().with("a.vhd", image).read("a.vhd", 70_000).unwrap();
        prop_assert!(ours == expected(capacity, &[&sectors]));
        prop_assert!(ours == content_by_qemu(dir.path(), "a.vhd"));
    }
}
