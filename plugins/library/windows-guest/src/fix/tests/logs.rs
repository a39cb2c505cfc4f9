//! Hives that were left in the midst of being written, as files of a guest: what Windows made of them, and not a word lost.

use super::windows::{CONFIG, Windows, codes, finding, software, system};
use crate::hive::{self, real_hives::real};

/// The registry of a laptop with both logs, of which 24 steps were not in the hive yet.
#[test]
fn a_real_registry_is_brought_up_to_date_and_then_changed() {
    let part = |name: &str| real(&format!("dirty/SYSTEM-win10-16299-x64-laptop{name}"));
    let Some(bytes) = part("") else { return };
    let windows = Windows::new(bytes, software(16299, "Windows 10 Pro")).with_recent(&["w10"]);
    for log in [".LOG1", ".LOG2"] {
        windows.drive.put(&format!("{CONFIG}/SYSTEM{log}"), part(log).unwrap());
    }
    let found = windows.inspect().unwrap().findings;
    assert!(finding(&found, "hive-replayed").message.contains("SYSTEM") && !codes(&found).contains(&"hive-settled"));
    assert!(finding(&found, "hive-replayed").message.contains("(24 steps)"));
    let plan = windows.plan().unwrap();
    assert_eq!(plan.changes[0].action.kind(), "replay_log");
    vmdk2kvm_plugin_api::Guest::apply(&windows.drive, &plan.changes[0]).unwrap();
    assert!(windows.hive("SYSTEM") == part(".replayed").unwrap(), "another hive came out");
    // From here on it is any other guest.
    let plan = windows.fix();
    assert!(plan.changes.iter().all(|change| change.action.kind() != "replay_log"));
}

/// Small hives in the place of SOFTWARE: what Windows itself made of them, but for what it writes into a header of its own.
#[test]
fn small_hives_become_what_windows_made_of_them() {
    for (folder, name, logs, made, differ) in [
        ("NewDirtyHive1", "NewDirtyHive", &[".LOG1", ".LOG2"][..], "RecoveredHive_Windows10", 0),
        ("OldDirtyHive", "OldDirtyHive", &[".LOG1"], "RecoveredHive_Windows7", 34),
    ] {
        let part = |name: &str| real(&format!("dirty/{folder}/{name}"));
        let Some(bytes) = part(name) else { return };
        let windows = Windows::new(hive::build(&system("WinNT", "AMD64", true)).unwrap(), bytes);
        for log in logs {
            windows.drive.put(&format!("{CONFIG}/SOFTWARE{log}"), part(&format!("{name}{log}")).unwrap());
        }
        let plan = windows.plan().unwrap();
        let replay = plan.changes.iter().find(|change| change.action.kind() == "replay_log").unwrap();
        assert_eq!(replay.target, format!("{CONFIG}/SOFTWARE"));
        vmdk2kvm_plugin_api::Guest::apply(&windows.drive, replay).unwrap();
        let (ours, theirs) = (windows.hive("SOFTWARE"), part(made).unwrap());
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let differing = (0..ours.len()).filter(|at| ours[*at] != theirs[*at]).count();
        assert_eq!(differing, differ, "{name}");
        hive::check(&ours).unwrap();
    }
}

#[test]
fn a_log_that_does_not_fit_stops_the_inspection_by_name() {
    let mut bytes = hive::build(&system("WinNT", "AMD64", true)).unwrap();
    // As while it is written: the first number is ahead.
    bytes[4] += 1;
    let sum =
        (0..127).fold(0_u32, |sum, word| sum ^ u32::from_le_bytes(bytes[4 * word..4 * word + 4].try_into().unwrap()));
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    let windows = Windows::new(bytes.clone(), software(19045, "Windows 10 Pro")).with_recent(&["w10"]);
    assert!(codes(&windows.inspect().unwrap().findings).contains(&"hive-settled"));
    windows.drive.put(&format!("{CONFIG}/SYSTEM.LOG2"), [vec![7; 512], bytes].concat());
    let error = windows.inspect().unwrap_err();
    assert_eq!(
        error.message,
        format!("{CONFIG}/SYSTEM: the hive was not written to its end, and its log 1 is damaged")
    );
    assert!(error.hint.unwrap().starts_with("start Windows once and shut it down"));
}
