#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Instant;

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};

use super::super::real_hives::{SOUND, sound};
use super::super::*;

fn value(type_number: u32, data: &[u8]) -> Option<RegistryValue> {
    Some(RegistryValue::new(type_number, data))
}

const TEXT: &str = r#"
; What a hive may hold.
[Select]
"Current"=dword:00000001
[ControlSet001\Services\Example]
"ImagePath"=expand:"System32\\drivers\\a \"b\".sys"
"DependOnService"=multi:"one","two"
"Owners"=hex(3):01,ff,00,00
"odd"=hex(ffff0012):
@="the default value"
[ControlSet001\Enum\empty]
"#;

#[test]
fn a_hive_holds_what_its_text_says() {
    let bytes = build(TEXT).unwrap();
    assert_eq!(check(&bytes), Ok(()));
    let hive = Hive::open(bytes.clone()).unwrap();
    let key = hive.key(r"controlset001\SERVICES\example").unwrap().unwrap();
    let value = |name: &str| key.value(name).unwrap().unwrap();
    assert_eq!(value("imagepath").text().unwrap(), r#"System32\drivers\a "b".sys"#);
    assert_eq!(value("DependOnService").texts().unwrap(), ["one", "two"]);
    assert_eq!((value("Owners").data, value("odd").type_number), (vec![1, 0xff, 0, 0], 0xffff_0012));
    assert_eq!(value("").text().unwrap(), "the default value");
    assert_eq!(key.values().unwrap().len(), 5);
    let empty = hive.key(r"ControlSet001\Enum\empty").unwrap().unwrap();
    assert_eq!((empty.values().unwrap(), empty.subkeys().unwrap().len()), (vec![], 0));
    assert_eq!(build(TEXT), Ok(bytes), "the same text, the same bytes");
    for (text, error) in [
        ("x", "line 1 is neither a key nor a value"),
        ("[a]\n\n\"b\"=1", "line 3 is neither a key nor a value"),
        ("\"b\"=\"1", "line 1 is neither a key nor a value"),
        ("[a]\n\"b\"=hex:1,g", "line 2 is neither a key nor a value"),
    ] {
        assert_eq!(build(text).unwrap_err().to_string(), error);
    }
}

#[test]
fn an_edit_is_done_once_and_refused_when_the_hive_drifted() {
    let bytes = build(TEXT).unwrap();
    let edits = [
        RegistryEdit::new("select", "CURRENT", value(4, &[1, 0, 0, 0]), value(4, &[2, 0, 0, 0])),
        RegistryEdit::new(r"New\Key", "", None, value(1, b"x\0\0\0")),
        RegistryEdit::new(r"ControlSet001\Services\Example", "odd", value(0xffff_0012, &[]), None),
    ];
    let edited = edit(bytes.clone(), &edits).unwrap();
    assert_eq!(check(&edited), Ok(()));
    assert_eq!(edit(edited.clone(), &edits), Ok(edited.clone()), "as it is wanted");
    let found = differences(&bytes, &edited).unwrap();
    let keys: Vec<&str> = found.iter().map(|found| found.key.as_str()).collect();
    assert_eq!(keys, [r"ControlSet001\Services\Example", "New", r"New\Key", r"New\Key", "Select"]);
    let drift = RegistryEdit::new("Select", "Current", value(4, &[1, 0, 0, 0]), value(4, &[3, 0, 0, 0]));
    assert_eq!(
        edit(edited.clone(), &[edits[1].clone(), drift]).unwrap_err().to_string(),
        "the value \"Current\" of Select is not what it was when the change was planned"
    );
    let hostile = RegistryEdit::new("Select\u{1b}", "\n", value(4, &[]), value(3, &[]));
    assert_eq!(
        edit(edited.clone(), &[hostile]).unwrap_err().to_string(),
        "the value \"\\n\" of Select\\u{1b} is not what it was when the change was planned"
    );
    let gone = RegistryEdit::new("None", "x", value(4, &[1, 0, 0, 0]), None);
    assert_eq!(edit(edited.clone(), &[gone]), Ok(edited.clone()), "nothing is there, as it is wanted");
    let there = RegistryEdit::new("Select", "Current", None, value(4, &[1, 0, 0, 0]));
    assert!(matches!(edit(edited, &[there]), Err(EditError::Drift { .. })));
}

#[test]
fn a_key_is_removed_with_all_below_it_unless_it_drifted() {
    let bytes = build(TEXT).unwrap();
    let hive = Hive::open(bytes.clone()).unwrap();
    let digest = |path: &str| hive.key(path).unwrap().unwrap().digest().unwrap();
    let remove = |path: &str| RegistryEdit::remove_key(path, digest(path));
    let edited = edit(bytes.clone(), &[remove("ControlSet001"), remove(r"ControlSet001\services\EXAMPLE")]).unwrap();
    assert_eq!(check(&edited), Ok(()));
    let left: Vec<String> =
        Hive::open(edited.clone()).unwrap().root().subkeys().unwrap().iter().map(Key::name).collect();
    assert_eq!(left, ["Select"]);
    assert_eq!(edit(edited.clone(), &[remove("ControlSet001")]), Ok(edited));
    let change = RegistryEdit::new(r"ControlSet001\Services\Example", "new", None, value(3, &[]));
    let changed = edit(bytes.clone(), std::slice::from_ref(&change)).unwrap();
    assert_eq!(
        edit(changed, &[remove("ControlSet001")]).unwrap_err().to_string(),
        "the key ControlSet001 holds other values than when the change was planned"
    );
    assert_eq!(
        edit(bytes.clone(), &[remove(r"ControlSet001\Services"), change]).unwrap_err().to_string(),
        "the value \"new\" of ControlSet001\\Services\\Example cannot be changed: another edit removes its key"
    );
    assert_eq!(
        edit(bytes, &[RegistryEdit::remove_key("", "00")]).unwrap_err().to_string(),
        "the value \"\" of  cannot be changed: an edit changes a value, or removes a key that is not the root"
    );
}

#[test]
fn real_hives_take_many_edits() {
    for name in SOUND {
        let Some(bytes) = sound(name) else { return };
        let keys = (0..120).map(|number| format!(r"ControlSet001\Services\vmdk2kvm-{number}\Parameters"));
        let edits: Vec<RegistryEdit> = keys
            .flat_map(|key| {
                let data = [value(4, &[1, 0, 0, 0]), value(2, &[7; 300]), value(3, &[9; 40_000])];
                ["Start", "ImagePath", "Big"]
                    .into_iter()
                    .zip(data)
                    .map(move |(name, data)| RegistryEdit::new(&key, name, None, data))
            })
            .collect();
        let start = Instant::now();
        let edited = edit(bytes.clone(), &edits).unwrap_or_else(|error| panic!("{name}: {error}"));
        eprintln!(
            "{name}: {:?} for {} edits, {} bytes more",
            start.elapsed(),
            edits.len(),
            edited.len() as i64 - bytes.len() as i64
        );
        assert_eq!(check(&edited), Ok(()));
    }
}
