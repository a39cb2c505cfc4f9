//! Tools of hypervisors: switched off, told, and to be had again.

use super::windows::{Windows, codes, finding, planned, system};
use crate::hive::Hive;

const MORE: &str = "[ControlSet002\\Services\\xenbus]\n\"Start\"=dword:00000000\n[ControlSet002\\Services\\xenfilt]\n\"Start\"=dword:00000000\n\
     [ControlSet002\\Services\\VBoxGuest]\n\"Start\"=dword:00000001\n[ControlSet002\\Services\\prl_tg]\n\"Start\"=dword:00000003\n\
     [ControlSet002\\Services\\vmbus]\n\"Start\"=dword:00000000\n[ControlSet002\\Services\\LSI_SAS]\n\"Start\"=dword:00000000\n\
     [ControlSet002\\Control\\NetworkProvider\\Order]\n\"ProviderOrder\"=\"VBoxSF,vmhgfs,RDPNP\"\n\
     [ControlSet002\\Control\\Class\\{4D36E96A-E325-11CE-BFC1-08002BE10318}]\n\"UpperFilters\"=multi:\"XENFILT\"\n\
     [ControlSet002\\Control\\Class\\{4D36E96F-E325-11CE-BFC1-08002BE10318}]\n\"UpperFilters\"=multi:\"VBoxMouse\",\"VMMouse\",\"mouclass\"\n";

#[test]
fn every_hypervisor_but_windows_own_is_switched_off() {
    let windows = Windows::made(&(system("ServerNT", "AMD64", true) + MORE), 20348).with_recent(&["2k22"]);
    assert_eq!(
        codes(&windows.inspect().unwrap().findings).iter().filter(|code| **code == "other-hypervisor-drivers").count(),
        3
    );
    let before = windows.hive("SYSTEM");
    let plan = windows.fix();
    let off = &finding(&plan.findings, "tools-switched-off").message;
    assert_eq!(
        off,
        "switched off: VMware Tools: VMMouse (a filter), vmhgfs (a network), VMTools (start 2), vmci (start 0); \
         VirtualBox Guest Additions: VBoxMouse (a filter), VBoxSF (a network), VBoxGuest (start 1); \
         Xen's drivers: XENFILT (a filter), xenbus (start 0), xenfilt (start 0); Parallels Tools: prl_tg (start 3)"
    );
    let start = |name: &str| planned(&plan, &format!("ControlSet002\\Services\\{name}"), "Start");
    assert_eq!(["VMTools", "xenbus", "VBoxGuest", "prl_tg"].map(|name| start(name).unwrap()), ["04000000"; 4]);
    assert_eq!(["vmbus", "LSI_SAS"].map(start), [None, None]);
    let hive = Hive::open(windows.hive("SYSTEM")).unwrap();
    let class = |guid: &str| hive.key(&format!("ControlSet002\\Control\\Class\\{{{guid}}}")).unwrap().unwrap();
    let filters = |guid: &str| class(guid).value("UpperFilters").unwrap();
    assert_eq!(filters("4D36E96A-E325-11CE-BFC1-08002BE10318"), None);
    assert_eq!(filters("4D36E96F-E325-11CE-BFC1-08002BE10318").unwrap().texts().unwrap(), ["mouclass"]);
    let order = hive.key("ControlSet002\\Control\\NetworkProvider\\Order").unwrap().unwrap();
    assert_eq!(order.value("ProviderOrder").unwrap().unwrap().text().unwrap(), "RDPNP");

    // What was there is in a file that the registry's editor takes, and libhivex, too: put back, nothing of it is missing.
    let undo = windows.drive.content("/C:/Windows/vmdk2kvm/undo.reg").unwrap();
    let units: Vec<u16> = undo.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let undo = String::from_utf16(&units).unwrap();
    assert!(undo.starts_with("\u{feff}Windows Registry Editor Version 5.00\r\n"), "{undo}");
    let old = Hive::open(before).unwrap();
    let mut key = String::new();
    let mut values = 0;
    for line in undo.lines().skip(1) {
        if let Some(path) = line.strip_prefix("[HKEY_LOCAL_MACHINE\\SYSTEM\\") {
            key = path.trim_end_matches(']').to_owned();
        } else if line.starts_with('[') {
            key.clear();
        } else if let Some((name, data)) =
            line.strip_prefix('"').and_then(|line| line.split_once("\"=")).filter(|_| !key.is_empty())
        {
            let value = old.key(&key).unwrap().unwrap().value(name).unwrap().unwrap();
            let wanted = match value.number() {
                Some(number) => format!("dword:{number:08x}"),
                None => {
                    let digits: Vec<String> = value.data.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("hex({:x}):{}", value.type_number, digits.join(","))
                }
            };
            assert_eq!(data, wanted, "{key}: {name}");
            values += 1;
        }
    }
    assert_eq!(values, 9, "{undo}");
    assert!(undo.contains("\"DisplayName\"=hex(1):"), "{undo}");
    let script = windows.drive.text("/C:/Windows/vmdk2kvm/tools.cmd");
    let export = "reg export \"HKLM\\SYSTEM\\CurrentControlSet\\Services\\VMTools\" \"%OUT%\\removed\\VMTools.reg\"\r\nsc delete \"VMTools\"\r\n";
    assert!(script.contains(export) && !script.contains("xenbus"), "{script}");
}

#[test]
fn who_wants_them_keeps_them() {
    let mut windows = Windows::made(&(system("ServerNT", "AMD64", true) + MORE), 20348).with_recent(&["2k22"]);
    windows.settings.remove_vmware_tools = false;
    let plan = windows.fix();
    assert!(!codes(&plan.findings).contains(&"tools-switched-off"));
    assert_eq!(planned(&plan, "ControlSet002\\Services\\VMTools", "Start"), None);
    assert!(windows.drive.content("/C:/Windows/vmdk2kvm/undo.reg").is_none());
}
