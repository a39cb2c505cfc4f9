//! A Windows to be planned for: its hives and files on a drive in memory, its machine, and drivers to choose from.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::model::{
    Action, Finding, Firmware, FixerPlan, GuestDiskInfo, Inspection, MountInfo, Nic, NicKind, PlanContext, RegistryEdit,
};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};
use vmdk2kvm_plugin_testing::sample;

use super::drive::Drive;
use crate::hive::{self, Differs};
use crate::inspect::{Hibernation, Layout, inspect};
use crate::places::System;
use crate::testing::{self, RECENT, Release};
use crate::{FixSettings, WindowsFixer};

pub const MAC: &str = "00:50:56:3f:00:01";
pub const CONFIG: &str = "/C:/Windows/System32/config";

/// What a Windows says of itself in SOFTWARE.
pub fn software(build: u32, product: &str) -> Vec<u8> {
    hive::build(&format!(
        "[Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"{build}\"\n\"ProductName\"=\"{product}\"\n\
         [Microsoft\\Windows\\CurrentVersion\\Uninstall\\{{7D1F}}]\n\"DisplayName\"=\"VMware Tools\"\n\
         [Microsoft\\Windows\\CurrentVersion\\Run]\n\"VMware User Process\"=\"vmtoolsd.exe -n vmusr\"\n\"Other\"=\"other.exe\"\n"
    ))
    .unwrap()
}

/// The text of a SYSTEM hive; more keys can be put behind it.
pub fn system(product_type: &str, processor: &str, has_database: bool) -> String {
    let cs = "ControlSet002";
    let database = if has_database {
        "DriverDatabase\\DeviceIds".to_owned()
    } else {
        format!("{cs}\\Control\\CriticalDeviceDatabase")
    };
    format!(
        "[Select]\n\"Current\"=dword:00000002\n\"LastKnownGood\"=dword:00000001\n\
         [ControlSet001\\Services\\storahci]\n\"Start\"=dword:00000003\n\
         [{cs}\\Control\\ProductOptions]\n\"ProductType\"=\"{product_type}\"\n\
         [{cs}\\Control\\Session Manager\\Environment]\n\"PROCESSOR_ARCHITECTURE\"=\"{processor}\"\n\
         [{database}]\n\
         [{cs}\\Services\\VMTools]\n\"Start\"=dword:00000002\n[{cs}\\Services\\vmci]\n\"Start\"=dword:00000000\n\
         [{cs}\\Services\\partmgr\\Parameters]\n\"SanPolicy\"=dword:00000002\n\
         [{cs}\\Control\\CrashControl]\n\"AutoReboot\"=dword:00000001\n"
    )
}

/// A driver that waits for its device, as Windows 8 and later leave it.
pub const WAITING_AHCI: &str = "[ControlSet002\\Services\\storahci]\n\"Start\"=dword:00000000\n[ControlSet002\\Services\\storahci\\StartOverride]\n\"0\"=dword:00000003\n";

pub struct Windows {
    pub drive: Drive,
    pub layout: Layout,
    pub settings: FixSettings,
    drivers: tempfile::TempDir,
}

impl Windows {
    pub fn new(system: impl Into<Vec<u8>>, software: impl Into<Vec<u8>>) -> Self {
        let drive = Drive::default();
        drive.put(&format!("{CONFIG}/SYSTEM"), system);
        drive.put(&format!("{CONFIG}/SOFTWARE"), software);
        for path in ["System32/cmd.exe", "System32/WindowsPowerShell/v1.0/powershell.exe", "System32/drivers/disk.sys"]
        {
            drive.put(&format!("/C:/Windows/{path}"), "MZ");
        }
        let mount = MountInfo::new("/dev/sda2", "/C:", "ntfs").with(|mount| mount.free_bytes = Some(4 << 30));
        let vm = sample::vm("web").with(|vm| {
            vm.nics = vec![Nic::new(NicKind::Network).with(|nic| {
                nic.mac = Some(MAC.to_owned());
                nic.slot = Some(192);
            })];
        });
        let layout = Layout {
            system: System { drive: "/C:".to_owned(), folder: "/C:/Windows".to_owned() },
            firmware: Firmware::Bios,
            hibernation: Hibernation::No,
            root: "/dev/sda2".to_owned(),
            mounts: vec![mount],
            disks: vec![GuestDiskInfo::new(0, 4 << 30, "mbr")],
            vm,
        };
        let drivers = tempfile::tempdir().unwrap();
        let settings =
            FixSettings { virtio_win: drivers.path().to_str().unwrap().to_owned(), ..FixSettings::default() };
        Self { drive, layout, settings, drivers }
    }

    /// The same with drivers to choose from: those of a recent release of virtio-win, of these folders.
    pub fn with_recent(self, folders: &[&str]) -> Self {
        let releases: Vec<Release> = RECENT.into_iter().filter(|release| folders.contains(&release.os)).collect();
        self.with_releases(&releases)
    }

