//! Disks that go onto block devices: real loop devices take the bytes, are refused when anything else has them, and are never half believed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use vmdk2kvm_tests::{LoopDevice, Outcome, Running, Signal, binary, digest, lab, run};

const MIB: u64 = 1 << 20;

/// A disk with data at its start, in its middle and before its end, and holes between.
fn write_disk(path: &Path, size: u64, data: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for place in [0, size / 2 + 70_000, size - data] {
        for at in (0..data).step_by(MIB as usize) {
            let block: Vec<u8> = (0..MIB).map(|byte| ((place + at + byte) % 251) as u8 | 1).collect();
            file.write_all_at(&block[..block.len().min((data - at) as usize)], place + at).unwrap();
        }
    }
}

fn flatten(folder: &Path, more: &[&str]) -> Outcome {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    run(&[&["flatten", &path("a.raw"), "-o", &path("out")], more].concat())
}

/// What lies on a device is that disk.
#[track_caller]
fn assert_same(device: &LoopDevice, disk: &Path) {
    let bytes = fs::metadata(disk).unwrap().len().to_string();
    let same = Command::new("cmp").args(["--bytes", &bytes]).arg(device.path()).arg(disk).status();
    assert!(same.expect("cmp (package diffutils)").success(), "the device differs from the disk");
}

#[test]
fn one_disk_goes_onto_a_device_and_the_other_into_a_file() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_disk(&path("a.raw"), 24 * MIB, 2 * MIB);
    fs::write(path("b.raw"), vec![7; MIB as usize]).unwrap();
    for (number, device) in [LoopDevice::new(&path("device"), 32 * MIB), {
        fs::create_dir(path("ram")).unwrap();
        LoopDevice::that_keeps_all(&path("ram"), 32 * MIB)
    }]
    .into_iter()
    .enumerate()
    {
        device.soil(32 * MIB);
        let out = format!("out{number}");
        let (a, b, out) = (path("a.raw"), path("b.raw"), path(&out));
        let onto = format!("1={}", device.name());
        let words = [a.to_str().unwrap(), "--disk", b.to_str().unwrap(), "-o", out.to_str().unwrap()];
        let command = |more: &[&str]| run(&[&["flatten"], &words[..], &["--disk-out", &onto], more].concat());
        let refused = command(&[]).expect(73);
        assert_eq!(refused.message(), format!("{} is not empty: something is stored on it", device.name()));
        assert!(refused.hint().contains("--overwrite"), "{}", refused.hint());
        assert!(device.read(32 << 20).iter().all(|byte| *byte == 0xA5), "a refused device was written to");

        let report = command(&["--overwrite"]).expect(0).json;
        assert_same(&device, &a);
        let behind = &device.read(32 << 20)[24 << 20..];
        assert!(behind.iter().all(|byte| *byte == 0xA5), "what lies behind the disk was written to");
        let image = |number: usize, member: &str| report["images"][number][member].clone();
        assert_eq!((image(0, "path"), image(0, "format")), (device.name().into(), "raw".into()));
        assert_eq!((image(1, "path"), image(1, "format")), ("a-disk2.qcow2".into(), "qcow2".into()));
        assert_eq!(image(0, "virtual_size"), 24 * MIB);
        let findings = report["findings"].to_string();
        assert!(findings.contains("device-larger") && findings.contains("8.00 MiB more than a.raw"), "{findings}");
        let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a-disk2.qcow2"], "only the other disk is a file");

        let again = command(&[]).expect(0);
        assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
        assert_eq!(again.json["images"], report["images"]);
    }
}

