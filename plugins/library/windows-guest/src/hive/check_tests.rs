#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use super::real_hives::{SOUND, real};
use super::{Differs, check, differences};

/// With equal sequence numbers, as replaying leaves them.
fn settled(mut bytes: Vec<u8>) -> Vec<u8> {
    let first = bytes[4..8].to_vec();
    bytes[8..12].copy_from_slice(&first);
    let sum =
        bytes[..508].chunks_exact(4).fold([0; 4], |sum: [u8; 4], word| std::array::from_fn(|at| sum[at] ^ word[at]));
    bytes[508..512].copy_from_slice(&sum);
    bytes
}

#[test]
fn real_hives_are_sound() {
    for name in SOUND.into_iter().chain(["dirty/SYSTEM-win10-16299-x64-laptop.replayed"]) {
        let Some(bytes) = real(name) else { return };
        assert_eq!(check(&settled(bytes)), Ok(()), "{name}");
    }
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
