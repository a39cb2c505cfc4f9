#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use super::super::real_hives::{SOUND, real};
use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};

use super::super::{Differs, build, differences, edit};
use super::check;

/// With the right checksum.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum =
        bytes[..508].chunks_exact(4).fold([0; 4], |sum: [u8; 4], word| std::array::from_fn(|at| sum[at] ^ word[at]));
    bytes[508..512].copy_from_slice(&sum);
    bytes
}

/// With equal sequence numbers, as replaying leaves them.
fn settled(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.copy_within(4..8, 8);
    sealed(bytes)
}

#[test]
fn real_hives_are_sound() {
    for name in SOUND.into_iter().chain(["dirty/SYSTEM-win10-16299-x64-laptop.replayed"]) {
        let Some(bytes) = real(name) else { return };
        assert_eq!(check(&settled(bytes)), Ok(()), "{name}");
    }
}

/// A hive with something of each kind, and one that refers to nothing.
fn made() -> Vec<u8> {
    let text = "[A\\B]\n\"one\"=\"text\"\n\"two\"=dword:1\n[A\\C]\n[A\\C\\D]\n[E]\n\"one\"=hex:1,2,3,4,5,6\n[F\\key]";
    let big = RegistryEdit::new("Big", "big", None, Some(RegistryValue::new(3, &[7; 20_000])));
    edit(build(text).unwrap(), &[big]).unwrap()
}

/// Where the used cell begins whose content begins so, in bytes of the file; the first of them.
fn cell(bytes: &[u8], content: &[u8]) -> usize {
    (4096 + 32..bytes.len())
        .step_by(8)
        .find(|at| bytes[at + 3] == 0xff && bytes[at + 4..].starts_with(content))
        .unwrap()
}

/// The cell of the key of this name of one letter or more.
fn key(bytes: &[u8], name: &str) -> usize {
    let is_key = |at: &usize| {
        bytes[at + 3] == 0xff && bytes[at + 4..].starts_with(b"nk") && bytes[at + 80..].starts_with(name.as_bytes())
    };
    (4096 + 32..bytes.len() - 100).step_by(8).find(is_key).unwrap()
}

