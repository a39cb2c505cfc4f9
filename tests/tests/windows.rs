//! Windows guests, from the description of a VM to an image whose registry holds what was planned and nothing else. No Windows starts here:
//! the disks are phony, hives are made from text, and real ones are taken where they are there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_tests::{Inside, Outcome, PhonyWindows, digest, run};
use vmdk2kvm_windows_guest::hive::{self, Differs};
use vmdk2kvm_windows_guest::testing::{Layout, RECENT, source};

const MAC: &str = "00:50:56:3f:00:01";
const SLOT: u32 = 192;

/// What a Windows of a build says about itself.
fn software(build: u32, product: &str) -> Vec<u8> {
    hive::build(&format!(
        "[Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"{build}\"\n\"ProductName\"=\"{product}\"\n\
         \"CurrentMajorVersionNumber\"=dword:0000000a\n\"CurrentMinorVersionNumber\"=dword:00000000\n\
         [Microsoft\\Windows\\CurrentVersion\\Uninstall\\{{7D1F}}]\n\"DisplayName\"=\"VMware Tools\"\n\"DisplayVersion\"=\"12.1\"\n\
         [Microsoft\\Windows\\CurrentVersion\\Run]\n\"VMware User Process\"=\"vmtoolsd.exe -n vmusr\"\n\"Other\"=\"other.exe\"\n"
    ))
    .unwrap()
}

/// A SYSTEM hive with one card that has a static address, VMware Tools, and drivers that wait for their device.
fn system(product_type: &str, database: &str) -> Vec<u8> {
    let cs = "ControlSet002";
    hive::build(&format!(
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
    ))
    .unwrap()
}

fn drivers(folder: &Path) -> String {
    let path = folder.join("virtio-win");
    source(&path, Layout::Iso, &RECENT);
    path.to_str().unwrap().to_owned()
}

fn migrate(folder: &Path, vmx: &Path, more: &[&str]) -> Outcome {
    let out = folder.join("out");
    let (vmx, out) = (vmx.to_str().unwrap(), out.to_str().unwrap());
    run(&[&["migrate", vmx, "-o", out, "--format", "raw", "--skip", "test"], more].concat())
}

fn image(folder: &Path, report: &Value) -> PathBuf {
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

/// Migrates a disk and holds everything against the plan.
fn moves(disk: &PhonyWindows, folder: &TempDir, hives: &[(&str, &[u8])], windows: &str) -> Value {
    let vmx = disk.make(folder.path(), &[(MAC, SLOT)]);
    let flat = folder.path().join("windows-flat.vmdk");
    let before = digest(&flat);
    let report = migrate(folder.path(), &vmx, &["--virtio-win", &drivers(folder.path())]).expect(0).json;
    assert_eq!(digest(&flat), before, "the source was changed");
    assert_eq!(report["converged"], true, "{:#}", report["warnings"]);
    let inside = Inside::ntfs(&image(folder.path(), &report), disk.start);
    for (name, old) in hives {
        let new = fs::read(inside.path().join(windows).join("System32/config").join(name)).unwrap();
        is_as_planned(old, &new, &report, name);
    }
    assert!(inside.path().join(windows).join("System32/drivers/viostor.sys").is_file());
    report
}

#[test]
fn a_server_gets_what_it_needs_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (system, software) =
        (system("ServerNT", "DriverDatabase\\DeviceIds"), software(17763, "Windows Server 2019 Standard"));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let disk = PhonyWindows::new("WINDOWS", &hives);
    let report = moves(&disk, &folder, &hives, "WINDOWS");
    assert_eq!(report["inspection"]["os"]["product"], "Windows Server 2019 Standard");
    let machine = &report["machine"];
    assert_eq!(
        (&machine["disks"][0]["bus"], &machine["cards"][0]["model"], &machine["clock"]),
        (&"virtio".into(), &"virtio".into(), &"local".into()),
        "{machine:#}"
    );
    let inside = Inside::ntfs(&image(folder.path(), &report), disk.start);
    let staged = inside.path().join("WINDOWS/vmdk2kvm");
    let network = fs::read_to_string(staged.join("network.ps1")).unwrap();
    assert!(network.contains("mac = '00:50:56:3F:00:01'; name = 'Ethernet0'"), "{network}");
    let restore = fs::read_to_string(staged.join("restore.cmd")).unwrap();
    assert!(restore.contains("SanPolicy /t REG_DWORD /d 2"), "{restore}");
    for file in ["start.cmd", "firstboot.cmd", "tools.cmd", "agent.msi", "drivers/netkvm/netkvm.inf"] {
        assert!(staged.join(file).is_file(), "{file}");
    }
}

