//! VHDX.

use proptest::prelude::*;

use crate::support::{assert_content, flatten, made};

const KIB: usize = 1 << 10;

/// Puts the right checksum into the structure of `length` bytes at `at`: CRC-32C by its table.
fn seal(image: &mut [u8], at: usize, length: usize) {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }))
        .collect();
    image[at + 4..at + 8].fill(0);
    let step = |crc: u32, byte: &u8| table[(crc as u8 ^ byte) as usize] ^ crc >> 8;
    let crc = !image[at..at + length].iter().fold(u32::MAX, step);
    image[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
}

fn find(image: &[u8], bytes: &[u8]) -> usize {
    image.windows(bytes.len()).position(|window| window == bytes).unwrap()
}

const WRITES: [&str; 4] = ["write -P 1 4M 512", "write -P 2 0 4k", "write -P 3 1M 1536k", "write -P 4 5M 512"];

#[test]
fn images_of_qemu_are_read_as_qemu_reads_them() {
    for options in
        ["subformat=dynamic", "subformat=dynamic,block_size=1M", "subformat=fixed", "block_size=8M,log_size=2M"]
    {
        let (image, expected) = made("vhdx", options, &WRITES);
        let flat = flatten("vhdx", &image).unwrap();
        assert_eq!(flat.report.links[0].format, "vhdx");
        assert_content(&flat, &expected);
    }
}

#[test]
fn each_damage_has_its_sentence() {
    let (image, expected) = made("vhdx", "block_size=1M", &WRITES);
    let size = image.len();
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = image.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let headers = |change: &dyn Fn(&mut [u8])| {
        let mut image = image.clone();
        for at in [64 * KIB, 128 * KIB] {
            change(&mut image[at..at + 4 * KIB]);
            seal(&mut image, at, 4 * KIB);
        }
        image
    };
    let regions = |change: &dyn Fn(&mut [u8])| {
        let mut image = image.clone();
        for at in [192 * KIB, 256 * KIB] {
            change(&mut image[at..at + 64 * KIB]);
            seal(&mut image, at, 64 * KIB);
        }
        image
    };
    let region = |id: &[u8]| {
        let at = 192 * KIB + find(&image[192 * KIB..], id);
        u64::from_le_bytes(image[at + 16..at + 24].try_into().unwrap()) as usize
    };
    let table = region(&[0x66, 0x77, 0xc2, 0x2d]);
    let metadata = region(&[0x06, 0xa2, 0x7c, 0x8b]);
    let item = |id: &[u8]| {
        let at = metadata + find(&image[metadata..], id);
        metadata + u32::from_le_bytes(image[at + 16..at + 20].try_into().unwrap()) as usize
    };
    let (parameters, capacity, sector) =
        (item(&[0x37, 0x67, 0xa1, 0xca]), item(&[0x24, 0x42, 0xa5, 0x2f]), item(&[0x1d, 0xbf, 0x41, 0x81]));
    let mut both_headers = changed(64 * KIB, b"x");
    both_headers[128 * KIB] = b'x';
    let mut both_regions = changed(192 * KIB, b"x");
    both_regions[256 * KIB + 100] ^= 1;
    for (image, expected) in [
        (changed(0, b"x"), "it has no identifier of a VHDX".to_owned()),
        (image[..100 * KIB].to_vec(), "its header, 4096 bytes at offset 131072, lies outside of the file of 102400 bytes; the file is cut off or damaged".into()),
        (both_headers, "both of its headers are damaged".into()),
        (both_regions, "both of its region tables are damaged".into()),
        (headers(&|header| header[66] = 2), "it is of version 2; version 1 is read".into()),
        (headers(&|header| header[50] = 2), "it was not closed, and changes wait in its log".into()),
        (regions(&|table| table[8] = 0), "it has no table of blocks or no metadata".into()),
        (regions(&|table| (table[16], table[44]) = (1, 1)), "it needs a region that is not known".into()),
        (regions(&|table| table[39] = 0x7f), String::new()),
        (changed(metadata, b"x"), "its metadata is damaged".into()),
        (changed(metadata + 10, &[0, 0]), "its metadata has no block size".into()),
        (changed(parameters + 4, &[2]), "it hangs on a parent, and chains of VHDX images are not read".into()),
        (changed(parameters, &[0, 0, 3, 0]), "its blocks of 196608 bytes are none that are read (powers of two from 1048576 to 268435456)".into()),
        (changed(sector, &[1]), "its sectors of 513 bytes are none that are read (512 and 4096)".into()),
        (changed(capacity, &[1]), "its capacity of 5243393 bytes is no number of sectors up to 70368744177664 bytes".into()),
        (changed(capacity, &[0xff; 8]), "its capacity of 18446744073709551615 bytes is no number of sectors up to 70368744177664 bytes".into()),
        (changed(capacity + 5, &[1]), "its table has 1048576 bytes, and its 1048582 blocks need 8390704".into()),
        (changed(table, &[7]), "its block 0 is in state 7, which an image without a parent does not have".into()),
        (changed(table + 7, &[0x7f]), String::new()),
        (image[..size - (1 << 20)].to_vec(), String::new()),
    ] {
        let error = flatten("vhdx", &image).err().unwrap();
        assert_eq!(error.kind.exit_code(), 65);
        assert!(expected.is_empty() || error.message == format!("image: {expected}"), "{error}\nexpected: {expected}");
        assert!(!expected.is_empty() || error.message.contains("lies outside of the file"), "{error}");
        assert!(error.hint.is_some());
    }
    // One whole header and one whole region table are enough.
    let closed = headers(&|header| header[48..64].fill(0));
    for at in [64 * KIB, 128 * KIB, 192 * KIB, 256 * KIB] {
        let mut image = closed.clone();
        image[at + 100] ^= 1;
        assert_content(&flatten("vhdx", &image).unwrap(), &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the structures say, the answer is content or a sentence, never a panic.
    #[test]
    fn no_bytes_make_it_panic(changes in prop::collection::vec((0_usize..1 << 12, 0_usize..5, any::<u8>()), 1..8), cut in 0_usize..1 << 20) {
        use std::sync::OnceLock;
        static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
        let mut image = IMAGE.get_or_init(|| made("vhdx", "block_size=1M", &WRITES[..1]).0).clone();
        let places = [64 * KIB, 192 * KIB, 2048 * KIB, 2112 * KIB, 3072 * KIB];
        for (at, place, byte) in changes {
            if let Some(slot) = image.get_mut(places[place] + at) {
                *slot = byte;
            }
        }
        seal(&mut image, 64 * KIB, 4 * KIB);
        seal(&mut image, 192 * KIB, 64 * KIB);
        image.truncate(image.len().saturating_sub(cut));
        if let Ok(flat) = flatten("vhdx", &image) {
            let length = flat.source.size().min(2 << 20);
            let _ = flat.source.extents(0, length);
            let _ = flat.source.read_at(0, &mut vec![0; length as usize]);
        }
    }
}
