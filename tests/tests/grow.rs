//! Larger disks of real guests: what the root lies on takes the new room where it can, in the image alone, and what cannot grow is said.
//! Requires guestfish (libguestfs-tools) and sfdisk (fdisk) beside the needs of a migration.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{lab, run};

const GIB: u64 = 1 << 30;

fn output(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("LIBGUESTFS_BACKEND", "direct")
        // A KVM that is there need not work.
        .env("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
        .output()
        .unwrap_or_else(|error| panic!("this test requires {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The partition table of a raw image, and its last partition's size in sectors taken out of it.
fn table(disk: &Path) -> (Value, u64) {
    let text = output("sfdisk", &["--json", disk.to_str().unwrap()]);
    let mut table = serde_json::from_str::<Value>(&text).unwrap()["partitiontable"].take();
    let partitions = table["partitions"].as_array_mut().unwrap();
    let size = partitions.last_mut().unwrap()["size"].take().as_u64().unwrap();
    for partition in partitions {
        partition["node"].take();
    }
    for of_this_disk in ["device", "lastlba"] {
        table[of_this_disk].take();
    }
    (table, size)
}

/// Kind, device and gain in bytes of everything that grew.
fn grown(changes: &Value) -> Vec<(&str, &str, u64)> {
    let grown = changes.as_array().unwrap().iter().filter(|change| change["kind"] == "grow");
    let text = |value: &'_ Value| value.as_u64().unwrap();
    grown
        .map(|change| {
            let gain = text(&change["new_bytes"]) - text(&change["old_bytes"]);
            (change["layer"].as_str().unwrap(), change["target"].as_str().unwrap(), gain)
        })
        .collect()
}

/// What the time of a stage went to; all of it is within the stage's own.
fn phases<'a>(report: &'a Value, stage: &str) -> Vec<&'a str> {
    let stage = report["stages"].as_array().unwrap().iter().find(|record| record["name"] == stage).unwrap();
    let phases = stage["phases"].as_array().unwrap();
    let seconds: f64 = phases.iter().map(|phase| phase["seconds"].as_f64().unwrap()).sum();
    assert!(seconds > 0.0 && seconds <= stage["seconds"].as_f64().unwrap(), "{stage:#}");
    phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect()
}

#[test]
fn a_root_on_lvm_takes_the_room_of_a_larger_disk() {
    let guest = lab("trixie-uefi");
    let before = guest.digests("sparse");
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().to_str().unwrap();
    let arguments = ["migrate", &guest.vmx("sparse"), "-o", folder, "--format", "raw", "--skip", "test"];
    let report = run(&[arguments.as_slice(), &["--resize", "1=+2G"]].concat()).expect(0).json;
    assert_eq!(report["converged"], true);
    let volume = "/dev/trixie-uefi-vg/root";
    let expected = [
        ("partition", "/dev/sda3", 2 * GIB),
        ("physical_volume", "/dev/sda3", 2 * GIB),
        ("logical_volume", volume, 2 * GIB),
        ("filesystem", volume, 2 * GIB),
    ];
    assert_eq!(grown(&report["changes"]), expected);
    assert!(report["changes"].as_array().unwrap().iter().all(|change| change["status"] == "done"));
    assert!(!report["warnings"].to_string().contains("keeps its size"), "{}", report["warnings"]);
    assert_eq!(phases(&report, "inspect"), ["launch", "disks", "mount", "inspect"]);
    let of_fix = phases(&report, "fix");
    assert!(of_fix.ends_with(&["plan again", "discard", "close"]), "{of_fix:?}");
    for done in ["grow", "write_file", "extend_initramfs"] {
        assert!(of_fix.contains(&done), "{done}: {of_fix:?}");
    }
    assert_eq!(guest.digests("sparse"), before, "the source changed");

    // Seen from outside: the table has its identities, and the rest is as large as the report says.
    let image = work.path().join("trixie-uefi-disk1.raw");
    assert_eq!(image.metadata().unwrap().len(), 6 * GIB);
    let ((old, small), (new, large)) = (table(&guest.folder.join("disk.raw")), table(&image));
    assert_eq!(new, old);
    assert_eq!((large - small) * 512, 2 * GIB);
    let script = format!("run : e2fsck-f {volume} : blockdev-getsize64 {volume} : mount-ro {volume} / : statvfs /");
    let script: Vec<&str> = script.split(' ').collect();
    let looked =
        output("guestfish", &[&["--ro", "--format=raw", "-a", image.to_str().unwrap()], script.as_slice()].concat());
    let size: u64 = looked.lines().next().unwrap().parse().unwrap();
    let logical = report["changes"].as_array().unwrap().iter().find(|change| change["layer"] == "logical_volume");
    assert_eq!(json!(size), logical.unwrap()["new_bytes"]);
    let fact = |name: &str| {
        let line = looked.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap().parse::<u64>().unwrap()
    };
    // But for its own tables.
    assert!(fact("blocks") * fact("frsize") > size / 10 * 9, "{looked}");
}

#[test]
fn a_root_with_swap_behind_it_stays_and_the_plan_says_why() {
    let guest = lab("bookworm-bios");
    let plan = run(&["plan", &guest.vmx("sparse"), "--resize", "1=+2G"]).expect(0);
    assert_eq!(grown(&plan.json["changes"]), []);
    let finding = plan.json["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "not-grown");
    assert_eq!(
        finding.unwrap()["message"],
        "/dev/sda1 cannot grow into the new space: the extended partition /dev/sda2 follows it on the disk"
    );
    assert!(plan.stderr.contains("and what is on it keeps its size"), "{}", plan.stderr);
}
