//! What stops a move, or makes a slower machine of it: each with its cause and what to do.

use vmdk2kvm_plugin_api::model::Severity;

use super::windows::{MAC, WAITING_AHCI, Windows, codes, finding, software, system};
use crate::hive;
use crate::inspect::Hibernation;

fn ten(more: &str) -> Windows {
    Windows::made(&(system("WinNT", "AMD64", true) + more), 19045)
}

#[test]
fn a_system_that_sleeps() {
    let mut windows = ten("");
    windows.layout.hibernation = Hibernation::Yes;
    let found = windows.inspect().unwrap().findings;
    assert_eq!(finding(&found, "hibernated").severity, Severity::Block);
}

#[test]
fn a_policy_that_keeps_drivers_out() {
    let software = hive::build(
        "[Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"19045\"\n\
         [Policies\\Microsoft\\Windows\\DeviceInstall\\Restrictions]\n\"DenyUnspecified\"=dword:00000001\n\"DenyDeviceIDs\"=dword:00000000\n",
    );
    let windows = Windows::new(hive::build(&system("WinNT", "AMD64", true)).unwrap(), software.unwrap());
    let found = windows.inspect().unwrap().findings;
    let found = finding(&found, "device-installation-denied");
    assert_eq!(found.severity, Severity::Block);
    assert!(found.message.contains("(DenyUnspecified)"), "{}", found.message);
}

#[test]
fn a_build_that_nobody_says() {
    let windows = Windows::new(
        hive::build(&system("WinNT", "AMD64", true)).unwrap(),
        hive::build("[Microsoft\\Windows NT\\CurrentVersion]\n\"ProductName\"=\"Windows\"\n").unwrap(),
    );
    assert_eq!(finding(&windows.inspect().unwrap().findings, "windows-unknown-build").severity, Severity::Block);
}

#[test]
fn a_source_without_drivers_for_this_windows() {
    let windows = ten(WAITING_AHCI).with_recent(&["2k22"]);
    let plan = windows.fix();
    for (code, instead) in [("no-disk-driver", "SATA disks"), ("no-network-driver", "e1000e cards")] {
        let found = finding(&plan.findings, code);
        assert!(found.message.contains(instead) && found.message.contains("for 2k22"), "{}", found.message);
    }
    assert!(plan.changes.iter().all(|change| !change.target.contains("viostor")), "{:#?}", plan.changes);
}

/// Drivers that their maker alone signed stop a 64-bit system that starts from them (0xC0000428).
#[test]
fn drivers_that_a_64_bit_system_does_not_load() {
    let windows = Windows::made(&(system("WinNT", "AMD64", true) + WAITING_AHCI), 9600).with_recent(&["w8.1"]);
    let plan = windows.fix();
    let found = finding(&plan.findings, "no-disk-driver");
    assert!(found.message.contains("viostor/w8.1/amd64"), "{}", found.message);
    assert!(!plan.drives.iter().any(|word| word.starts_with("virtio")), "{:?}", plan.drives);
}

#[test]
fn a_drive_without_room() {
    let mut windows = ten("").with_recent(&["w10"]);
    windows.layout.mounts[0].free_bytes = Some(19 << 20);
    let found = windows.inspect().unwrap().findings;
    assert_eq!(finding(&found, "little-space").severity, Severity::Block);
    // What is copied must fit, and leave something for the start.
    windows.layout.mounts[0].free_bytes = Some(20 << 20);
    let plan = windows.plan().unwrap();
    let found = finding(&plan.findings, "no-room-for-drivers");
    assert_eq!(found.severity, Severity::Block);
    assert!(
        found.message.starts_with("the system's drive has 20 MiB free, and 21 MiB are needed"),
        "{}",
        found.message
    );
    windows.layout.mounts[0].free_bytes = Some(21 << 20);
    assert!(!codes(&windows.plan().unwrap().findings).contains(&"no-room-for-drivers"));
}

/// Addresses that were set by hand need something in the guest that sets them again.
#[test]
fn addresses_of_a_system_without_powershell() {
    let card = "[ControlSet002\\Control\\Class\\{4D36E972-E325-11CE-BFC1-08002BE10318}\\0007]\n\"NetCfgInstanceId\"=\"{AAAA}\"\n\
         \"DeviceInstanceID\"=\"PCI\\\\VEN_15AD&DEV_07B0\\\\FF005056003F0100\"\n\"NetLuidIndex\"=dword:00008000\n\"*IfType\"=dword:00000006\n\
         [ControlSet002\\Enum\\PCI\\VEN_15AD&DEV_07B0\\FF005056003F0100]\n\"UINumber\"=dword:000000c0\n\
         [ControlSet002\\Services\\Tcpip\\Parameters\\Interfaces\\{AAAA}]\n\"EnableDHCP\"=dword:00000000\n\"IPAddress\"=multi:\"10.0.2.77\"\n\
         \"SubnetMask\"=multi:\"255.255.255.0\"\n\
         [ControlSet002\\Services\\Tcpip6\\Parameters\\Interfaces\\{AAAA}]\n\"NameServer\"=\"fd00::53\"\n\
         [ControlSet002\\Control\\Nsi\\{eb004a01-9b1a-11d4-9123-0050047759bc}\\10]\n\
         \"0000000080000600fd000000000000000000000000000007\"=hex(3):ff,ff,ff,ff,ff,ff,ff,ff,01,00,00,00,01,00,00,00,30,00,00,00\n\
         \"0000000080000600fe800000000000000000000000000007\"=hex(3):ff,ff,ff,ff,ff,ff,ff,ff,01,00,00,00,01,00,00,00,40,00,00,00\n\
         \"0000000180000600fd000000000000000000000000000008\"=hex(3):ff,ff,ff,ff,ff,ff,ff,ff,01,00,00,00,01,00,00,00,40,00,00,00\n";
    let windows = ten(card).with_recent(&["w10"]);
    let shown = &windows.inspect().unwrap().network.interfaces[0];
    assert_eq!((shown.mac.as_deref(), shown.addresses.join(" ").as_str()), (Some(MAC), "10.0.2.77/24 fd00::7/48"));
    let plan = windows.fix();
    let script = windows.drive.text("/C:/Windows/vmdk2kvm/network.ps1");
    assert!(script.contains("ipv6 = @('fd00::7/48'); servers6 = @('fd00::53')"), "{script}");
    finding(&plan.findings, "ipv6-routes-left");

    let without = Windows::made(&(system("ServerNT", "x86", false) + card), 3790);
    without.drive.remove("/C:/Windows/System32/WindowsPowerShell/v1.0/powershell.exe");
    let plan = without.plan().unwrap();
    assert_eq!(finding(&plan.findings, "network-settings-left").severity, Severity::Warn);
    assert!(plan.changes.iter().all(|change| !change.target.ends_with("network.ps1")));
}

#[test]
fn a_registry_that_is_damaged() {
    let windows = Windows::new(b"regf and no more".to_vec(), software(19045, "Windows 10"));
    let error = windows.inspect().unwrap_err();
    assert!(error.message.contains("/config/SYSTEM: ") && error.hint.is_some(), "{}", error.message);
}
