//! Migrations of phony Windows disks: what such a system says about itself, and the result held against its plan.
#![expect(clippy::print_stderr, reason = "says what was not tested")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_windows_guest::hive::{self, Differs};
use vmdk2kvm_windows_guest::testing::{Layout, RECENT, Release, source};

use crate::{Inside, PhonyWindows, digest, run};

/// The address of the VM's one card.
pub const MAC: &str = "00:50:56:3f:00:01";
/// The slot.
pub const SLOT: u32 = 192;

/// What a Windows of a build says about itself.
pub fn software(build: u32, product: &str) -> Vec<u8> {
    hive::build(&format!(
        "[Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"{build}\"\n\"ProductName\"=\"{product}\"\n\
         \"CurrentMajorVersionNumber\"=dword:0000000a\n\"CurrentMinorVersionNumber\"=dword:00000000\n\
         [Microsoft\\Windows\\CurrentVersion\\Uninstall\\{{7D1F}}]\n\"DisplayName\"=\"VMware Tools\"\n\"DisplayVersion\"=\"12.1\"\n\
         [Microsoft\\Windows\\CurrentVersion\\Run]\n\"VMware User Process\"=\"vmtoolsd.exe -n vmusr\"\n\"Other\"=\"other.exe\"\n"
    ))
    .unwrap()
}

/// A SYSTEM hive with one card that has a static address, VMware Tools, and drivers that wait for their device.
pub fn system(product_type: &str, database: &str) -> Vec<u8> {
    hive::build(&system_text(product_type, database)).unwrap()
}

/// The text of such a hive.
pub fn system_text(product_type: &str, database: &str) -> String {
    let cs = "ControlSet002";
    format!(
        "[Select]\n\"Current\"=dword:00000002\n\
         [{cs}\\Control\\ProductOptions]\n\"ProductType\"=\"{product_type}\"\n\
         [{cs}\\Control\\Session Manager\\Environment]\n\"PROCESSOR_ARCHITECTURE\"=\"AMD64\"\n\
         [{cs}\\Control\\ComputerName\\ComputerName]\n\"ComputerName\"=\"WEB01\"\n\
         [{database}]\n\
         [{cs}\\Services\\storahci]\n\"Start\"=dword:00000000\n[{cs}\\Services\\storahci\\StartOverride]\n\"0\"=dword:00000003\n\
         [{cs}\\Services\\VMTools]\n\"Start\"=dword:00000002\n[{cs}\\Services\\pvscsi]\n[{cs}\\Services\\vmci]\n\"Start\"=dword:00000000\n\
         [{cs}\\Services\\partmgr\\Parameters]\n\"SanPolicy\"=dword:00000002\n\
         [{cs}\\Control\\CrashControl]\n\"AutoReboot\"=dword:00000001\n\
         [{cs}\\Control\\NetworkProvider\\Order]\n\"ProviderOrder\"=\"vmhgfs,RDPNP,LanmanWorkstation\"\n\
         [{cs}\\Enum\\ACPI\\VMW0003\\4&1bd7f811&0]\n\"UpperFilters\"=multi:\"VMMouse\",\"other\"\n\
         [{cs}\\Enum\\PCI\\VEN_15AD&DEV_07B0\\FF005056003F0100]\n\"UINumber\"=dword:000000c0\n\
         [{cs}\\Control\\Class\\{{4D36E972-E325-11CE-BFC1-08002BE10318}}\\0007]\n\"NetCfgInstanceId\"=\"{{AAAA}}\"\n\
         \"DeviceInstanceID\"=\"PCI\\\\VEN_15AD&DEV_07B0\\\\FF005056003F0100\"\n\
         [{cs}\\Control\\Network\\{{4D36E972-E325-11CE-BFC1-08002BE10318}}\\{{AAAA}}\\Connection]\n\"Name\"=\"Ethernet0\"\n\
         [{cs}\\Services\\Tcpip\\Parameters\\Interfaces\\{{AAAA}}]\n\"EnableDHCP\"=dword:00000000\n\"IPAddress\"=multi:\"10.0.2.77\"\n\
         \"SubnetMask\"=multi:\"255.255.255.0\"\n\"DefaultGateway\"=multi:\"10.0.2.2\"\n\"NameServer\"=\"10.0.2.3\"\n\
         [MountedDevices]\n\"\\\\DosDevices\\\\C:\"=hex(3):ae,46,45,df,00,00,50,1f,00,00,00,00\n"
    )
}

/// A folder of drivers of these releases.
pub fn drivers(folder: &Path, releases: &[Release]) -> String {
    let path = folder.join("virtio-win");
    source(&path, Layout::Iso, releases);
    path.to_str().unwrap().to_owned()
}

