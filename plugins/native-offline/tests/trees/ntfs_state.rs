//! NTFS that is in use, half written or of a kind that is not known: refused by name.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vmdk2kvm_plugin_api::ErrorKind;

use super::ntfs::{fill, make};
use super::support::{Image, open};

/// Bytes of a record.
const RECORD: u64 = 1024;

fn read(image: &Path, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    File::open(image).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

fn write(image: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(image).unwrap().write_all_at(bytes, at).unwrap();
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Where a record is, and its copy.
fn record(image: &Path, number: u64) -> [u64; 2] {
    let boot = read(image, 0, 512);
    [48, 56].map(|at| u64_at(&boot, at) * 4096 + number * RECORD)
}

/// Where an attribute of a kind begins in a record.
fn attribute(record: &[u8], kind: u32) -> usize {
    let u32_at = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
    let mut at = usize::from(u16::from_le_bytes([record[20], record[21]]));
    while u32_at(at) != kind {
        at += u32_at(at + 4) as usize;
    }
    at
}

/// Gives the volume these flags, in its record and in the copy.
fn set_flags(image: &Path, flags: u16) {
    let [at, copy] = record(image, 3);
    let mut raw = read(image, at, RECORD as usize);
    let information = attribute(&raw, 0x70);
    let value = information + usize::from(raw[information + 20]);
    raw[value + 10..value + 12].copy_from_slice(&flags.to_le_bytes());
    write(image, at, &raw);
    write(image, copy, &raw);
}

/// Where the journal begins: its runs are one.
fn journal(image: &Path) -> u64 {
    let raw = read(image, record(image, 2)[0], RECORD as usize);
    let data = attribute(&raw, 0x80);
    let pairs = &raw[data + usize::from(raw[data + 32])..];
    let (length, place) = (usize::from(pairs[0] & 15), usize::from(pairs[0] >> 4));
    let mut number = [0; 8];
    number[..place].copy_from_slice(&pairs[1 + length..1 + length + place]);
    u64::from_le_bytes(number) * 4096
}

/// A page that says how the journal stands: who uses it, its flags, what was written last.
fn page(major: u16, users: u16, flags: u16, time: u64) -> Vec<u8> {
    let mut page = vec![0; 4096];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"RSTR");
    put(4, &30u16.to_le_bytes());
    put(6, &9u16.to_le_bytes());
    [16, 20].iter().for_each(|at| put(*at, &4096u32.to_le_bytes()));
    put(24, &48u16.to_le_bytes());
    put(28, &major.to_le_bytes());
    put(30, &7u16.to_le_bytes());
    (1..=8).for_each(|sector| put(sector * 512 - 2, &7u16.to_le_bytes()));
    put(48, &time.to_le_bytes());
    put(48 + 12, &users.to_le_bytes());
    put(48 + 14, &flags.to_le_bytes());
    page
}

#[test]
fn a_volume_that_is_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    make(&image, 32, &[]);
    fill(&image, |folder| std::fs::write(folder.join("file"), "content").unwrap());
    let opened = || open("ntfs", Image::open(&image)).map(|filesystem| filesystem.read("/file").unwrap());
    let refused = |message: &str| {
        let error = opened().unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, message));
    };
    assert_eq!(opened().unwrap(), b"content");
    set_flags(&image, 1);
    refused("it was not unmounted cleanly, and waits for a check");
    set_flags(&image, 0x4000);
    refused("its flags 0x4000 are not known");
    set_flags(&image, 0x8000);
    assert_eq!(opened().unwrap(), b"content");
    let at = journal(&image);
    let rest = vec![0; 8192];
    for (first, second, wanted) in [
        (page(1, 0xffff, 0, 5), page(1, 0xffff, 0, 4), None),
        (page(2, 0, 2, 5), page(2, 0, 2, 6), None),
        (page(1, 0, 0, 5), page(1, 0xffff, 0, 4), Some("it was not unmounted cleanly: its journal is in use")),
        (page(1, 0, 0, 5), page(1, 0xffff, 0, 6), None),
        (page(3, 0xffff, 2, 5), page(3, 0xffff, 2, 6), Some("its journal is of an unknown kind")),
        (vec![0; 4096], vec![0; 4096], Some("its journal is of an unknown kind")),
    ] {
        write(&image, at, &[first, second, rest.clone()].concat());
        match wanted {
            Some(message) => refused(message),
            None => assert_eq!(opened().unwrap(), b"content"),
        }
    }
}

#[test]
fn the_first_records_and_their_copy_agree() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    make(&image, 32, &[]);
    let [_, copy] = record(&image, 1);
    let byte = read(&image, copy + 16, 1)[0];
    write(&image, copy + 16, &[byte ^ 1]);
    let error = open("ntfs", Image::open(&image)).err().unwrap();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Cannot, "its first records and the copy of them differ")
    );
}
