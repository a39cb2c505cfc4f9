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
