//! Random hives that are edited at random hold what a model of them holds, and stay sound.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};

use super::names::folded;
use super::*;

/// A key's values by their folded name, by its folded path.
type Model = BTreeMap<Vec<u16>, BTreeMap<Vec<u16>, (u32, Vec<u8>)>>;

#[derive(Debug, Clone)]
enum Wish {
    Set(String, String, u32, usize),
    Unset(String, String),
    RemoveKey(String),
    /// So many keys below one.
    Many(String, u32, u32),
}

const NAMES: [&str; 11] =
    ["a", "B", "b", "ä", "Ä", "ключ", "Ключ", "鍵", "𐐨", "z/9", "0123456789 0123456789 0123456789 0123456789"];

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&NAMES[..]), 1..5).prop_map(|parts| parts.join("\\"))
}

fn wish() -> impl Strategy<Value = Wish> {
    let name = || prop_oneof![Just(String::new()), proptest::sample::select(&NAMES[..]).prop_map(str::to_owned)];
    let length = prop_oneof![0usize..9, 16_340usize..16_350, Just(40_000usize)];
    prop_oneof![
        6 => (path(), name(), any::<u32>(), length).prop_map(|(key, name, type_number, length)| Wish::Set(key, name, type_number, length)),
        2 => (path(), name()).prop_map(|(key, name)| Wish::Unset(key, name)),
        2 => path().prop_map(Wish::RemoveKey),
        1 => (path(), 0u32..900, 1u32..700).prop_map(|(key, first, count)| Wish::Many(key, first, count)),
    ]
}

/// The edits for wishes that do not contradict each other, and what they make of the model.
fn planned(wishes: &[Wish], hive: &Hive, model: &mut Model) -> Vec<RegistryEdit> {
    let mut edits: Vec<RegistryEdit> = Vec::new();
    let mut add = |edit: RegistryEdit| {
        let within = |path: &str, top: &str| is_within(&folded(path), &folded(top));
        let clash = edits.iter().any(|other| match (&edit.old_key_sha256, &other.old_key_sha256) {
            (Some(_), None) => within(&other.key, &edit.key),
            (None, Some(_)) => within(&edit.key, &other.key),
            (None, None) => folded(&edit.key) == folded(&other.key) && folded(&edit.name) == folded(&other.name),
            (Some(_), Some(_)) => false,
        });
        if !clash {
            edits.push(edit);
        }
    };
    let old = |key: &str, name: &str| {
        let value = hive.key(key).unwrap().and_then(|key| key.value(name).unwrap());
        value.map(|value| value.to_registry())
    };
    for wish in wishes {
        match wish {
            Wish::Set(key, name, type_number, length) => {
                let data: Vec<u8> = (0..*length).map(|at| (at * 31 + length) as u8).collect();
                add(RegistryEdit::new(key, name, old(key, name), Some(RegistryValue::new(*type_number, &data))));
            }
            Wish::Unset(key, name) => add(RegistryEdit::new(key, name, old(key, name), None)),
            Wish::RemoveKey(key) => {
                if let Some(found) = hive.key(key).unwrap() {
                    add(RegistryEdit::remove_key(key, found.digest().unwrap()));
                }
            }
            Wish::Many(key, first, count) => {
                for number in *first..first + count {
                    let key = format!("{key}\\{number}");
                    add(RegistryEdit::new(
                        &key,
                        "n",
                        old(&key, "n"),
                        Some(RegistryValue::new(4, &number.to_le_bytes())),
                    ));
                }
            }
        }
    }
    for edit in &edits {
        let key = folded(&edit.key);
        if edit.old_key_sha256.is_some() {
            model.retain(|path, _| !is_within(path, &key));
        } else if let Some(value) = &edit.new {
            for (at, _) in edit.key.match_indices('\\') {
                model.entry(folded(&edit.key[..at])).or_default();
            }
            let value = (value.type_number, value.to_bytes().unwrap());
            model.entry(key).or_default().insert(folded(&edit.name), value);
        } else if let Some(values) = model.get_mut(&key) {
            values.remove(&folded(&edit.name));
        }
    }
    edits
}

fn is_within(path: &[u16], top: &[u16]) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == u16::from(b'\\'))
}

fn held(key: Key<'_>, path: &str, model: &mut Model) {
    for below in key.subkeys().unwrap() {
        let path = if path.is_empty() { below.name() } else { format!("{path}\\{}", below.name()) };
        let value = |value: Value| (folded(&value.name), (value.type_number, value.data));
        model.insert(folded(&path), below.values().unwrap().into_iter().map(value).collect());
        held(below, &path, model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn edited_hives_hold_what_was_wanted(
        rounds in proptest::collection::vec(proptest::collection::vec(wish(), 1..12), 1..5),
        minor in proptest::sample::select(vec![3u8, 5, 6]),
    ) {
        let mut bytes = empty();
        bytes[24] = minor;
        base::seal(&mut bytes, 4096, 1);
        let mut model = Model::new();
        for wishes in rounds {
            let edits = planned(&wishes, &Hive::open(bytes.clone()).unwrap(), &mut model);
            let edited = edit(bytes.clone(), &edits).unwrap();
            prop_assert_eq!(check(&edited), Ok(()));
            let mut found = Model::new();
            held(Hive::open(edited.clone()).unwrap().root(), "", &mut found);
            prop_assert!(found == model);
            prop_assert!(edit(edited.clone(), &edits).unwrap() == edited);
            bytes = edited;
        }
    }

    /// Bytes that were changed at random are read, checked, replayed and edited, or refused.
    #[test]
    fn a_damaged_hive_harms_nobody(damage in proptest::collection::vec((0usize..12_288, any::<u8>()), 1..40), seal in any::<bool>()) {
        let mut bytes = build(SMALL).unwrap();
        let length = bytes.len();
        for (at, byte) in damage {
            bytes[at % length] = byte;
        }
        if seal {
            let bins = u32::from_le_bytes(bytes[40..44].try_into().unwrap());
            base::seal(&mut bytes, bins, 7);
        }
        let _ = replay(&bytes, &[&bytes]);
        if let Ok(hive) = Hive::open(bytes.clone()) {
            let _ = hive.root().digest();
        }
        let change = RegistryEdit::new(r"A\New\Key", "x", None, Some(RegistryValue::new(3, &[1; 20_000])));
        let _ = edit(bytes, &[change]);
    }
}

const SMALL: &str = r#"
[A\B\C]
"one"="text"
"two"=multi:"a","b"
[A\D]
@=dword:00000001
[A\E\F]
"long"=hex(3):01,02,03,04,05,06
"#;
