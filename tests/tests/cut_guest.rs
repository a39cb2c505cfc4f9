//! Guests whose power was cut in mid-write: the plan without an appliance is that of an appliance, or it is said why one was needed. Requires root,
//! loop devices, sfdisk (fdisk), mkfs.xfs and xfs_io (xfsprogs); starts appliances.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vmdk2kvm_tests::{lab, private_folder, run, same_plans};

fn done(command: &mut Command) -> Vec<u8> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Does something in the filesystem at a place of a disk, and cuts it off: what is not on its way to the disk yet never gets there.
fn cut_while(disk: &Path, start: u64, work: impl FnOnce(&Path)) {
    let folder = private_folder();
    done(Command::new("mount").args(["-o", &format!("loop,offset={start}")]).arg(disk).arg(folder.path()));
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        work(folder.path());
        done(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(folder.path()));
    }));
    done(Command::new("umount").arg(folder.path()));
    worked.unwrap();
}

/// Puts a file in the place of another one, so that whoever reads it is sure to have it.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    File::open(&new).unwrap().sync_all().unwrap();
    fs::rename(&new, path).unwrap();
    File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
}

#[test]
fn a_guest_that_was_cut_off_has_the_same_plan_both_ways() {
    let guest = lab("bookworm-bios");
    let folder = private_folder();
    let disk = folder.path().join("disk.raw");
    done(Command::new("cp").arg("--sparse=always").arg(guest.folder.join("disk.raw")).arg(&disk));
    let table: Value = serde_json::from_slice(&done(Command::new("sfdisk").arg("--json").arg(&disk))).unwrap();
    let start = table["partitiontable"]["partitions"][0]["start"].as_u64().unwrap() * 512;
    cut_while(&disk, start, |root| {
        let fstab = root.join("etc/fstab");
        let known = fs::read_to_string(&fstab).unwrap();
        replace(&fstab, &format!("# written while the power was there\n{known}"));
        fs::write(root.join("etc/lost"), "never on the disk").unwrap();
    });
    let plan = |reader: &str| run(&["plan", disk.to_str().unwrap(), "--set", reader]).expect(0).json;
    let native = plan("inspect.reader=native");
    let fstab = native["changes"].as_array().unwrap().iter().find(|change| change["target"] == "/etc/fstab").unwrap();
    assert!(fstab["content"].to_string().contains("# written while the power was there"), "{fstab:#}");
    same_plans(&native, &plan("inspect.reader=appliance"));
}

#[test]
fn why_a_guest_that_was_cut_off_needs_an_appliance_is_said() {
    let folder = private_folder();
    let disk = folder.path().join("disk.raw");
    File::create(&disk).unwrap().set_len(320 << 20).unwrap();
    // Small filesystems are made for tests only, and mkfs.xfs wants to be told so.
    let small = ["TEST_DIR", "TEST_DEV", "QA_CHECK_FS"].map(|name| (name, "1"));
    done(Command::new("mkfs.xfs").arg("-q").arg(&disk).envs(small));
    cut_while(&disk, 0, |root| {
        for name in ["etc/network", "usr/bin", "lib/modules", "boot"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::write(root.join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
        replace(&root.join("etc/fstab"), "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0 / xfs defaults 0 1\n");
    });
    let plan = run(&["plan", disk.to_str().unwrap()]).expect(0).json;
    let changes = plan["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["target"] == "/etc/fstab"), "{plan:#}");
    let findings = plan["findings"].as_array().unwrap();
    let why = findings.iter().find(|finding| finding["code"] == "read-by-appliance").unwrap();
    assert_eq!(
        why["message"],
        "the guest was read by an appliance (native-offline 0.1.0: /dev/sda: its log holds changes that have to be replayed, as after a power cut)"
    );
}
