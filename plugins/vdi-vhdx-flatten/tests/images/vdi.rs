//! VDI.

use proptest::prelude::*;

use crate::damaged::{self, VDI};
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
    let (image, _) = made("vdi", VDI.0, VDI.1);
    for (image, expected) in damaged::vdi(&image) {
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
