//! What the fuzz targets share: what must hold of every answer, and checksums that let an input be looked at.
//!
//! How to run one is in the library's README.

mod packages;

use std::fmt::Display;

pub use packages::{catalogue, inf, iso};
use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};
use vmdk2kvm_windows_guest::bcd::BootData;
use vmdk2kvm_windows_guest::hive::{EditError, Hive, Key, Replayed, build, check, edit, replay};

/// A BCD with a boot manager and a loader.
pub const BCD: &str = "[Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements\\23000003]\n\"Element\"=\"{a}\"\n\
    [Objects\\{a}\\Description]\n\"Type\"=dword:10200003\n[Objects\\{a}\\Elements\\12000002]\n\"Element\"=\"a.efi\"\n\
    [Objects\\{a}\\Elements\\11000001]\n\"Element\"=hex(3):0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,6,0,0,0,0,0,0,0,48,0,0,0,0,0,0,0,\
    1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,0,0,0,0,0,0,0,0,0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,0";

/// What the seeds are made of, and the hive whose log is fuzzed.
pub const TEXT: &str =
    "[A\\B]\n\"one\"=\"text\"\n\"two\"=multi:\"a\",\"b\"\n[A\\C]\n@=dword:1\n[D]\n\"long\"=hex(3):1,2,3,4,5,6";

/// Reads, checks and edits a hive.
pub fn hive(bytes: &[u8]) {
    let sound = check(bytes).is_ok();
    let mut edits = vec![RegistryEdit::new("A\\New", "x", None, Some(RegistryValue::new(3, &[1; 20_000])))];
    match Hive::open(bytes.to_vec()) {
        Err(error) => assert!(!sound && is_sentence(error)),
        Ok(hive) => {
            let walked = walk(hive.root(), bytes.len());
            // A sound hive can be read, but for what its root's parent may be.
            if let (Ok(Some(key)), true) = (hive.key("D"), sound) {
                edits.extend(key.digest().ok().map(|digest| RegistryEdit::remove_key("D", digest)));
                assert!(walked.is_some(), "a sound hive cannot be read");
            }
        }
    }
    match edit(bytes.to_vec(), &edits) {
        Ok(edited) => assert!(sound && check(&edited).is_ok()),
        Err(error) => assert!(!matches!(error, EditError::Defect(_)) && is_sentence(&error), "{error:?}"),
    }
}

/// Replays a log into a hive that was being written.
pub fn log(bytes: &[u8]) {
    let mut hive = build(TEXT).expect("a text that makes a hive");
    hive[4] += 1;
    match replay(&sealed(&hive), &[bytes]) {
        Ok(Replayed::Applied { hive, .. } | Replayed::Settled { hive }) => assert_eq!(check(&hive), Ok(())),
        Ok(other) => panic!("{other:?}"),
        Err(error) => assert!(is_sentence(error)),
    }
}

/// Reads a BCD; its default is one of its loaders, if it is there.
pub fn bcd(bytes: &[u8]) {
    let Ok(hive) = Hive::open(bytes.to_vec()) else { return };
    match BootData::read(&hive) {
        Err(error) => assert!(is_sentence(error)),
        Ok(data) => {
            let found = data.default_loader().map(|loader| &loader.id);
            assert!(found.is_none_or(|id| Some(id) == data.default.as_ref()));
        }
    }
}

/// Walks all keys and values; `None`: the hive is damaged. No key is met twice, so there are no more than cells.
fn walk(key: Key<'_>, room: usize) -> Option<usize> {
    key.values().ok()?;
    let mut keys = 1;
    for below in key.subkeys().ok()? {
        keys += walk(below, room)?;
        assert!(keys <= room / 80, "more keys than cells");
    }
    Some(keys)
}

fn is_sentence(error: impl Display) -> bool {
    let text = error.to_string();
    !text.is_empty() && text.len() < 8000 && text.chars().all(|char| !char.is_control())
}

/// With the header's checksum made right.
pub fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 512 {
        let sum = bytes[..508]
            .chunks_exact(4)
            .fold(0, |sum, word| sum ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let sum = match sum {
            0 => 1,
            u32::MAX => u32::MAX - 1,
            sum => sum,
        };
        bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// With the hashes of the entries made right.
pub fn hashed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 512;
    while let Some(header) = bytes.get(at..at + 40).filter(|header| header.starts_with(b"HvLE")) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some(entry) = bytes.get_mut(at..at.saturating_add(length)).filter(|entry| entry.len() >= 40) else { break };
        let first = marvin(&entry[40..]).to_le_bytes();
        entry[24..32].copy_from_slice(&first);
        let second = marvin(&entry[..32]).to_le_bytes();
        entry[32..40].copy_from_slice(&second);
        at += length;
    }
    bytes
}

/// Marvin32 with the seed of logs.
fn marvin(bytes: &[u8]) -> u64 {
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(4) + 4, 0);
    let (mut a, mut b) = (0x7A4E_55C5_u32, 0x82EF_4D88_u32);
    for word in padded.chunks_exact(4) {
        a = a.wrapping_add(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        b ^= a;
        a = a.rotate_left(20).wrapping_add(b);
        b = b.rotate_left(9) ^ a;
        a = a.rotate_left(27).wrapping_add(b);
        b = b.rotate_left(19);
    }
    u64::from(b) << 32 | u64::from(a)
}
