//! Every Windows that is promised, each with hives of its kind: migrated, and the registry changed as planned and in nothing else. No Windows starts here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::TempDir;
use vmdk2kvm_tests::PhonyWindows;
use vmdk2kvm_tests::windows_run::{MAC, SLOT, is_moved, real_hives, software, system_text, unpacked};
use vmdk2kvm_windows_guest::hive::{self, Replayed};
use vmdk2kvm_windows_guest::testing::{OLDER, RECENT, Release};

/// Migrates a system, and tells the bus of its disk and the model of its card.
fn comes_out(disk: PhonyWindows, hives: &[(&str, &[u8])], releases: &[Release]) -> (String, String) {
    comes_out_with_heads(disk, hives, releases).0
}

/// Tells as well how many heads its boot sector and the copy of it say.
fn comes_out_with_heads(
    mut disk: PhonyWindows,
    hives: &[(&str, &[u8])],
    releases: &[Release],
) -> ((String, String), [u8; 2]) {
    let folder = TempDir::new().unwrap();
    if disk.uefi {
        disk.start = 1 << 28;
    }
    let vmx = disk.make(folder.path(), &[(MAC, SLOT)]);
    let flat = folder.path().join("windows-flat.vmdk");
    let report = is_moved((&vmx, &flat), &disk, &folder, hives, ("Windows", releases));
    let image = folder.path().join("out").join(report["images"][0]["path"].as_str().unwrap());
    ntfs_is_clean(&image, disk.start, disk.length());
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let words = (text(&report["machine"]["disks"][0]["bus"]), text(&report["machine"]["cards"][0]["model"]));
    let image = File::open(image).unwrap();
    let heads = [disk.start, disk.start + disk.length() - 512].map(|sector| {
        let mut heads = [0];
        image.read_exact_at(&mut heads, sector + 0x1a).unwrap();
        heads[0]
    });
    (words, heads)
}

/// Has ntfsfix look, which changes nothing.
fn ntfs_is_clean(image: &std::path::Path, start: u64, length: u64) {
    let (start, length) = (start.to_string(), length.to_string());
    let attach = Command::new("losetup")
        .args(["--find", "--show", "--read-only", "--offset", &start, "--sizelimit", &length])
        .arg(image)
        .output();
    let attached = attach.expect("losetup (package mount)");
    assert!(attached.status.success(), "{}", String::from_utf8_lossy(&attached.stderr));
    let device = String::from_utf8(attached.stdout).unwrap();
    let looked = Command::new("ntfsfix").args(["--no-action", device.trim()]).output();
    assert!(Command::new("losetup").args(["--detach", device.trim()]).status().unwrap().success());
    let looked = looked.expect("ntfsfix (package ntfs-3g)");
    assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stdout));
}

#[test]
fn servers_from_2016_to_2025_and_eleven() {
    let virtio = ("virtio".to_owned(), "virtio".to_owned());
    for (build, product, kind, uefi) in [
        (14393, "Windows Server 2016 Standard", "ServerNT", false),
        (20348, "Windows Server 2022 Standard", "ServerNT", true),
        (26100, "Windows Server 2025 Standard", "ServerNT", true),
        (26100, "Windows 10 Pro", "WinNT", true),
    ] {
        let system = hive::build(&system_text(kind, "DriverDatabase\\DeviceIds")).unwrap();
        let software = software(build, product);
        let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
        let disk = PhonyWindows::new("Windows", &hives);
        let disk = if uefi { disk.for_uefi() } else { disk };
        assert_eq!(comes_out(disk, &hives, &RECENT), virtio, "{product} {build}");
    }
}

#[test]
fn xp_gets_ide_and_an_old_card() {
    // It knows no AHCI, which would come before IDE.
    let text = system_text("WinNT", "ControlSet002\\Control\\CriticalDeviceDatabase")
        .replace("AMD64", "x86")
        .replace("storahci", "another");
    let (system, software) = (hive::build(&text).unwrap(), software(2600, "Microsoft Windows XP"));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let mut disk = PhonyWindows::new("Windows", &hives);
    for driver in ["atapi", "intelide", "pciide", "pciidex"] {
        disk.files.push((format!("Windows/System32/drivers/{driver}.sys"), b"MZ".to_vec()));
    }
    // A BIOS counts 255 heads on every disk as large as this. The one that makes filesystems here writes no heads into the boot sector.
    disk.files.push(("boot.ini".to_owned(), b"[boot loader]".to_vec()));
    disk.size = 5 << 30;
    let came_out = comes_out_with_heads(disk, &hives, &RECENT);
    assert_eq!(came_out, (("ide".to_owned(), "rtl8139".to_owned()), [255; 2]));
}

/// Hives that Windows made, where they are.
#[test]
fn seven_and_eight_point_one() {
    let Some(folder) = real_hives() else { return };
    for (name, build, product, releases) in [
        ("SYSTEM-win7-x86-vmware", 7601, "Windows 7 Professional", &RECENT[..]),
        ("SYSTEM-win81-x64-virtualbox", 9600, "Windows 8.1 Pro", &OLDER),
    ] {
        let system = unpacked(&folder.join(format!("{name}.xz")));
        let software = software(build, product);
        let settled = match hive::replay(&system, &[]).unwrap() {
            Replayed::Settled { hive } => hive,
            _ => system.clone(),
        };
        let disk = PhonyWindows::new("Windows", &[("SYSTEM", &system), ("SOFTWARE", &software)]);
        let virtio = ("virtio".to_owned(), "virtio".to_owned());
        assert_eq!(comes_out(disk, &[("SYSTEM", &settled), ("SOFTWARE", &software)], releases), virtio, "{name}");
    }
}
