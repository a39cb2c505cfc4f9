//! What we write, libhivex reads: the same keys, names, types and data. Its exporter is `hivexregedit` (Debian: libhivex-bin).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::process::Command;

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};

use super::real_hives::sound;
use super::*;

/// Values by key and name, and keys by none.
type Set = BTreeMap<(String, Option<String>), (u32, Vec<u8>)>;

fn ours(bytes: &[u8]) -> Set {
    fn add(key: Key<'_>, path: &str, set: &mut Set) {
        set.insert((path.to_owned(), None), (0, Vec::new()));
        for Value { name, type_number, data } in key.values().unwrap() {
            set.insert((path.to_owned(), Some(name)), (type_number, data));
        }
        for below in key.subkeys().unwrap() {
            add(below, &format!("{path}\\{}", below.name()), set);
        }
    }
    let mut set = Set::new();
    add(Hive::open(bytes.to_vec()).unwrap().root(), "", &mut set);
    set
}

fn theirs(bytes: &[u8]) -> Set {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hive");
    std::fs::write(&file, bytes).unwrap();
    // Perl writes Latin-1 unless it is told otherwise.
    let mut export = Command::new("hivexregedit");
    export.env("PERL_UNICODE", "S").arg("--export").arg(&file).arg("\\");
    let export = export.output();
    let export = export.unwrap_or_else(|error| panic!("this test needs hivexregedit (Debian: libhivex-bin): {error}"));
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let text = std::str::from_utf8(&export.stdout).unwrap();
    let (mut set, mut key) = (Set::new(), String::new());
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            key = path.trim_end_matches('\\').to_owned();
            set.insert((key.clone(), None), (0, Vec::new()));
            continue;
        }
        // Nothing that it writes behind a name has a quote.
        let (name, value) = line.rsplit_once('=').unwrap();
        let name = match name {
            "@" => String::new(),
            quoted => quoted[1..quoted.len() - 1].replace("\\\"", "\"").replace("\\\\", "\\"),
        };
        let value = match value.strip_prefix("dword:") {
            Some(number) => (4, u32::from_str_radix(number, 16).unwrap().to_le_bytes().to_vec()),
            None => {
                let (type_number, bytes) = value.strip_prefix("hex(").unwrap().split_once("):").unwrap();
                let bytes = bytes.split(',').filter(|byte| !byte.is_empty());
                let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
                (u32::from_str_radix(type_number, 16).unwrap(), bytes)
            }
        };
        set.insert((key.clone(), Some(name)), value);
    }
    set
}

#[track_caller]
fn assert_same(bytes: &[u8]) {
    let (theirs, ours) = (theirs(bytes), ours(bytes));
    let lengths = |set: &Set, place| set.get(place).map(|(type_number, data)| (*type_number, data.len()));
    for place in theirs.keys().chain(ours.keys()) {
        assert!(
            theirs.get(place) == ours.get(place),
            "{place:?} {:?} {:?}",
            lengths(&theirs, place),
            lengths(&ours, place)
        );
    }
}

fn set(key: &str, name: &str, type_number: u32, data: &[u8]) -> RegistryEdit {
    RegistryEdit::new(key, name, None, Some(RegistryValue::new(type_number, data)))
}

/// Names and data of all kinds, and lists that are split.
fn of_all_kinds() -> Vec<RegistryEdit> {
    let mut edits: Vec<RegistryEdit> =
        (0..1300).map(|number| set(&format!(r"Many\{:04x}", number * 7 % 1300), "n", 4, &[1, 2, 3, 4])).collect();
    edits.extend((0..300).map(|number| set("Values", &format!("v{number}"), 1, &text_data(&number.to_string()))));
    for (length, type_number) in
        [(0, 3), (1, 3), (4, 3), (5, 0), (3, 4), (8, 11), (16_344, 3), (16_345, 3), (40_000, 7)]
    {
        let data: Vec<u8> = (0..length).map(|at| at as u8).collect();
        edits.push(set("Lengths", &format!("{length}-{type_number}"), type_number, &data));
    }
    for name in ["", "a\\b", "\"quoted\"", "Größe", "Размер", "大きさ"] {
        edits.push(set("Names", name, 1, &text_data(name)));
    }
    for key in ["ÄÖÜ", "Ключ", "鍵", "a/b", "\u{ff}"] {
        edits.push(set(&format!("Names\\{key}\\below"), "", 2, &text_data("x")));
    }
    edits
}

#[test]
fn libhivex_reads_what_was_written() {
    let first = edit(empty(), &of_all_kinds()).unwrap();
    assert_same(&first);
    let hive = Hive::open(first.clone()).unwrap();
    let digest = |path: &str| hive.key(path).unwrap().unwrap().digest().unwrap();
    let mut second: Vec<RegistryEdit> = (0..700)
        .map(|number| format!(r"Many\{number:04x}"))
        .map(|key| RegistryEdit::remove_key(&key, digest(&key)))
        .collect();
    for removed in of_all_kinds().into_iter().filter(|edit| edit.key == "Values" || edit.key == "Lengths") {
        let new = if removed.name.ends_with('4') { None } else { Some(RegistryValue::new(3, &[5; 20_000])) };
        second.push(RegistryEdit::new(removed.key, removed.name, removed.new, new));
    }
    let second = edit(first, &second).unwrap();
    assert_same(&second);
}

#[test]
fn libhivex_reads_a_real_hive_that_was_edited() {
    let Some(bytes) = sound("BCD-win10-uefi") else { return };
    let edited = edit(bytes.clone(), &of_all_kinds()).unwrap();
    assert_same(&edited);
    let (found, before) = (theirs(&edited), theirs(&bytes));
    let values = |set: &Set| set.keys().filter(|(_, name)| name.is_some()).count();
    assert_eq!(values(&found), values(&before) + of_all_kinds().len());
    let hive = Hive::open(edited.clone()).unwrap();
    let back: Vec<RegistryEdit> = ["Many", "Values", "Lengths", "Names"]
        .map(|key| RegistryEdit::remove_key(key, hive.key(key).unwrap().unwrap().digest().unwrap()))
        .to_vec();
    assert!(theirs(&edit(edited, &back).unwrap()) == before);
}
