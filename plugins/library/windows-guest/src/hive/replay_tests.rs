#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use super::real_hives::real;
use super::*;

/// Where the bytes of two files differ.
fn differing(a: &[u8], b: &[u8]) -> Vec<usize> {
    assert_eq!(a.len(), b.len());
    (0..a.len()).filter(|at| a[*at] != b[*at]).collect()
}

fn applied(hive: &[u8], logs: &[&[u8]]) -> (Vec<u8>, usize) {
    match replay(hive, logs) {
        Ok(Replayed::Applied { hive, steps }) => (hive, steps),
        other => panic!("{:?}", other.map(|_| "not applied")),
    }
}

#[test]
fn new_logs_make_of_a_hive_what_windows_10_makes_of_it() {
    let part = |name: &str| real(&format!("dirty/NewDirtyHive1/{name}"));
    let Some(hive) = part("NewDirtyHive") else { return };
    let logs = [part("NewDirtyHive.LOG1").unwrap(), part("NewDirtyHive.LOG2").unwrap()];
    let (replayed, steps) = applied(&hive, &[&logs[0], &logs[1]]);
    assert_eq!(steps, 4);
    let windows = part("RecoveredHive_Windows10").unwrap();
    assert_eq!(differing(&replayed, &windows), Vec::<usize>::new());
    assert_eq!(applied(&hive, &[&logs[1], &logs[0]]).0, replayed, "the logs' order");
}

#[test]
fn old_logs_make_of_a_hive_what_windows_7_makes_of_it() {
    let part = |name: &str| real(&format!("dirty/OldDirtyHive/{name}"));
    let Some(hive) = part("OldDirtyHive") else { return };
    let log = part("OldDirtyHive.LOG1").unwrap();
    let (replayed, steps) = applied(&hive, &[&log, b""]);
    assert_eq!(steps, 1);
    let windows = part("RecoveredHive_Windows7").unwrap();
    // Windows wrote once more, when it had loaded the hive: its header, the first bin's time, and the longest name of a key's values.
    let later = |at: &usize| *at < 512 || (4116..4124).contains(at) || *at == 441_800;
    let differing = differing(&replayed, &windows);
    assert!(differing.iter().all(later) && differing.len() == 34, "{differing:?}");
}

#[test]
fn a_large_hive_comes_out_flawless() {
    let part = |name: &str| real(&format!("dirty/SYSTEM-win10-16299-x64-laptop{name}"));
    let Some(hive) = part("") else { return };
    let logs = [part(".LOG1").unwrap(), part(".LOG2").unwrap()];
    let (replayed, steps) = applied(&hive, &[&logs[0], &logs[1]]);
    assert_eq!(steps, 24);
    assert_eq!(differing(&replayed, &part(".replayed").unwrap()), Vec::<usize>::new());
    assert_eq!(replay(&replayed, &[&logs[0], &logs[1]]), Ok(Replayed::Whole));
}
