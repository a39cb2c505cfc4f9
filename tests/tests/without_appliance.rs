//! A guest that is looked into without an appliance: the plan is that of its folder, and where nobody can read it so, it is said why. Needs
//! mkfs.ext4 (e2fsprogs); starts no appliance.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::Command;

use vmdk2kvm_tests::{plugin_folder, private_folder, run_with};

const AUTO: [&str; 2] = ["--set", "inspect.reader=auto"];
const NATIVE: [&str; 2] = ["--set", "inspect.reader=native"];

/// A folder that looks like a Linux guest with something to fix.
fn populate(tree: &Path) {
    for folder in ["etc/network", "usr/bin", "lib/modules", "boot"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
    }
    fs::write(tree.join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    fs::write(tree.join("etc/fstab"), "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0 / ext4 defaults 0 1\n").unwrap();
    fs::write(tree.join("etc/network/interfaces"), "auto ens192\niface ens192 inet dhcp\n").unwrap();
}

fn image(tree: &Path, path: &Path, features: &str) {
    fs::File::create(path).unwrap().set_len(64 << 20).unwrap();
    let path_of_tools = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let made = Command::new("mkfs.ext4")
        .env("PATH", path_of_tools)
        .args(["-q", "-F", "-O", features, "-d", tree.to_str().unwrap(), path.to_str().unwrap()])
        .status();
    assert!(made.expect("mkfs.ext4 (package e2fsprogs)").success());
}

#[test]
fn a_plan_needs_no_appliance() {
    // Nothing that could start one is there.
    let bundle = plugin_folder(&["guestfs-offline-linux", "qemu-img"]);
    let (program, folder) = (bundle.path().join("vmdk2kvm"), private_folder());
    let (tree, disk) = (folder.path().join("tree"), folder.path().join("disk.raw"));
    populate(&tree);
    image(&tree, &disk, "metadata_csum");
    let disk = disk.to_str().unwrap();
    let plan = run_with(&program, &[&["plan", disk], &AUTO[..]].concat()).expect(0).json;
    let targets = |plan: &serde_json::Value| {
        let changes = plan["changes"].as_array().unwrap().iter();
        changes.map(|change| change["target"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(targets(&plan).contains(&"/etc/fstab".to_owned()), "{plan:#}");
    assert_eq!(plan["inspection"]["root"], "/dev/sda");
    let asked = run_with(&program, &[&["plan", disk], &NATIVE[..]].concat()).expect(0).json;
    assert_eq!(asked["changes"], plan["changes"]);
    let inspection = run_with(&program, &[&["inspect", disk], &AUTO[..]].concat()).expect(0).json;
    assert_eq!(inspection["os"]["distro"], "debian");
}

#[test]
fn who_asks_for_no_appliance_is_told_why_it_cannot_be() {
    let bundle = plugin_folder(&[]);
    let (program, folder) = (bundle.path().join("vmdk2kvm"), private_folder());
    let (tree, disk) = (folder.path().join("tree"), folder.path().join("disk.raw"));
    populate(&tree);
    image(&tree, &disk, "inline_data");
    let outcome = run_with(&program, &[&["plan", disk.to_str().unwrap()], &NATIVE[..]].concat()).expect(69);
    assert_eq!(outcome.message(), "/dev/sda: its incompatible features 0x8000 are not known");
}

#[test]
fn a_guest_that_needs_no_change_is_migrated_without_an_appliance() {
    let bundle = plugin_folder(&["guestfs-offline-linux"]);
    let (program, folder) = (bundle.path().join("vmdk2kvm"), private_folder());
    let (tree, disk, out) = (folder.path().join("tree"), folder.path().join("disk.raw"), folder.path().join("out"));
    populate(&tree);
    fs::write(tree.join("etc/fstab"), "UUID=5d1a2b3c-0000-4000-8000-00000000aa01 / ext4 defaults 0 1\n").unwrap();
    fs::remove_dir_all(tree.join("etc/network")).unwrap();
    image(&tree, &disk, "metadata_csum");
    let words = ["migrate", disk.to_str().unwrap(), "-o", out.to_str().unwrap(), "--skip", "test"];
    let moved = run_with(&program, &words).expect(0).json;
    assert_eq!((&moved["converged"], moved["changes"].as_array().unwrap().len()), (&true.into(), 0), "{moved:#}");
    let stage = |name: &str| moved["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == name).unwrap();
    assert!(stage("inspect")["plugin"].as_str().unwrap().starts_with("native-offline "), "{moved:#}");
    assert_eq!((&stage("inspect")["status"], &stage("fix")["status"]), (&"done".into(), &"unchanged".into()));
    assert_eq!(run_with(&program, &words).expect(0).json["images"], moved["images"], "again");
}

#[test]
fn a_guest_that_is_not_to_be_fixed_is_migrated_without_an_appliance() {
    let bundle = plugin_folder(&["guestfs-offline-linux"]);
    let (program, folder) = (bundle.path().join("vmdk2kvm"), private_folder());
    let (tree, disk, out) = (folder.path().join("tree"), folder.path().join("disk.raw"), folder.path().join("out"));
    populate(&tree);
    image(&tree, &disk, "metadata_csum");
    let words = ["migrate", disk.to_str().unwrap(), "-o", out.to_str().unwrap(), "--skip", "fix", "--skip", "test"];
    let moved = run_with(&program, &words).expect(0);
    assert_eq!(["inspect", "plan", "fix"].map(|stage| moved.status(stage)), ["done", "done", "skipped"]);
    assert_eq!(
        (&moved.json["converged"], moved.json["changes"].as_array().unwrap().len()),
        (&serde_json::Value::Null, 0)
    );
    // What would have been to do is said all the same.
    let codes: Vec<_> = moved.json["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert!(codes.contains(&&"fstab-unstable-device".into()), "{codes:?}");
    assert!(!moved.json["machine"].is_null());
}
