//! Each Windows gets the drivers that are for it, by the model that it knows, and nothing else.

use super::windows::{CONFIG, WAITING_AHCI, Windows, codes, edits_of, finding, planned, software, system};
use crate::hive::{self, Replayed, real_hives};
use crate::testing::OLDER;
use crate::version::Architecture;

/// What a plan promises, in order and once.
fn drives(windows: &Windows, plan: &vmdk2kvm_plugin_api::model::FixerPlan) -> Vec<String> {
    let mut words = [windows.inspect().unwrap().drives, plan.drives.clone()].concat();
    words.sort();
    words.dedup();
    words
}

#[test]
fn servers_with_a_database_of_drivers() {
    for (build, folder) in [(14393, "2k16"), (17763, "2k19"), (20348, "2k22"), (26100, "2k25")] {
        let text = system("ServerNT", "AMD64", true) + WAITING_AHCI;
        let windows = Windows::made(&text, build).with_recent(&["w10", folder]);
        let plan = windows.fix();
        assert_eq!(drives(&windows, &plan), ["ahci", "e1000e", "virtio-blk", "virtio-net", "virtio-scsi"], "{build}");
        let cs = "ControlSet002";
        let service = |name: &str| planned(&plan, &format!("{cs}\\Services\\viostor"), name);
        assert_eq!(service("Start").as_deref(), Some("00000000"), "{build}");
        assert_eq!(
            planned(&plan, &format!("{cs}\\Services\\viostor\\Parameters"), "BusType").as_deref(),
            Some("01000000")
        );
        assert_eq!(
            planned(&plan, &format!("{cs}\\Services\\vioscsi\\Parameters"), "BusType").as_deref(),
            Some("0a000000")
        );
        assert_eq!(
            planned(&plan, &format!("{cs}\\Services\\storahci\\StartOverride"), "0").as_deref(),
            Some("removed")
        );
        for id in ["VEN_1AF4&DEV_1001", "VEN_1AF4&DEV_1042", "VEN_1AF4&DEV_1048"] {
            let key = format!("DriverDatabase\\DeviceIds\\PCI\\{id}").to_uppercase();
            let has = edits_of(&plan, "SYSTEM").iter().any(|edit| edit.key.to_uppercase().starts_with(&key));
            assert!(has, "{build}: {id}");
        }
        // A control set that the system does not start with is left alone.
        assert!(edits_of(&plan, "SYSTEM").iter().all(|edit| !edit.key.starts_with("ControlSet001")), "{build}");
        let why = &plan
            .changes
            .iter()
            .find(|change| change.target.ends_with("/System32/drivers/viostor.sys"))
            .unwrap()
            .reason;
        assert!(why.contains(folder), "{build}: {why}");
    }
}

/// 8.1 and 2012 R2 load no driver that only its maker signed: an older release has one, a recent one does not.
#[test]
fn a_server_2012_r2_takes_an_older_release() {
    let text = system("ServerNT", "AMD64", true) + WAITING_AHCI;
    let windows = Windows::made(&text, 9600).with_releases(&OLDER);
    let plan = windows.fix();
    assert!(plan.drives.contains(&"virtio-blk".to_owned()), "{:?}", plan.findings);

    let windows = Windows::made(&text, 9600).with_recent(&["2k12R2", "w8.1"]);
    let plan = windows.fix();
    assert_eq!(drives(&windows, &plan), ["ahci", "e1000e"]);
    for (code, word) in [("no-disk-driver", "SATA"), ("no-network-driver", "e1000e")] {
        let found = finding(&plan.findings, code);
        assert!(found.message.contains(word) && found.message.contains("is self-signed"), "{}", found.message);
    }
}

#[test]
fn xp_gets_ide_and_an_old_card_and_is_told_so() {
    let windows = Windows::xp();
    let refused = windows.plan().unwrap();
    let found = finding(&refused.findings, "ide-driver-missing");
    assert!(found.message.contains("atapi.sys, intelide.sys, pciide.sys, pciidex.sys"), "{}", found.message);

    windows.put_ide_drivers();
    let plan = windows.fix();
    assert_eq!(drives(&windows, &plan), ["ide", "rtl8139"]);
    let found = finding(&plan.findings, "no-drivers-for-windows");
    assert!(found.message.contains("Windows XP") && found.message.contains("IDE"), "{}", found.message);
    let list = "ControlSet002\\Control\\CriticalDeviceDatabase";
    // "intelide" as a text of the registry.
    let wanted: String = "intelide\0".encode_utf16().map(|unit| format!("{:02x}00", unit)).collect();
    assert_eq!(planned(&plan, &format!("{list}\\pci#ven_8086&dev_7010"), "Service"), Some(wanted));
    for driver in ["atapi", "intelide", "pciide"] {
        assert_eq!(planned(&plan, &format!("ControlSet002\\Services\\{driver}"), "Start").as_deref(), Some("00000000"));
    }
    assert!(plan.changes.iter().all(|change| !change.target.contains("/viostor")), "{:#?}", plan.changes);
}

