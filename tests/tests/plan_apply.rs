//! `inspect` and `plan` leave no trace; a saved plan does what `migrate` does, on the guest it was made for and on no other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vmdk2kvm_tests::{alone, binary, lab, outcome, run};

/// Less than the guest's data, more than anything the program may write for itself, in the shell's blocks of 1 KiB.
const MAX_FILE_KIB: u32 = 256 << 10;

/// Runs the program where it can write no file as large as a disk's data, with an empty folder for everything temporary.
fn run_without_room(arguments: &[&str]) -> Value {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(format!("ulimit -f {MAX_FILE_KIB}; exec \"$0\" \"$@\""))
        .arg(binary())
        .args(arguments)
        .arg("--json");
    command.current_dir(scratch.path()).env("TMPDIR", scratch.path()).env_remove("XDG_RUNTIME_DIR");
    command.env("LIBGUESTFS_CACHEDIR", "/var/tmp");
    let outcome = outcome(&alone(&mut command).output().unwrap()).expect(0);
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{arguments:?} left {left:?}");
    outcome.json
}

#[test]
fn looking_leaves_nothing_and_copies_nothing() {
    let guest = lab("bookworm-bios");
    let before = guest.digests("chain");
    let inspected = run_without_room(&["inspect", &guest.vmx("chain")]);
    assert_eq!(inspected["os"]["distro"], "debian");
    let planned = run_without_room(&["plan", &guest.vmx("chain")]);
    assert!(!planned["changes"].as_array().unwrap().is_empty());
    assert_eq!(planned["inspection"]["root"], inspected["root"]);
    assert_eq!(guest.digests("chain"), before, "the source changed");
}

/// Everything that a fix may touch, by digest: the guest's own files under /etc and /boot, of two images in one appliance.
fn settings(images: [&Path; 2]) -> [String; 2] {
    let notes = tempfile::tempdir().unwrap();
    let note = |disk: &str, folder: &str| notes.path().join(format!("{disk}-{folder}"));
    let mut script = "run\n".to_owned();
    for disk in ["sda", "sdb"] {
        script += &format!("mount-ro /dev/{disk}1 /\n");
        for folder in ["etc", "boot"] {
            script += &format!("checksums-out sha256 /{folder} {}\n", note(disk, folder).display());
        }
        script += "umount-all\n";
    }
    let mut guestfish = Command::new("guestfish");
    guestfish.args(["--ro", "--format=qcow2", "-a"]).arg(images[0]).arg("-a").arg(images[1]);
    guestfish.env("LIBGUESTFS_BACKEND", "direct").env("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg");
    let guestfish = guestfish.stdin(std::process::Stdio::piped()).spawn();
    let mut guestfish = guestfish.expect("guestfish (package libguestfs-tools)");
    std::io::Write::write_all(&mut guestfish.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(guestfish.wait().unwrap().success());
    ["sda", "sdb"]
        .map(|disk| ["etc", "boot"].map(|folder| std::fs::read_to_string(note(disk, folder)).unwrap()).concat())
}

/// What a run did to the guest, without the times it took.
fn done(report: &Value) -> Vec<Value> {
    let changes = report["changes"].as_array().unwrap().iter();
    changes
        .map(|change| serde_json::json!([change["kind"], change["target"], change["summary"], change["status"]]))
        .collect()
}

#[test]
fn a_saved_plan_does_what_migrate_does() {
    let guest = lab("bookworm-bios");
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    run(&["plan", &guest.vmx("sparse"), "--out", &at("plan.json")]).expect(0);
    let applied = run(&["apply", &at("plan.json"), "-o", &at("applied"), "--skip", "test"]).expect(0).json;
    let migrated = run(&["migrate", &guest.vmx("sparse"), "-o", &at("migrated"), "--skip", "test"]).expect(0).json;
    assert_eq!(applied["converged"], true);
    assert_eq!(done(&applied), done(&migrated));
    let images = ["applied", "migrated"].map(|run| work.path().join(run).join("bookworm-bios-disk1.qcow2"));
    let [one, other] = settings([&images[0], &images[1]]);
    assert!(one.lines().count() > 100, "{one}");
    assert_eq!(one, other);
}

#[test]
fn a_plan_is_refused_when_the_guest_changed() {
    let guest = lab("bookworm-bios");
    let work = tempfile::tempdir().unwrap();
    for name in ["bookworm-bios.vmx", "bookworm-bios.vmdk"] {
        let copy = work.path().join(name);
        std::fs::copy(guest.folder.join("sparse").join(name), &copy).unwrap();
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let at = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    run(&["plan", &at("bookworm-bios.vmx"), "--out", &at("plan.json")]).expect(0);
    // Somebody boots the old machine once more; a sector that is in use changes.
    let mut write = Command::new("qemu-io");
    write.args(["-f", "vmdk", "-c", "write -P 0x5a 1M 512"]).arg(at("bookworm-bios.vmdk"));
    assert!(write.output().expect("qemu-io (package qemu-utils)").status.success());
    let refused = run(&["apply", &at("plan.json"), "-o", &at("applied")]).expect(65);
    assert!(refused.message().ends_with("disk 1 changed since the plan was made"), "{}", refused.message());
    assert!(!work.path().join("applied/bookworm-bios-disk1.qcow2").exists());
}

/// No fixer says so: the inspection alone knows that the boot loader would not find a changed initramfs.
#[test]
fn a_finding_of_the_inspection_blocks_the_plan() {
    let tree = tempfile::tempdir().unwrap();
    for (path, text) in [("etc/os-release", "ID=slackware\n"), ("etc/lilo.conf", "boot=/dev/sda\n"), ("boot/map", "")] {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let blocked = run(&["plan", &format!("dir:{}", tree.path().display())]).expect(81);
    assert!(blocked.message().starts_with("the plan is blocked: LILO starts the guest"), "{}", blocked.message());
    assert!(blocked.hint().contains("install GRUB 2"), "{}", blocked.hint());
}
