//! VDI.

use proptest::prelude::*;

use crate::support::{assert_content, flatten, made};

#[test]
fn images_of_qemu_are_read_as_qemu_reads_them() {
    let writes = ["write -P 1 4M 512", "write -P 2 0 4k", "write -P 3 1M 1536k", "write -P 4 5M 512"];
    for (options, kind) in [("static=off", "vdi/dynamic"), ("static=on", "vdi/fixed")] {
        let (image, expected) = made("vdi", options, &writes);
        let flat = flatten("vdi", &image).unwrap();
        assert_eq!(flat.report.links[0].format, kind);
        assert_content(&flat, &expected);
    }
}

#[test]
fn each_damage_has_its_sentence() {
    let (image, _) = made("vdi", "static=off", &["write -P 1 0 512", "write -P 2 2M 512"]);
    let size = image.len();
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = image.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let number = |at: usize, value: u32| changed(at, &value.to_le_bytes());
    for (image, expected) in [
        (image[..100].to_vec(), "it has 100 bytes, fewer than the header of a VDI".to_owned()),
        (number(0x40, 0), "it has no header of a VDI".into()),
        (number(0x44, 0x2_0000), "it is of version 2.0; version 1.1 is read".into()),
        (number(0x4c, 4), "it is of type 4; dynamic (1) and fixed (2) are read".into()),
        (number(0x1b8, 1), "it hangs on another image, and chains of VDI images are not read".into()),
        (number(0x178, 3), "its blocks of 3 bytes and 0 more are none that are read (powers of two from 4096 to 268435456, and none more)".into()),
        (changed(0x170, &[0; 8]), "its 6 blocks of 1048576 bytes do not make its 0 bytes".into()),
        (changed(0x170, &[0xff; 8]), "its 6 blocks of 1048576 bytes do not make its 18446744073709551615 bytes".into()),
        (number(0x180, 5), "its 5 blocks of 1048576 bytes do not make its 5243392 bytes".into()),
        (number(0x154, u32::MAX), format!("its table of 24 bytes at offset 4294967295 lies outside of the file of {size} bytes")),
        (number(512, 7), format!("its block 0, 1048576 bytes at offset 7341056, lies outside of the file of {size} bytes; the file is cut off or damaged")),
        (number(512, 1), "two of its blocks overlap at offset 1049600".into()),
        (image[..size - 1].to_vec(), format!("its block 2, 1048576 bytes at offset 1049600, lies outside of the file of {} bytes; the file is cut off or damaged", size - 1)),
    ] {
        let error = flatten("vdi", &image).err().unwrap();
        assert_eq!((error.kind.exit_code(), error.message), (65, format!("image: {expected}")));
        assert!(error.hint.is_some());
    }
}

proptest! {
    /// Whatever the header says, the answer is content or a sentence, never a panic.
    #[test]
    fn no_bytes_make_it_panic(changes in prop::collection::vec((0x40_usize..600, any::<u8>()), 1..8), cut in 0_usize..9000) {
        let mut image = vec![0; 8192];
        for (at, value) in [(0x40, 0xbeda_107f_u32), (0x44, 0x1_0001), (0x4c, 1), (0x154, 512), (0x158, 1024), (0x170, 8192), (0x178, 4096), (0x180, 2), (516, 1)] {
            image[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        for (at, byte) in changes {
            image[at] = byte;
        }
        image.truncate(image.len().saturating_sub(cut));
        if let Ok(flat) = flatten("vdi", &image) {
            let length = flat.source.size().min(1 << 20);
            let _ = flat.source.extents(0, length);
            let _ = flat.source.read_at(0, &mut vec![0; length as usize]);
        }
    }
}