/// The registry of a Windows 7 with two cards that have fixed addresses and are known by their slots alone.
#[test]
fn a_real_seven() {
    let Some(bytes) = real_hives::real("SYSTEM-win7-x86-vmware") else { return };
    let mut windows = Windows::new(bytes, software(7601, "Windows 7 Professional")).with_recent(&["w7"]);
    windows.layout.vm.nics[0].slot = Some(33);
    let plan = windows.fix();
    let list = "ControlSet001\\Control\\CriticalDeviceDatabase";
    assert!(planned(&plan, &format!("{list}\\PCI#VEN_1AF4&DEV_1001"), "Service").is_some());
    assert!(edits_of(&plan, "SYSTEM").iter().all(|edit| !edit.key.starts_with("DriverDatabase")));
    assert_eq!(planned(&plan, "ControlSet001\\Services\\msahci", "Start").as_deref(), Some("00000000"));
    assert!(drives(&windows, &plan).iter().any(|word| word == "virtio-blk"));
    let script = windows.drive.text("/C:/Windows/vmdk2kvm/network.ps1");
    assert!(script.contains("name = 'Local Area Connection'; ") && script.contains("'192.168.1.123'"), "{script}");
    // The other card is none of the VM's.
    assert!(!script.contains("10.3.58.5"), "{script}");
    assert!(finding(&plan.findings, "network-settings-without-card").message.contains("10.3.58.5/24"));
}

/// The registry of a Windows 8.1 that ran in VirtualBox, dirty by one, without logs.
#[test]
fn a_real_eight_point_one() {
    let Some(bytes) = real_hives::real("SYSTEM-win81-x64-virtualbox") else { return };
    let windows = Windows::new(bytes, software(9600, "Windows 8.1 Pro")).with_releases(&OLDER);
    let inspection = windows.inspect().unwrap();
    assert!(codes(&inspection.findings).contains(&"hive-settled"), "{:?}", inspection.findings);
    let plan = windows.fix();
    assert_eq!(plan.changes[0].action.kind(), "replay_log");
    assert!(plan.drives.contains(&"virtio-blk".to_owned()), "{:?}", plan.findings);
    assert_eq!(planned(&plan, "ControlSet001\\Services\\atapi\\StartOverride", "0").as_deref(), Some("removed"));
    let order = planned(&plan, "ControlSet001\\Control\\NetworkProvider\\Order", "ProviderOrder").unwrap();
    let wanted: String =
        "RDPNP,LanmanWorkstation,WebClient\0".encode_utf16().map(|unit| format!("{unit:02x}00")).collect();
    assert_eq!(order, wanted);
    assert!(!codes(&windows.inspect().unwrap().findings).contains(&"hive-settled"), "it is whole now");
}

/// A 32-bit Windows 10 asks for no signature: the drivers of whoever made them are taken.
#[test]
fn a_client_of_each_architecture() {
    for (processor, architecture) in [("x86", Architecture::X86), ("ARM64", Architecture::Arm64)] {
        let windows = Windows::made(&system("WinNT", processor, true), 19045).with_recent(&["w10"]);
        let plan = windows.fix();
        let store = format!("viostor.inf_{}_", architecture.word());
        assert!(plan.changes.iter().any(|change| change.target.contains(&store)), "{store}");
    }
}

/// A value that is longer than one cell can be stays as it is.
#[test]
fn long_values_are_kept() {
    let long: Vec<String> = (0..20_000).map(|at: u32| format!("{:02x}", at % 251)).collect();
    let text = format!(
        "{}[ControlSet002\\Services\\Long]\n\"Data\"=hex(3):{}\n",
        system("ServerNT", "AMD64", true),
        long.join(",")
    );
    let windows = Windows::made(&text, 20348).with_recent(&["2k22"]);
    windows.fix();
    let hive = hive::Hive::open(windows.hive("SYSTEM")).unwrap();
    let data = hive.key("ControlSet002\\Services\\Long").unwrap().unwrap().value("Data").unwrap().unwrap().data;
    assert_eq!(data.len(), 20_000);
    assert!(matches!(hive::replay(hive.bytes(), &[]), Ok(Replayed::Whole)));
}

/// What changed after the plan was made is not overwritten, and nothing else of that hive is written either.
#[test]
fn a_hive_that_changed_since_is_left_alone() {
    let windows = Windows::made(&(system("ServerNT", "AMD64", true) + WAITING_AHCI), 20348).with_recent(&["2k22"]);
    let plan = windows.plan().unwrap();
    let path = format!("{CONFIG}/SYSTEM");
    let changed =
        Windows::made(&(system("ServerNT", "AMD64", true) + &WAITING_AHCI.replace("00000003", "00000001")), 20348);
    windows.drive.put(&path, changed.hive("SYSTEM"));
    let change = plan.changes.iter().find(|change| change.target == path).unwrap();
    let error = vmdk2kvm_plugin_api::Guest::apply(&windows.drive, change).unwrap_err();
    assert!(
        error.message.ends_with("StartOverride is not what it was when the change was planned"),
        "{}",
        error.message
    );
    assert_eq!(error.hint.as_deref(), Some("make a new plan"));
    assert_eq!(windows.hive("SYSTEM"), changed.hive("SYSTEM"));
}
