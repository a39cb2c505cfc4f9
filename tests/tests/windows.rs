//! Windows guests, from the description of a VM to an image whose registry holds what was planned and nothing else. No Windows starts here:
//! the disks are phony, hives are made from text, and real ones are taken where they are there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};
use vmdk2kvm_tests::windows_run::{
    MAC, SLOT, drivers, image, is_moved, is_right, migration, moves, real_hives, software, system, system_text,
    unpacked,
};
use vmdk2kvm_tests::{Beside, Inside, PhonyWindows, Running, Signal, binary, digest, run, write_inside};
use vmdk2kvm_windows_guest::hive;
use vmdk2kvm_windows_guest::testing::{OLDER, RECENT};

/// Whenever a run dies while it changes the guest: no image has its name, and the next run makes what one alone makes.
#[test]
fn a_run_that_is_killed_while_hives_are_changed_leaves_none_half_changed() {
    let folder = TempDir::new().unwrap();
    let (system, software) = (system("WinNT", "DriverDatabase\\DeviceIds"), software(19045, "Windows 10 Pro"));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let disk = PhonyWindows::new("Windows", &hives);
    let vmx = disk.make(folder.path(), &[(MAC, SLOT)]);
    let drivers = drivers(folder.path(), &RECENT);
    let words = migration(folder.path(), &vmx, &drivers);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let image = folder.path().join("out/windows-disk1.raw");
    for after in [0, 400, 1200].map(Duration::from_millis) {
        let mut program = Command::new(binary());
        program.args(&words);
        let mut killed = Running::start(program);
        killed.wait_for_stage("fix");
        std::thread::sleep(after);
        let was_early =
            !killed.events().iter().any(|event| event["event"] == "stage_finished" && event["stage"] == "fix");
        killed.signal(Signal::KILL);
        killed.wait_for_end();
        killed.end();
        assert!(!was_early || !image.exists(), "killed after {after:?}");
    }
    let report = run(&words).expect(0).json;
    is_right(&report, &disk, &folder, &hives, "Windows");
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

/// A server as an OVA with three disks: its own, one with a letter, and one without anything.
#[test]
fn an_older_server_with_three_disks_comes_out_of_an_ova() {
    let folder = TempDir::new().unwrap();
    let system = system_text("ServerNT", "DriverDatabase\\DeviceIds")
        // The card of this one is known by its serial number: an OVF says no slots.
        .replace("FF005056003F0100", "005056FFFF3F000100")
        + "\"\\\\DosDevices\\\\E:\"=hex(3):44,33,22,11,00,00,10,00,00,00,00,00\n";
    let (system, software) = (hive::build(&system).unwrap(), software(9600, "Windows Server 2012 R2 Standard"));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let mut disk = PhonyWindows::new("Windows", &hives);
    let data = Beside::Partition {
        label: "label: dos\nlabel-id: 0x11223344".to_owned(),
        kind: "7",
        files: Some(vec![("data.txt".to_owned(), b"kept".to_vec())]),
    };
    disk.beside = vec![data, Beside::Blank];
    disk.make(folder.path(), &[]);
    let archive = disk.pack(folder.path(), MAC);
    let report = is_moved((&archive, &archive), &disk, &folder, &hives, ("Windows", &OLDER));
    let letters =
        report["inspection"]["disks"].as_array().unwrap().iter().flat_map(|disk| disk["devices"].as_array().unwrap());
    let letters: Vec<_> =
        letters.filter_map(|device| Some((device["device"].as_str()?, device["last_mounted"].as_str()?))).collect();
    assert_eq!(letters, [("/dev/sda2", "C:"), ("/dev/sdb1", "E:")]);
    let buses: Vec<_> =
        report["machine"]["disks"].as_array().unwrap().iter().map(|disk| disk["bus"].as_str().unwrap()).collect();
    assert_eq!(buses, ["virtio"; 3]);
    assert_eq!(report["images"].as_array().unwrap().len(), 3);
    let inside = Inside::ntfs(&image(folder.path(), &report), disk.start);
    let network = fs::read_to_string(inside.path().join("Windows/vmdk2kvm/network.ps1")).unwrap();
    assert!(network.contains("mac = '00:50:56:3F:00:01'"), "{network}");
}

/// The findings of an inspection, each with something to do about it.
fn findings(inspection: &Value) -> Vec<(&str, &str, &str)> {
    let all = inspection["findings"].as_array().unwrap();
    assert!(all.iter().all(|finding| finding["hint"].as_str().is_some_and(|hint| !hint.is_empty())), "{all:#?}");
    all.iter()
        .map(|one| {
            let [severity, code, message] = ["severity", "code", "message"].map(|name| one[name].as_str().unwrap());
            (severity, code, message)
        })
        .collect()
}

/// What only a Windows opens is refused with its cause before a byte of the guest is changed.
#[test]
fn what_only_a_windows_opens_is_refused_with_its_cause() {
    let (system, software) = (system("WinNT", "DriverDatabase\\DeviceIds"), software(19045, "Windows 10 Pro"));
    let hives: [(&str, &[u8]); 2] = [("SYSTEM", &system), ("SOFTWARE", &software)];
    let mut locked =
        PhonyWindows { mark: Some(b"\xeb\x58\x90-FVE-FS-".to_vec()), ..PhonyWindows::new("Windows", &hives) };
    let partition = |label: &str, kind| Beside::Partition { label: label.to_owned(), kind, files: None };
    locked.beside =
        vec![partition("label: dos", "42"), partition("label: gpt", "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D")];
    let folder = TempDir::new().unwrap();
    let vmx = locked.make(folder.path(), &[]);
    let inspected = run(&["inspect", vmx.to_str().unwrap()]).expect(0).json;
    assert_eq!(inspected["os"]["family"], "windows");
    let found = findings(&inspected);
    for (code, device) in [("bitlocker", "/dev/sda2"), ("dynamic-disk", "/dev/sdb1"), ("storage-spaces", "/dev/sdc1")] {
        let is_it = |(severity, own, message): &&(&str, &str, &str)| {
            *severity == "block" && *own == code && message.starts_with(device)
        };
        assert!(found.iter().any(|one| is_it(&one)), "{code}: {found:?}");
    }
}

/// A session that sleeps, and two systems of which nobody chose, beside what is left of a third: the plan is blocked, and says both.
#[test]
fn a_session_that_sleeps_and_a_second_system_block_the_plan() {
    let (system, software) = (system("WinNT", "DriverDatabase\\DeviceIds"), software(19045, "Windows 10 Pro"));
    let mut asleep = PhonyWindows::new("Windows", &[("SYSTEM", &system), ("SOFTWARE", &software)]);
    asleep.files.push(("hiberfil.sys".to_owned(), [b"HIBR".to_vec(), vec![0; 8192]].concat()));
    for name in ["WINNT/System32/config/SYSTEM", "old/System32/config/SYSTEM"] {
        asleep.files.push((name.to_owned(), system.clone()));
    }
    asleep.files.push(("WINNT/System32/config/SOFTWARE".to_owned(), software.clone()));
    let folder = TempDir::new().unwrap();
    let vmx = asleep.make(folder.path(), &[]);
    let refused = run(&["plan", vmx.to_str().unwrap()]).expect(81);
    let message = refused.message();
    assert!(
        message.contains("the disks hold several Windows systems: /dev/sda2 (WINNT), /dev/sda2 (Windows)"),
        "{message}"
    );
    assert!(message.contains("(and "), "{message}");
    assert!(refused.hint().contains("--root"), "{}", refused.hint());
}

/// A 64-bit Windows stops when it is to start from a driver that was changed after it was signed.
#[test]
fn a_disk_driver_that_nobody_vouches_for_is_not_started_from() {
    let (system, software) = (system("WinNT", "DriverDatabase\\DeviceIds"), software(19045, "Windows 10 Pro"));
    let folder = TempDir::new().unwrap();
    let vmx = PhonyWindows::new("Windows", &[("SYSTEM", &system), ("SOFTWARE", &software)]).make(folder.path(), &[]);
    let drivers = drivers(folder.path(), &RECENT);
    for driver in ["viostor", "vioscsi"] {
        let program = Path::new(&drivers).join(format!("{driver}/w10/amd64/{driver}.sys"));
        let mut bytes = fs::read(&program).unwrap();
        bytes.extend(b"changed");
        fs::write(program, bytes).unwrap();
    }
    let saved = folder.path().join("plan.json");
    let saved = saved.to_str().unwrap();
    let plan = run(&["plan", vmx.to_str().unwrap(), "--virtio-win", &drivers, "--out", saved]).expect(0).json;
    let codes: Vec<_> =
        plan["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"disk-driver-doubtful"), "{codes:?}");
    assert_eq!(plan["machine"]["disks"][0]["bus"], "sata");

    // Somebody changes the registry before the plan is carried out: nothing is overwritten.
    let edit =
        RegistryEdit::new("ControlSet002\\Services\\VMTools", "New", None, Some(RegistryValue::new(4, &[1, 0, 0, 0])));
    let changed = hive::edit(system, &[edit]).unwrap();
    write_inside(&folder.path().join("windows-flat.vmdk"), 525_336_576, "Windows/System32/config/SYSTEM", &changed);
    let before = digest(&folder.path().join("windows-flat.vmdk"));
    let out = folder.path().join("applied");
    let refused = run(&["apply", saved, "-o", out.to_str().unwrap()]).expect(65);
    assert!(refused.message().ends_with("disk 1 changed since the plan was made"), "{}", refused.message());
    assert_eq!(digest(&folder.path().join("windows-flat.vmdk")), before);
    assert!(!out.join("windows-disk1.qcow2").exists());
}

/// Hives that Windows made, where they are.
#[test]
fn hives_that_windows_made_are_changed_as_planned() {
    let Some(folder) = real_hives() else { return };
    for (name, build, product, uefi, logs, told) in [
        ("SYSTEM-win10-18362-x64-vmware", 18362, "Windows 10 Pro", false, false, Some("hive-settled")),
        ("SYSTEM-win10-19041-x64-vmware-nvme", 19041, "Windows 10 Pro", true, false, None),
        ("dirty/SYSTEM-win10-16299-x64-laptop", 16299, "Windows 10 Pro", false, true, Some("hive-replayed")),
    ] {
        let packed = |ending: &str| unpacked(&folder.join(format!("{name}{ending}.xz")));
        let system = packed("");
        let software = software(build, product);
        let settled = match hive::replay(&system, &[]).unwrap() {
            _ if logs => packed(".replayed"),
            hive::Replayed::Settled { hive } => hive,
            _ => system.clone(),
        };
        let mut hives: Vec<(&str, &[u8])> = vec![("SYSTEM", &system), ("SOFTWARE", &software)];
        let files = if logs { [packed(".LOG1"), packed(".LOG2")] } else { [Vec::new(), Vec::new()] };
        hives.extend([("SYSTEM.LOG1", files[0].as_slice()), ("SYSTEM.LOG2", &files[1])]);
        let disk = PhonyWindows::new("Windows", &hives);
        let mut disk = if uefi { disk.for_uefi() } else { disk };
        if uefi {
            disk.start = 1 << 28;
        }
        let folder = TempDir::new().unwrap();
        let report = moves(&disk, &folder, &[("SYSTEM", &settled), ("SOFTWARE", &software)], "Windows");
        let codes: Vec<&str> = findings(&report["inspection"]).into_iter().map(|(_, code, _)| code).collect();
        let of_hives: Vec<_> = codes.iter().filter(|code| code.starts_with("hive-")).copied().collect();
        assert_eq!(of_hives, told.into_iter().collect::<Vec<_>>(), "{name}");
    }
}