/// The arguments of a migration.
pub fn migration(folder: &Path, vmx: &Path, drivers: &str) -> Vec<String> {
    let out = folder.join("out");
    let (vmx, out) = (vmx.to_str().unwrap(), out.to_str().unwrap());
    let words = ["migrate", vmx, "-o", out, "--format", "raw", "--skip", "test", "--virtio-win", drivers];
    words.map(str::to_owned).to_vec()
}

/// The image that a report names.
pub fn image(folder: &Path, report: &Value) -> PathBuf {
    folder.join("out").join(report["images"][0]["path"].as_str().unwrap())
}

/// Every value that the plan names for a hive, as it is afterwards: key and name in upper case, and the bytes in hexadecimal digits.
fn planned(report: &Value, hive: &str) -> BTreeMap<(String, String), Option<String>> {
    let changes = report["changes"].as_array().unwrap();
    let edits = changes.iter().filter(|change| {
        change["kind"] == "edit_registry" && change["target"].as_str().unwrap().ends_with(&format!("/{hive}"))
    });
    let edits = edits.flat_map(|change| change["edits"].as_array().unwrap());
    let word = |value: &Value| value.as_str().unwrap().to_uppercase();
    edits
        .map(|edit| {
            let new = edit["new"]["hex"].as_str().map(str::to_owned);
            ((word(&edit["key"]), word(&edit["name"])), new)
        })
        .collect()
}

/// Holds a hive against what it was and what was planned: sound, and changed by nothing else.
fn is_as_planned(old: &[u8], new: &[u8], report: &Value, name: &str) {
    hive::check(new).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
    let mut planned = planned(report, name);
    assert!(!planned.is_empty(), "{name}: nothing was planned");
    for difference in hive::differences(old, new).unwrap() {
        let Differs::Value { new, .. } = &difference.what else {
            assert!(matches!(difference.what, Differs::Added { .. }), "{name}: {difference:?}");
            continue;
        };
        let value = new.as_ref();
        let value_name = match &difference.what {
            Differs::Value { old, new } => new.as_ref().or(old.as_ref()).unwrap().name.to_uppercase(),
            _ => unreachable!(),
        };
        let wanted = planned.remove(&(difference.key.to_uppercase(), value_name));
        let found = value.map(|value| value.data.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(wanted, Some(found), "{name}: {difference:?} was not planned");
    }
    assert!(planned.is_empty(), "{name}: planned and not done: {planned:?}");
}

/// Holds the image of a report against its plan.
pub fn is_right(report: &Value, disk: &PhonyWindows, folder: &TempDir, hives: &[(&str, &[u8])], windows: &str) {
    assert_eq!(report["converged"], true, "{:#}", report["warnings"]);
    let inside = Inside::ntfs(&image(folder.path(), report), disk.start);
    for (name, old) in hives {
        let new = fs::read(inside.path().join(windows).join("System32/config").join(name)).unwrap();
        is_as_planned(old, &new, report, name);
    }
    let has_drivers = report["machine"]["disks"][0]["bus"] == "virtio";
    assert_eq!(inside.path().join(windows).join("System32/drivers/viostor.sys").is_file(), has_drivers);
}

/// The content of a file that xz packed.
pub fn unpacked(path: &Path) -> Vec<u8> {
    let unpacked = Command::new("xz").args(["-dc"]).arg(path).output().expect("xz (package xz-utils)");
    assert!(unpacked.status.success(), "{}", path.display());
    unpacked.stdout
}

/// Migrates a disk and holds everything against the plan.
pub fn moves(disk: &PhonyWindows, folder: &TempDir, hives: &[(&str, &[u8])], windows: &str) -> Value {
    let vmx = disk.make(folder.path(), &[(MAC, SLOT)]);
    let flat = folder.path().join("windows-flat.vmdk");
    is_moved((&vmx, &flat), disk, folder, hives, (windows, &RECENT))
}

/// The same of a source that is made: what is named, and the file that holds the disk.
pub fn is_moved(
    (named, holds): (&Path, &Path),
    disk: &PhonyWindows,
    folder: &TempDir,
    hives: &[(&str, &[u8])],
    (windows, releases): (&str, &[Release]),
) -> Value {
    let before = digest(holds);
    let drivers = drivers(folder.path(), releases);
    let words = migration(folder.path(), named, &drivers);
    let report = run(&words.iter().map(String::as_str).collect::<Vec<_>>()).expect(0).json;
    assert_eq!(digest(holds), before, "the source was changed");
    is_right(&report, disk, folder, hives, windows);
    report
}

/// The folder with hives that Windows made, where it is there.
pub fn real_hives() -> Option<PathBuf> {
    let folder = std::env::var_os("VMDK2KVM_HIVES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/windows"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("{} is not there: tested with made hives only", folder.display());
        return None;
    }
    Some(folder)
}
