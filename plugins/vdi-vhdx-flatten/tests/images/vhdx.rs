//! VHDX.

use proptest::prelude::*;

use crate::damaged::{self, KIB, VHDX, headers, seal};
use crate::support::{assert_content, flatten, made};

#[test]
fn images_of_qemu_are_read_as_qemu_reads_them() {
    for options in
        ["subformat=dynamic", "subformat=dynamic,block_size=1M", "subformat=fixed", "block_size=8M,log_size=2M"]
    {
        let (image, expected) = made("vhdx", options, VHDX.1);
        let flat = flatten("vhdx", &image).unwrap();
        assert_eq!(flat.report.links[0].format, "vhdx");
        assert_content(&flat, &expected);
    }
}

#[test]
fn each_damage_has_its_sentence() {
    let (image, expected) = made("vhdx", VHDX.0, VHDX.1);
    for (image, expected) in damaged::vhdx(&image) {
        let error = flatten("vhdx", &image).err().unwrap();
        assert_eq!((error.kind.exit_code(), error.message), (65, format!("image: {expected}")));
        assert!(error.hint.is_some());
    }
    // One whole header and one whole region table are enough.
    let closed = headers(&image, &|header| header[48..64].fill(0));
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
        let mut image = IMAGE.get_or_init(|| made("vhdx", "block_size=1M", &VHDX.1[..1]).0).clone();
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
