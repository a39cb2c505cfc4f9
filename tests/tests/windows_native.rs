//! Windows guests that are read without an appliance: the plan is that of the appliance, to the byte. The disks are phony, hives are made from
//! text, and real ones are taken where they are there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_tests::{Outcome, PhonyWindows, plugin_folder, run, run_with};
use vmdk2kvm_windows_guest::hive;
use vmdk2kvm_windows_guest::testing::{Layout, RECENT, source};

const APPLIANCE: &str = "inspect.reader=appliance";
const AUTO: &str = "inspect.reader=auto";
const NATIVE: &str = "inspect.reader=native";

fn software(build: u32) -> Vec<u8> {
    hive::build(&format!(
        "[Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"{build}\"\n\"ProductName\"=\"Windows 10 Pro\"\n\
         \"CurrentMajorVersionNumber\"=dword:0000000a\n\"CurrentMinorVersionNumber\"=dword:00000000\n\
         [Microsoft\\Windows\\CurrentVersion\\Run]\n\"VMware User Process\"=\"vmtoolsd.exe -n vmusr\"\n"
    ))
    .unwrap()
}

/// A SYSTEM hive that was being written, and has no logs: what is in it counts.
fn system() -> Vec<u8> {
    let cs = "ControlSet001";
    let mut made = hive::build(&format!(
        "[Select]\n\"Current\"=dword:00000001\n[{cs}\\Control\\ProductOptions]\n\"ProductType\"=\"WinNT\"\n\
         [{cs}\\Control\\Session Manager\\Environment]\n\"PROCESSOR_ARCHITECTURE\"=\"AMD64\"\n\
         [{cs}\\Control\\ComputerName\\ComputerName]\n\"ComputerName\"=\"DESK\"\n[DriverDatabase\\DeviceIds]\n\
         [{cs}\\Services\\storahci]\n\"Start\"=dword:00000000\n[{cs}\\Services\\storahci\\StartOverride]\n\"0\"=dword:00000003\n\
         [{cs}\\Services\\VMTools]\n\"Start\"=dword:00000002\n[{cs}\\Services\\vmci]\n\"Start\"=dword:00000000\n\
         [{cs}\\Services\\partmgr\\Parameters]\n\"SanPolicy\"=dword:00000002\n\
         [MountedDevices]\n\"\\\\DosDevices\\\\C:\"=hex(3):ae,46,45,df,00,00,50,1f,00,00,00,00\n"
    ))
    .unwrap();
    made[4] = made[4].wrapping_add(1);
    let words = made[..508].chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let sum = words.fold(0, |sum, word| sum ^ word);
    made[508..512].copy_from_slice(&sum.to_le_bytes());
    made
}

fn drivers(folder: &Path) -> String {
    let path = folder.join("virtio-win");
    source(&path, Layout::Iso, &RECENT);
    path.to_str().unwrap().to_owned()
}

