//! Larger disks: the image gets the new size, the guest's bytes stay, and what cannot be is refused with the reason.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_tests::{lone_program, private_folder, run, run_with};

const MIB: u64 = 1 << 20;

/// Two disks, `a.raw` and `b.raw`, of one MiB each.
fn disks() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, seed) in [("a.raw", 1), ("b.raw", 2)] {
        fs::write(folder.path().join(name), vec![seed; MIB as usize]).unwrap();
    }
    folder
}

fn flatten(folder: &Path, more: &[&str]) -> vmdk2kvm_tests::Outcome {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (a, b, out) = (path("a.raw"), path("b.raw"), path("out"));
    run(&[&["flatten", &a, "--disk", &b, "-o", &out], more].concat())
}

#[test]
fn images_get_the_new_size_and_keep_the_bytes() {
    for format in ["raw", "qcow2", "vdi"] {
        let folder = disks();
        let report =
            flatten(folder.path(), &["--format", format, "--resize", "1=+3M", "--resize", "b.raw=2M"]).expect(0).json;
        let warnings = report["warnings"].to_string();
        assert!(
            warnings.contains("a.raw grows from 1.00 MiB to 4.00 MiB, and what is on it keeps its size"),
            "{warnings}"
        );
        for (index, (size, seed)) in [(4 * MIB, 1), (2 * MIB, 2)].into_iter().enumerate() {
            assert_eq!(report["images"][index]["virtual_size"], size);
            let image = folder.path().join("out").join(report["images"][index]["path"].as_str().unwrap());
            let raw = folder.path().join("content");
            let read = Command::new("qemu-img")
                .args(["convert", "-f", format, "-O", "raw"])
                .args([&image, &raw])
                .status()
                .expect("qemu-img (package qemu-utils)");
            assert!(read.success());
            let mut expected = vec![seed; MIB as usize];
            expected.resize(size as usize, 0);
            assert!(fs::read(&raw).unwrap() == expected, "{format}, disk {}", index + 1);
        }
        assert_eq!(fs::metadata(folder.path().join("a.raw")).unwrap().len(), MIB, "the source grew");
    }
}

#[test]
fn what_cannot_be_resized_is_refused_with_the_reason() {
    let folder = disks();
    for (resizes, said) in [
        (
            ["1=512K"].as_slice(),
            "a.raw has 1.00 MiB and cannot get 512 KiB: a smaller disk would lose what lies behind its end",
        ),
        (&["3=+1M"], "no disk is called `3`, to be resized"),
        (&["c\n.raw=+1M"], "no disk is called `c\\n.raw`, to be resized"),
        (&["1=+1M", "a.raw=5M"], "a.raw is resized twice"),
        (&["1=+1000"], "1000 is no whole number of sectors of 512 bytes"),
    ] {
        let arguments: Vec<&str> = resizes.iter().flat_map(|resize| ["--resize", *resize]).collect();
        let refused = flatten(folder.path(), &arguments).expect(2);
        assert!(refused.message().contains(said), "{}", refused.message());
        assert_eq!(refused.json["images"], Value::Null);
        assert!(!folder.path().join("out").exists());
    }
    let setting = flatten(folder.path(), &["--set", "resize=[\"1\"]"]).expect(78);
    assert!(
        setting.message().ends_with("must be a list of DISK=SIZE, e.g. 1=+20G, not the list [\"1\"]"),
        "{setting:?}"
    );
}

/// A run with another size is another job: it does not take the former one's images for its own.
#[test]
fn another_size_is_another_result() {
    let folder = disks();
    flatten(folder.path(), &[]).expect(0);
    flatten(folder.path(), &["--resize", "1=+1M"]).expect(73);
}

/// `apply` takes the size from the plan, on a machine in memory.
#[test]
fn a_saved_plan_holds_the_size() {
    let (program, folder) = (lone_program(), private_folder());
    let program = program.path().join("vmdk2kvm");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let planned = run_with(&program, &["plan", "bad:vm", "--resize", "1=+1M", "--out", &path("plan.json")]).expect(0);
    assert_eq!(planned.json["vm"]["disks"][0]["capacity_bytes"], 2 * MIB);
    let report = run_with(&program, &["apply", &path("plan.json"), "-o", &path("out")]).expect(0).json;
    assert_eq!(report["images"][0]["virtual_size"], 2 * MIB);
    assert_eq!(report["vm"]["disks"][0]["capacity_bytes"], 2 * MIB);
}