/// The place that a word of a file names, in bytes of the file.
fn follow(bytes: &[u8], at: usize) -> usize {
    4096 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

#[test]
fn each_proof_can_fail() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage); 32] = [
        ("the file is shorter than a hive's header", |bytes| bytes.truncate(4000)),
        ("the file does not begin with \"regf\"", |bytes| bytes[0] = b'x'),
        ("the version is none of 1.3 to 1.6", |bytes| bytes[24] = 7),
        ("the file is no hive but of another kind", |bytes| bytes[28] = 6),
        ("the two sequence numbers differ: its logs were not replayed", |bytes| bytes[4] ^= 1),
        ("the length of the bins is no number of 4 KiB steps", |bytes| bytes[40] = 8),
        ("the bins are longer than the file", |bytes| bytes[43] = 1),
        ("no bin begins here", |bytes| bytes[4096] = b'x'),
        ("a bin says that it is elsewhere", |bytes| bytes[4100] = 8),
        ("a bin has no length", |bytes| bytes[4104..4108].fill(0)),
        ("a bin's length is no number of 4 KiB steps inside of the hive", |bytes| bytes[4107] = 1),
        ("a cell's length is not in steps of 8 inside of its bin", |bytes| bytes[4128] ^= 4),
        ("something refers to this place, where no used cell begins", |bytes| bytes[36] = 40),
        ("this cell should be of the kind \"nk\"", |bytes| bytes[4132] = b'x'),
        ("two things refer to this cell", |bytes| {
            let (b, c) = (key(bytes, "B") + 4 + 40, key(bytes, "E") + 4 + 40);
            bytes.copy_within(b..b + 4, c);
        }),
        ("a key's name is longer than its cell", |bytes| {
            let at = key(bytes, "B");
            bytes[at + 4 + 73] = 1;
        }),
        ("a key has no name, or half a letter", |bytes| {
            let at = key(bytes, "B");
            bytes[at + 4 + 72] = 0;
        }),
        ("a key names another one as that above it", |bytes| {
            let at = key(bytes, "D");
            bytes[at + 4 + 16] ^= 8;
        }),
        ("a security descriptor is longer than its cell", |bytes| {
            let at = cell(bytes, b"sk");
            bytes[at + 4 + 17] = 9;
        }),
        ("a key says that 7 are below it, but 2 are", |bytes| {
            let at = key(bytes, "A");
            bytes[at + 4 + 20] = 7;
        }),
        ("a key below has a longer name or class than this one says", |bytes| {
            let at = key(bytes, "F");
            bytes[at + 4 + 52] = 5;
        }),
        ("this cell should be a list of keys", |bytes| {
            let at = cell(bytes, b"lh");
            bytes[at + 5] = b'x';
        }),
        ("a list has more entries than room", |bytes| {
            let at = cell(bytes, b"lh");
            bytes[at + 7] = 9;
        }),
        ("the hash beside the key \"A\" is not that of its name", |bytes| {
            let at = follow(bytes, 4128 + 4 + 28);
            bytes[at + 12] ^= 1;
        }),
        ("a key is not behind the one before it in the order of their names", |bytes| {
            let at = key(bytes, "B");
            bytes[at + 80] = b'x';
        }),
        ("a key has more values than its list has room for", |bytes| {
            let at = key(bytes, "B");
            bytes[at + 4 + 36] = 9;
        }),
        ("two values are named \"TWO\"", |bytes| {
            let at = cell(bytes, b"vk\x03\0\x0a");
            bytes[at + 24..at + 27].copy_from_slice(b"TWO");
        }),
        ("a value has a longer name or longer data than its key says", |bytes| {
            let at = key(bytes, "E");
            bytes[at + 4 + 64] = 5;
        }),
        ("a value's data is longer than its cell", |bytes| {
            let at = cell(bytes, b"vk\x03\0\x06");
            bytes[at + 8] = 99;
        }),
        ("a value says that more than four bytes are inside of it", |bytes| {
            let at = cell(bytes, b"vk\x03\0\x04\0\0\x80");
            bytes[at + 8] = 5;
        }),
        ("20000 bytes are in 3 segments", |bytes| {
            let at = cell(bytes, b"db");
            bytes[at + 6] = 3;
        }),
        ("a security descriptor says that 10 keys use it, but 9 do", |bytes| {
            let at = cell(bytes, b"sk");
            bytes[at + 16] += 1;
        }),
    ];
    let whole = made();
    assert_eq!(check(&whole), Ok(()));
    for (fault, damage) in cases {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        let bytes = if bytes.len() > 4096 { sealed(bytes) } else { bytes };
        let faults = check(&bytes).expect_err(fault);
        assert!(faults.iter().any(|found| found.what == fault), "{fault}: {faults:?}");
    }
    let mut torn = whole.clone();
    torn[508] ^= 1;
    assert_eq!(check(&torn).unwrap_err()[0].to_string(), "at 0x0: the checksum of the header is wrong");
    assert!(check(b"").is_err());
}

#[test]
fn a_ring_of_descriptors_that_is_not_closed_is_a_fault() {
    // A second descriptor, which nothing links to: made as a value's data.
    let mut bytes = made();
    let ring = cell(&bytes, b"sk");
    let data = RegistryValue::new(3, &bytes[ring + 4..ring + 140]);
    bytes = edit(bytes, &[RegistryEdit::new("Second", "", None, Some(data))]).unwrap();
    let owner = key(&bytes, "Second");
    let value = follow(&bytes, follow(&bytes, owner + 4 + 40) + 4);
    let second = follow(&bytes, value + 4 + 8);
    // Its key uses it, and has no value any more.
    bytes.copy_within(value + 12..value + 16, owner + 4 + 44);
    bytes[owner + 4 + 36] = 0;
    bytes[ring + 16] -= 1;
    bytes[second + 16] = 1;
    let first = |bytes: &[u8]| check(bytes).unwrap_err()[0].what.clone();
    assert_eq!(first(&bytes), "a security descriptor is outside of the ring of all");
    // The ring leads there, but from there not back.
    bytes.copy_within(value + 12..value + 16, ring + 8);
    assert_eq!(first(&bytes), "a security descriptor does not lead back to the one before it");
}

#[test]
fn a_damaged_hive_is_refused() {
    let Some(bytes) = real("SYSTEM-corrupt") else { return };
    let faults = check(&settled(bytes)).unwrap_err();
    assert_eq!(faults[0].to_string(), "at 0x19000: no bin begins here");
}

#[test]
fn hives_that_differ_say_in_what() {
    let Some(bytes) = real("dirty/SYSTEM-win10-16299-x64-laptop") else { return };
    let replayed = real("dirty/SYSTEM-win10-16299-x64-laptop.replayed").unwrap();
    assert_eq!(differences(&replayed, &replayed), Ok(vec![]));
    let found = differences(&settled(bytes), &replayed).unwrap();
    assert_eq!(found.len(), 6512);
    assert_eq!(found[0].key, r"ControlSet001\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}\0003");
    assert!(matches!(found[0].what, Differs::Added { .. }));
}