    /// The same with these drivers to choose from.
    pub fn with_releases(self, releases: &[Release]) -> Self {
        testing::source(self.drivers.path(), testing::Layout::Iso, releases);
        self
    }

    /// One made from a text, for a server of this build.
    pub fn made(system: &str, build: u32) -> Self {
        Self::new(hive::build(system).unwrap(), software(build, "Windows"))
    }

    /// An XP that has not got drivers for IDE.
    pub fn xp() -> Self {
        Self::made(&system("WinNT", "x86", false), 2600).with_recent(&["w7"])
    }

    /// Gives it those.
    pub fn put_ide_drivers(&self) {
        for file in ["atapi", "intelide", "pciide", "pciidex"] {
            self.drive.put(&format!("/C:/Windows/System32/drivers/{file}.sys"), "MZ");
        }
    }

    pub fn hive(&self, name: &str) -> Vec<u8> {
        self.drive.content(&format!("{CONFIG}/{name}")).unwrap()
    }

    pub fn inspect(&self) -> Result<Inspection> {
        inspect(&self.drive, &self.layout)
    }

    pub fn plan(&self) -> Result<FixerPlan> {
        let context = PlanContext::new(self.layout.vm.clone(), self.inspect()?);
        WindowsFixer::new(self.settings.clone()).plan(&context, &self.drive)
    }

    /// Carries a plan out, and holds every hive against it: sound, changed as planned and in nothing else, with nothing left to plan.
    #[track_caller]
    pub fn fix(&self) -> FixerPlan {
        let plan = self.plan().unwrap();
        let (replays, others): (Vec<_>, Vec<_>) =
            plan.changes.iter().partition(|change| matches!(change.action, Action::ReplayLog { .. }));
        let apply = |changes: Vec<_>| {
            for change in changes {
                self.drive.apply(change).unwrap_or_else(|error| panic!("{}: {error}", change.target));
            }
        };
        apply(replays);
        let before = ["SYSTEM", "SOFTWARE"].map(|name| (name, self.hive(name)));
        apply(others);
        for (name, old) in before {
            is_as_planned(&old, &self.hive(name), &edits_of(&plan, name), name);
        }
        let again = self.plan().unwrap();
        assert!(again.changes.is_empty(), "planned again: {:#?}", again.changes);
        plan
    }
}

/// The edits of a hive.
pub fn edits_of(plan: &FixerPlan, name: &str) -> Vec<RegistryEdit> {
    let target = format!("{CONFIG}/{name}");
    let edits =
        plan.changes.iter().filter(|change| change.target == target).filter_map(|change| match &change.action {
            Action::EditRegistry { edits } => Some(edits.clone()),
            _ => None,
        });
    edits.flatten().collect()
}

/// The value that a plan gives a key of a hive; `None` when it says nothing of it.
pub fn planned(plan: &FixerPlan, key: &str, name: &str) -> Option<String> {
    let edits = edits_of(plan, "SYSTEM");
    let edit = edits.iter().find(|edit| edit.key.eq_ignore_ascii_case(key) && edit.name.eq_ignore_ascii_case(name))?;
    Some(edit.new.as_ref().map_or_else(|| "removed".to_owned(), |new| new.hex.clone()))
}

#[track_caller]
fn is_as_planned(old: &[u8], new: &[u8], edits: &[RegistryEdit], name: &str) {
    hive::check(new).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
    let mut planned: BTreeMap<(String, String), Option<String>> = edits
        .iter()
        .map(|edit| {
            ((edit.key.to_uppercase(), edit.name.to_uppercase()), edit.new.as_ref().map(|value| value.hex.clone()))
        })
        .collect();
    let keys: Vec<String> = edits.iter().map(|edit| format!("{}\\", edit.key.to_uppercase())).collect();
    for difference in hive::differences(old, new).unwrap() {
        let key = difference.key.to_uppercase();
        match &difference.what {
            Differs::Value { old, new } => {
                let value_name = new.as_ref().or(old.as_ref()).unwrap().name.to_uppercase();
                let found =
                    new.as_ref().map(|value| value.data.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                let wanted = planned.remove(&(key, value_name));
                assert_eq!(wanted, Some(found), "{name}: {difference:?} was not planned");
            }
            Differs::Added { .. } => {
                assert!(keys.iter().any(|planned| planned.starts_with(&format!("{key}\\"))), "{name}: {difference:?}");
            }
            _ => panic!("{name}: {difference:?} was not planned"),
        }
    }
    assert!(planned.is_empty(), "{name}: planned and not done: {planned:?}");
}

/// The codes of findings.
pub fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// The finding of this code, which must say what to do.
#[track_caller]
pub fn finding<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.code == code);
    let found = found.unwrap_or_else(|| panic!("there is no {code}: {findings:#?}"));
    assert!(!found.hint.is_empty(), "{code} has no hint");
    found
}
