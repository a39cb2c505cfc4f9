#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};

use super::super::real_hives::real;
use super::super::{build, edit};
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

/// A hive in which a value was set, before and after; the first says that it was being written.
fn before_and_after() -> (Vec<u8>, Vec<u8>) {
    let before = build("[Key]\n\"value\"=dword:1").unwrap();
    let number = |number: u8| Some(RegistryValue::new(4, &[number, 0, 0, 0]));
    let long = Some(RegistryValue::new(3, &[7; 5000]));
    let edits = [RegistryEdit::new("Key", "value", number(1), number(2)), RegistryEdit::new("Key", "long", None, long)];
    let after = edit(before.clone(), &edits).unwrap();
    (dirty(before), after)
}

/// The same as being written.
fn dirty(mut hive: Vec<u8>) -> Vec<u8> {
    hive[4] += 1;
    sealed(hive)
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = base::checksum(&bytes);
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// A log of a kind with this behind its header.
fn log(hive: &[u8], kind: u8, first: u32, body: &[u8]) -> Vec<u8> {
    let mut log = hive[..512].to_vec();
    log[28] = kind;
    log[4..8].copy_from_slice(&first.to_le_bytes());
    log.copy_within(4..8, 8);
    log.extend_from_slice(body);
    sealed(log)
}

/// An entry that writes all bins of a hive.
fn entry(sequence: u32, hive: &[u8]) -> Vec<u8> {
    let bins = &hive[4096..];
    let pair = [0, bins.len() as u32].map(u32::to_le_bytes).concat();
    entry_of(sequence, bins.len() as u32, &[&pair, bins].concat())
}

/// An entry with one page, and this behind its header.
fn entry_of(sequence: u32, bins: u32, rest: &[u8]) -> Vec<u8> {
    let mut rest = rest.to_vec();
    rest.resize((rest.len() + 40).next_multiple_of(512) - 40, 0);
    let mut entry = b"HvLE".to_vec();
    let numbers = [rest.len() as u32 + 40, 0, sequence, bins, 1];
    entry.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
    entry.extend_from_slice(&marvin::hash(&rest).to_le_bytes());
    entry.extend_from_slice(&marvin::hash(&entry).to_le_bytes());
    [entry, rest].concat()
}

/// A map of all sectors of a hive's bins, and these.
fn sectors(hive: &[u8]) -> Vec<u8> {
    let mut body = b"DIRT".to_vec();
    body.resize(4 + (hive.len() - 4096) / 4096, 0xff);
    body.resize(512, 0);
    body.extend_from_slice(&hive[4096..]);
    body
}

/// But for the header, what a hive should be.
#[track_caller]
fn assert_after(replayed: Result<Replayed, ReplayError>, after: &[u8], steps: usize) {
    let Ok(Replayed::Applied { hive, steps: found }) = replayed else { panic!("{replayed:?}") };
    assert_eq!(found, steps);
    assert!(hive[4096..] == after[4096..], "another hive came out");
}

#[test]
fn made_logs_of_both_kinds_are_applied() {
    let (before, after) = before_and_after();
    let number = u32::from_le_bytes(before[8..12].try_into().unwrap());
    let two = [entry(number, &before), entry(number + 1, &after)];
    let whole = log(&before, 6, number, &two.concat());
    assert_after(replay(&before, &[&whole]), &after, 2);
    // What was left of a time before, behind what is new; and entries of two files.
    let stale = log(&before, 6, number, &[two[0].clone(), two[1].clone(), entry(number - 1, &before)].concat());
    assert_after(replay(&before, &[b"", &stale]), &after, 2);
    let files = [log(&before, 6, number + 1, &two[1]), log(&before, 6, number, &two[0])];
    assert_after(replay(&before, &[&files[0], &files[1]]), &after, 2);
    // The last entry was being written itself.
    let mut torn = log(&before, 6, number, &[entry(number, &after), entry(number + 1, &before)].concat());
    torn.truncate(torn.len() - 512);
    assert_after(replay(&before, &[&torn]), &after, 1);
    let mut old = log(&after, 1, number + 1, &sectors(&after));
    assert_after(replay(&before, &[&old]), &after, 1);
    old[28] = 2;
    assert_after(replay(&before, &[&[0; 4096], &sealed(old)]), &after, 1);
}

#[test]
fn a_hive_without_a_log_that_concerns_it_is_settled_when_it_is_sound() {
    let (before, _) = before_and_after();
    let number = u32::from_le_bytes(before[8..12].try_into().unwrap());
    let older = [log(&before, 6, number - 1, &entry(number - 1, &before)), log(&before, 1, number, &sectors(&before))];
    let empty = log(&before, 6, number, b"");
    for logs in [vec![], vec![&b""[..]], vec![&[0; 8192]], vec![&older[0]], vec![&older[1]], vec![&empty]] {
        let Ok(Replayed::Settled { hive }) = replay(&before, &logs) else { panic!("{} logs", logs.len()) };
        assert_eq!(check(&hive), Ok(()));
        assert!(hive[4096..] == before[4096..]);
    }
    let mut damaged = before;
    damaged[4096 + 36] = b'x';
    let error = replay(&damaged, &[]).unwrap_err();
    let error_of_plugin = PluginError::from(error.clone());
    assert!(error_of_plugin.hint.is_some_and(|hint| hint.starts_with("start Windows once and shut it down")));
    assert!(matches!(error, ReplayError::Unsound(_)));
}

#[test]
fn logs_that_would_lose_something_are_refused() {
    let (before, after) = before_and_after();
    let number = u32::from_le_bytes(before[8..12].try_into().unwrap());
    let gap =
        [log(&before, 6, number, &entry(number, &after)), log(&before, 6, number + 2, &entry(number + 2, &after))];
    let mut other_time = log(&after, 1, number + 1, &sectors(&after));
    other_time[12] ^= 1;
    let other_time = sealed(other_time);
    let mut unfinished = log(&after, 1, number + 1, &sectors(&after));
    unfinished[8] ^= 1;
    let unfinished = sealed(unfinished);
    let mut damaged = gap[0].clone();
    damaged[100] ^= 1;
    let mut unknown = gap[0].clone();
    unknown[28] = 9;
    let unknown = sealed(unknown);
    // A page that lies behind the bins.
    let far = [0x0300_0000u32, 512].map(u32::to_le_bytes).concat();
    let far = log(&before, 6, number, &entry_of(number, 8192, &far));
    let short = log(&after, 1, number + 1, &sectors(&after)[..4096]);
    let begin = "the hive was not written to its end, and its log";
    let cases: [(Vec<&[u8]>, String); 7] = [
        (vec![&gap[0], &gap[1]], format!("{begin}s lack what is between their entries {number} and {}", number + 2)),
        (vec![&other_time], format!("{begin} 1 is newer, but was written for another state of it")),
        (vec![&unfinished], format!("{begin} 1 is newer, but was written for another state of it")),
        (vec![b"", &damaged], format!("{begin} 2 is damaged")),
        (vec![&unknown], format!("{begin} 1 is of an unknown kind")),
        (vec![b"", &far], format!("{begin} 2 has an entry {number} that does not fit the hive")),
        (vec![&short], format!("{begin} 1 does not fit it")),
    ];
    for (logs, message) in cases {
        assert_eq!(replay(&before, &logs).unwrap_err().to_string(), message);
    }
    let log = log(&before, 6, number, b"");
    assert_eq!(replay(&log, &[]).unwrap_err().to_string(), "not a registry hive: it is a hive's log");
}