#[test]
fn a_device_that_cannot_take_the_disk_is_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_disk(&path("a.raw"), 24 * MIB, MIB);
    let before = fs::read(path("a.raw")).unwrap();
    let refused = |more: &[&str], code: i32, said: &str| {
        let refused = flatten(folder.path(), more).expect(code);
        assert!(refused.message().contains(said), "{}", refused.message());
        assert!(!refused.hint().is_empty(), "{}", refused.message());
        assert!(!path("out").exists(), "{said}: something is left in the output folder");
    };
    let onto = |device: &LoopDevice| format!("1={}", device.name());

    refused(&["--disk-out", &format!("1={}", path("a.raw").display())], 73, "is not a block device");
    refused(&["--disk-out", "1=/dev/nothing-here"], 73, "/dev/nothing-here cannot be found");
    refused(&["--disk-out", "2=/dev/null"], 2, "no disk is called `2`, to be written onto a device");
    let small = LoopDevice::new(&path("small"), 16 * MIB);
    refused(&["--disk-out", &onto(&small)], 73, "has 16.0 MiB, and a.raw needs 24.0 MiB");

    let device = LoopDevice::new(&path("device"), 32 * MIB);
    refused(&["--disk-out", &onto(&device), "--disk-out", &onto(&device)], 2, "a.raw is written onto two devices");
    refused(&["--disk-out", &onto(&device), "--resize", "1=64M"], 73, "and a.raw needs 64.0 MiB");
    // The source under another name.
    let source = LoopDevice::on(&path("a.raw"));
    refused(&["--disk-out", &onto(&source), "--overwrite"], 73, "which is the source");
    drop(source);

    // A hypervisor's program that has it open.
    let mut other = Command::new("qemu-io")
        .args(["-f", "raw", device.name()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("qemu-io (package qemu-utils)");
    let mut prompt = [0; 8];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut prompt).unwrap();
    assert_eq!(&prompt, b"qemu-io>");
    refused(&["--disk-out", &onto(&device)], 73, "a program has locked it as the image of a guest");
    drop(other.stdin.take());
    other.wait().unwrap();

    let made = Command::new("mkfs.ext4").args(["-q", device.name()]).status().expect("mkfs.ext4 (package e2fsprogs)");
    assert!(made.success());
    refused(&["--disk-out", &onto(&device)], 73, "is not empty: something is stored on it");
    fs::create_dir(path("mounted")).unwrap();
    let mount = |program: &str, more: &[&str]| {
        assert!(Command::new(program).args(more).arg(path("mounted")).status().unwrap().success(), "{program}");
    };
    mount("mount", &[device.name()]);
    let mounted = std::panic::catch_unwind(|| {
        refused(
            &["--disk-out", &onto(&device), "--overwrite"],
            73,
            "is in use: it, or a part of it, is mounted, is swap, or has a mapping",
        );
    });
    mount("umount", &[]);
    mounted.unwrap();
    assert!(fs::read(path("a.raw")).unwrap() == before, "the source was written to");
}

#[test]
fn a_device_that_was_killed_ten_times_holds_the_disk_in_the_end() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_disk(&path("a.raw"), 8 << 30, 160 * MIB);
    let device = LoopDevice::new(&path("device"), 8 << 30);
    device.soil(64 * MIB);
    let words = [path("a.raw"), path("out")].map(|path| path.to_str().unwrap().to_owned());
    let onto = format!("1={}", device.name());
    let command = |more: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["flatten", &words[0], "-o", &words[1], "--disk-out", &onto]).args(more);
        command
    };
    let total = 480 * MIB;
    for moment in 0..10 {
        // Once a byte was written by permission, the device is this job's own.
        let mut run = Running::start(command(if moment <= 1 { &["--overwrite"] } else { &[] }));
        if moment > 0 {
            let past = total * moment / 12;
            run.wait_for("so many bytes", |event| {
                event["event"] == "progress" && event["done_bytes"].as_u64() >= Some(past)
            });
        } else {
            run.wait_for_stage("flatten");
        }
        run.signal(Signal::KILL);
        run.wait_for_end();
    }
    let report = Running::start(command(&[])).end().expect(0).json;
    assert_same(&device, &path("a.raw"));
    // The content digest of the whole is that of a copy that nobody disturbed.
    let calm = run(&["flatten", path("a.raw").to_str().unwrap(), "-o", path("calm").to_str().unwrap()]).expect(0);
    assert_eq!(report["images"][0]["content_sha256"], calm.json["images"][0]["content_sha256"]);
}

#[test]
fn a_guest_on_a_device_is_fixed_there_and_comes_up() {
    let guest = lab("bookworm-bios");
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (out, vmx) = (path("out"), guest.vmx("sparse"));
    let described = run(&["inventory", &vmx]).expect(0).json;
    let device = LoopDevice::new(&path("device"), described["vms"][0]["disks"][0]["capacity_bytes"].as_u64().unwrap());
    let onto = format!("1={}", device.name());
    let words = ["migrate", &vmx, "-o", out.to_str().unwrap(), "--disk-out", &onto, "--skip", "test"];
    let report = run(&words).expect(0).json;
    assert_eq!(report["converged"], true, "{report:#}");
    let xml = fs::read_to_string(out.join("bookworm-bios.xml")).unwrap();
    assert!(xml.contains("type=\"block\"") && xml.contains(&format!("dev=\"{}\"", device.name())), "{xml}");
    let image = &report["images"][0];
    assert_eq!((&image["path"], &image["sha256"]), (&device.name().into(), &digest(device.path()).into()));
    // The machine of the report starts from there: what was fixed is on the device.
    let tested = run(&["test", out.to_str().unwrap()]).expect(0).json;
    assert_eq!(tested["test"]["verdict"], "passed", "{tested:#}");
}