#[test]
fn a_client_of_a_uefi_gets_a_loader_that_every_firmware_finds() {
    let folder = TempDir::new().unwrap();
    let (system, software) = (system("WinNT", "DriverDatabase\\DeviceIds"), software(22631, "Windows 10 Pro"));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let disk = PhonyWindows::new("Windows", &hives).for_uefi();
    let report = moves(&disk, &folder, &hives, "Windows");
    assert_eq!(report["inspection"]["os"]["product"], "Windows 11 Pro");
    let changes = report["changes"].as_array().unwrap();
    assert!(changes.iter().any(|change| change["target"] == "/EFI/EFI/Boot/bootx64.efi"), "{changes:#?}");
    assert_eq!((&report["machine"]["firmware"], &report["machine"]["tpm"]), (&"uefi".into(), &true.into()));
}

/// What only a Windows opens, or a session that sleeps, is refused with its cause before a byte of the guest is changed.
#[test]
fn what_cannot_be_moved_is_refused_with_its_cause() {
    let (system, software) = (system("WinNT", "DriverDatabase\\DeviceIds"), software(19045, "Windows 10 Pro"));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let encrypted =
        PhonyWindows { mark: Some(b"\xeb\x58\x90-FVE-FS-".to_vec()), ..PhonyWindows::new("Windows", &hives) };
    let mut asleep = PhonyWindows::new("Windows", &hives);
    asleep.files.push(("hiberfil.sys".to_owned(), [b"HIBR".to_vec(), vec![0; 8192]].concat()));
    for (disk, part) in [(encrypted, "/dev/sda2 is encrypted by BitLocker"), (asleep, "the system is hibernated")] {
        let folder = TempDir::new().unwrap();
        let vmx = disk.make(folder.path(), &[]);
        let refused = run(&["plan", vmx.to_str().unwrap()]).expect(81);
        assert!(refused.message().contains(part), "{}", refused.message());
    }
}

/// A 64-bit Windows stops when it is to start from a driver that was changed after it was signed.
#[test]
fn a_disk_driver_that_nobody_vouches_for_is_not_started_from() {
    let (system, software) = (system("WinNT", "DriverDatabase\\DeviceIds"), software(19045, "Windows 10 Pro"));
    let folder = TempDir::new().unwrap();
    let vmx = PhonyWindows::new("Windows", &[("SYSTEM", &system), ("SOFTWARE", &software)]).make(folder.path(), &[]);
    let drivers = drivers(folder.path());
    for driver in ["viostor", "vioscsi"] {
        let program = Path::new(&drivers).join(format!("{driver}/w10/amd64/{driver}.sys"));
        let mut bytes = fs::read(&program).unwrap();
        bytes.extend(b"changed");
        fs::write(program, bytes).unwrap();
    }
    let plan = run(&["plan", vmx.to_str().unwrap(), "--virtio-win", &drivers]).expect(0).json;
    let codes: Vec<_> =
        plan["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"disk-driver-doubtful"), "{codes:?}");
    assert_eq!(plan["machine"]["disks"][0]["bus"], "sata");
}

/// Hives that Windows made, where they are.
#[test]
fn hives_that_windows_made_are_changed_as_planned() {
    let folder = std::env::var_os("VMDK2KVM_HIVES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/windows"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("{} is not there: tested with made hives only", folder.display());
        return;
    }
    for (name, build, product, uefi) in [
        ("SYSTEM-win10-18362-x64-vmware", 18362, "Windows 10 Pro", false),
        ("SYSTEM-win10-19041-x64-vmware-nvme", 19041, "Windows 10 Pro", true),
    ] {
        let system = unpacked(&folder.join(format!("{name}.xz")));
        let software = software(build, product);
        let settled = match hive::replay(&system, &[]).unwrap() {
            hive::Replayed::Settled { hive } => hive,
            _ => system.clone(),
        };
        let disk = PhonyWindows::new("Windows", &[("SYSTEM", &system), ("SOFTWARE", &software)]);
        let mut disk = if uefi { disk.for_uefi() } else { disk };
        if uefi {
            disk.start = 1 << 28;
        }
        let folder = TempDir::new().unwrap();
        moves(&disk, &folder, &[("SYSTEM", &settled), ("SOFTWARE", &software)], "Windows");
    }
}

fn unpacked(path: &Path) -> Vec<u8> {
    let unpacked = std::process::Command::new("xz").args(["-dc"]).arg(path).output().expect("xz (package xz-utils)");
    assert!(unpacked.status.success(), "{}", path.display());
    unpacked.stdout
}
