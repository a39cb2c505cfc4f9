#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use super::real_hives::{SOUND, real};
use super::*;

/// Keys and values below a key, and the bytes of their data.
fn count(key: Key<'_>) -> (usize, usize, usize) {
    let values = key.values().unwrap();
    let here = (1, values.len(), values.iter().map(|value| value.data.len()).sum());
    let below = key.subkeys().unwrap().into_iter().map(count);
    below.fold(here, |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
}

#[test]
fn every_key_and_value_of_real_hives_is_read_and_found_by_name() {
    fn find(key: Key<'_>) {
        for value in key.values().unwrap() {
            assert_eq!(key.value(&value.name.to_lowercase()).unwrap().unwrap(), value);
        }
        for below in key.subkeys().unwrap() {
            let other_case = String::from_utf16_lossy(&names::folded(&below.name()));
            let found = key.subkey(&other_case).unwrap().unwrap();
            assert_eq!(found.name(), below.name());
            find(below);
        }
    }
    for (name, (keys, values)) in SOUND.iter().zip(KEYS_AND_VALUES) {
        let Some(bytes) = real(name) else { return };
        let hive = Hive::open(bytes).unwrap();
        let (found_keys, found_values, _) = count(hive.root());
        assert_eq!((found_keys, found_values), (keys, values), "{name}");
        if found_keys < 10_000 {
            find(hive.root());
        }
    }
}

/// As libhivex counts them.
const KEYS_AND_VALUES: [(usize, usize); 8] =
    [(132, 103), (66, 46), (43_211, 90_307), (33_317, 74_454), (30_756, 73_456), (20_015, 49_779), (2, 2), (528, 12)];

#[test]
fn real_hives_say_what_is_known_of_them() {
    let Some(bytes) = real("SYSTEM-win7-x86-vmware") else { return };
    let hive = Hive::open(bytes).unwrap();
    assert!(!hive.pending());
    let value = |key: &str, name: &str| hive.key(key).unwrap().unwrap().value(name).unwrap().unwrap();
    assert_eq!(value("select", "CURRENT").number(), Some(1));
    assert_eq!(
        value(r"ControlSet001\Control\ComputerName\ComputerName", "ComputerName").text().unwrap(),
        "WKS-WIN732BITA"
    );
    let tcpip = r"ControlSet001\services\Tcpip\Parameters\Interfaces\{6aafc9a9-0542-4db2-8760-ccffa953737c}";
    assert_eq!(value(tcpip, "IPAddress").texts().unwrap(), ["192.168.1.123"]);
    assert_eq!(value("MountedDevices", r"\DosDevices\C:").data, b"\x3e\xa0\xbe\x5c\0\0\x10\0\0\0\0\0");
    assert!(hive.key(r"ControlSet001\Services\viostor").unwrap().is_none());
    assert!(hive.key("Select").unwrap().unwrap().value("none").unwrap().is_none());
    let Some(bytes) = real("SYSTEM-win81-x64-virtualbox") else { return };
    assert!(Hive::open(bytes).unwrap().pending());
}

#[test]
fn a_damaged_hive_is_read_or_refused_but_never_for_ever() {
    fn walk(key: Key<'_>, left: &mut u32) -> Result<(), HiveError> {
        key.values()?;
        for below in key.subkeys()? {
            *left -= 1;
            walk(below, left)?;
        }
        Ok(())
    }
    let Some(bytes) = real("SYSTEM-corrupt") else { return };
    let error = walk(Hive::open(bytes).unwrap().root(), &mut 100_000).unwrap_err().to_string();
    assert!(error.starts_with("the registry hive is damaged at 0x"), "{error}");
}

/// Where the used cell begins that begins so, in bytes of the file; the first of them.
fn cell(bytes: &[u8], content: &[u8]) -> usize {
    (4096 + 32..bytes.len())
        .step_by(8)
        .find(|at| bytes[at + 3] == 0xff && bytes[at + 4..].starts_with(content))
        .unwrap()
}

#[test]
fn a_hostile_hive_is_refused_where_it_lies() {
    fn walk(key: Key<'_>) -> Result<usize, HiveError> {
        let mut keys = 1 + key.values()?.len();
        for below in key.subkeys()? {
            keys += walk(below)?;
        }
        Ok(keys)
    }
    type Damage = fn(&mut [u8]);
    let cases: [(&str, Damage); 9] = [
        ("a list names a key twice", |bytes| {
            let at = cell(bytes, b"lh\x02");
            bytes.copy_within(at + 8..at + 12, at + 16);
        }),
        ("a key lies below another one than it says", |bytes| {
            // The root below itself.
            let at = cell(bytes, b"lh\x02");
            bytes[at + 8..at + 12].copy_from_slice(&[32, 0, 0, 0]);
        }),
        ("a list has more than the 1 keys it should have", |bytes| bytes[4128 + 4 + 20] = 1),
        ("no list of keys is where one is expected", |bytes| {
            let at = cell(bytes, b"lh\x02");
            bytes[at + 5] = b'x';
        }),
        ("a list has no room for 9 entries", |bytes| {
            let at = cell(bytes, b"lh\x02");
            bytes[at + 6] = 9;
        }),
        ("something refers to a cell that is free", |bytes| {
            let at = cell(bytes, b"lh\x02");
            bytes[at + 3] = 0;
        }),
        ("no cell can be there", |bytes| bytes[4128 + 4 + 28] |= 1),
        ("a value is longer than the hive", |bytes| {
            let at = cell(bytes, b"vk\x04\0\x0a");
            bytes[at + 11] = 1;
        }),
        ("a value is longer than the four bytes it has room for", |bytes| {
            let at = cell(bytes, b"vk\x05\0\x04");
            bytes[at + 8] = 5;
        }),
    ];
    let whole = build("[A]\n\"text\"=\"text\"\n[B]\n\"short\"=dword:1").unwrap();
    assert_eq!(walk(Hive::open(whole.clone()).unwrap().root()), Ok(5));
    for (what, damage) in cases {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        let error = walk(Hive::open(bytes).unwrap().root()).unwrap_err();
        assert!(matches!(&error, HiveError::Damaged { what: found, .. } if found == what), "{what}: {error}");
    }
}

#[test]
fn what_is_no_hive_is_not_opened() {
    let whole = empty();
    let with = |damage: fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        if bytes.len() > 512 {
            let sum = base::checksum(&bytes);
            bytes[508..512].copy_from_slice(&sum.to_le_bytes());
        }
        Hive::open(bytes).unwrap_err().to_string()
    };
    assert_eq!(with(|bytes| bytes.truncate(100)), "not a registry hive: it has 100 bytes only");
    assert_eq!(with(|bytes| bytes[0] = b'x'), "not a registry hive: it does not begin with \"regf\"");
    assert_eq!(with(|bytes| bytes[24] = 2), "not a registry hive: its version 1.2 is none of 1.3 to 1.6");
    assert_eq!(with(|bytes| bytes[28] = 6), "not a registry hive: it is a hive's log");
    assert_eq!(with(|bytes| bytes.truncate(5000)), "not a registry hive: it is cut: 4096 bytes of bins in 904");
    let without_bins = |bytes: &mut Vec<u8>| {
        bytes[40..44].fill(0);
        bytes.truncate(973);
    };
    assert_eq!(with(without_bins), "not a registry hive: it is cut: 0 bytes of bins in 0");
    assert!(with(|bytes| bytes[36] = 0).starts_with("the registry hive is damaged at 0x0: "));
    let mut torn = whole.clone();
    torn[508] ^= 1;
    assert_eq!(Hive::open(torn).unwrap_err().to_string(), "the checksum of the hive's header is wrong");
}

#[test]
fn keys_are_not_followed_deeper_than_windows_goes() {
    let path = vec!["k"; 512].join("\\");
    let bytes = build(&format!("[{path}]")).unwrap();
    let hive = Hive::open(bytes.clone()).unwrap();
    assert!(hive.key(&path).unwrap().is_some());
    assert_eq!(check(&bytes), Ok(()));
    let error = build(&format!("[{path}\\k]")).unwrap_err().to_string();
    assert!(error.ends_with("cannot be changed: Windows does not allow keys this deep"), "{error}");
}