fn codes(plan: &Value) -> Vec<&str> {
    plan["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// Without what only the reader of a guest is about: how many files could be made in NTFS, which has no limit of its own, and how much is used.
fn inspection(plan: &Value) -> Value {
    let mut inspection = plan["inspection"].clone();
    for mount in inspection["mounts"].as_array_mut().unwrap() {
        for counted in ["free_inodes", "used_bytes"] {
            mount.as_object_mut().unwrap().remove(counted);
        }
    }
    inspection
}

/// Plans both ways, and says what both plan.
fn same_both_ways(disk: &PhonyWindows) -> Value {
    let folder = TempDir::new().unwrap();
    let vmx = disk.make(folder.path(), &[("00:50:56:3f:00:01", 192)]);
    let (vmx, drivers) = (vmx.to_str().unwrap(), drivers(folder.path()));
    let plan = |reader: &str| run(&["plan", vmx, "--virtio-win", &drivers, "--set", reader]).expect(0).json;
    let (native, appliance) = (plan(NATIVE), plan(APPLIANCE));
    assert!(!native["changes"].as_array().unwrap().is_empty(), "{native:#}");
    for part in ["changes", "machine", "findings"] {
        assert_eq!(native[part], appliance[part], "{part}");
    }
    assert_eq!(inspection(&native), inspection(&appliance));
    native
}

#[test]
fn a_plan_of_a_windows_is_the_same_both_ways() {
    let (system, software) = (system(), software(19045));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let plan = same_both_ways(&PhonyWindows::new("WINDOWS", &hives));
    assert_eq!(plan["inspection"]["root"], "/dev/sda2");
    assert_eq!(plan["inspection"]["mounts"].as_array().unwrap().len(), 2, "the drive, and what a BIOS starts");
    let plan = same_both_ways(&PhonyWindows::new("Windows", &hives).for_uefi());
    let changes = plan["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["target"] == "/EFI/EFI/Boot/bootx64.efi"), "{changes:#?}");
}

fn refusal(program: &Path, disk: &PhonyWindows, reader: &str, code: i32) -> Outcome {
    let folder = TempDir::new().unwrap();
    let vmx = disk.make(folder.path(), &[]);
    run_with(program, &["plan", vmx.to_str().unwrap(), "--set", reader]).expect(code)
}

#[test]
fn nothing_that_starts_an_appliance_is_needed() {
    let (system, software) = (system(), software(22631));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let bundle = plugin_folder(&["guestfs-offline-linux", "qemu-img"]);
    let (program, folder) = (bundle.path().join("vmdk2kvm"), TempDir::new().unwrap());
    let vmx = PhonyWindows::new("Windows", &hives).make(folder.path(), &[]);
    let vmx = vmx.to_str().unwrap();
    let inspection = run_with(&program, &["inspect", vmx, "--set", AUTO]).expect(0).json;
    assert_eq!(inspection["os"]["product"], "Windows 11 Pro");
    let plan =
        run_with(&program, &["plan", vmx, "--virtio-win", &drivers(folder.path()), "--set", AUTO]).expect(0).json;
    assert!(!codes(&plan).contains(&"read-by-appliance"), "{:?}", codes(&plan));
    // What stops a move stops it here, too, and with the same words.
    let encrypted =
        PhonyWindows { mark: Some(b"\xeb\x58\x90-FVE-FS-".to_vec()), ..PhonyWindows::new("Windows", &hives) };
    let mut asleep = PhonyWindows::new("Windows", &hives);
    asleep.files.push(("hiberfil.sys".to_owned(), [b"HIBR".to_vec(), vec![0; 8192]].concat()));
    for (disk, part) in [(encrypted, "/dev/sda2 is encrypted by BitLocker"), (asleep, "the system is hibernated")] {
        let refused = refusal(&program, &disk, NATIVE, 81);
        assert!(refused.message().contains(part), "{}", refused.message());
    }
    // What only an appliance reads is told so.
    let unlike =
        PhonyWindows { mark: Some(b"\xeb\x52\x90NTFS    \x00\x03".to_vec()), ..PhonyWindows::new("Windows", &hives) };
    let refused = refusal(&program, &unlike, NATIVE, 69);
    assert_eq!(refused.message(), "/dev/sda2: its sectors of 768 bytes are not known");
}

/// Hives that Windows made, one of them with logs that hold what it lacks.
#[test]
fn hives_that_windows_made_give_the_same_plan_both_ways() {
    let folder = std::env::var_os("VMDK2KVM_HIVES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/windows"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("{} is not there: tested with made hives only", folder.display());
        return;
    }
    let unpacked = |name: &str| {
        let path = folder.join(name);
        let out = std::process::Command::new("xz").args(["-dc"]).arg(&path).output().expect("xz (package xz-utils)");
        assert!(out.status.success(), "{}", path.display());
        out.stdout
    };
    let name = "dirty/SYSTEM-win10-16299-x64-laptop";
    let [system, log1, log2] = ["", ".LOG1", ".LOG2"].map(|ending| unpacked(&format!("{name}{ending}.xz")));
    let made = software(16299);
    let hives: [(&str, &[u8]); 4] =
        [("SYSTEM", &system), ("SYSTEM.LOG1", &log1), ("SYSTEM.LOG2", &log2), ("SOFTWARE", &made)];
    let plan = same_both_ways(&PhonyWindows::new("Windows", &hives));
    let settles = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .any(|change| change["target"].as_str().unwrap().ends_with("/SYSTEM"));
    assert!(settles, "{:#}", plan["changes"]);
    let (system, made) = (unpacked("SYSTEM-win10-18362-x64-vmware.xz"), software(18362));
    same_both_ways(&PhonyWindows::new("Windows", &[("SYSTEM", &system), ("SOFTWARE", &made)]));
}
