//! Damaged images, with the sentence each is refused with.

use proptest::prelude::*;

use crate::builder::{expected, seal};
use crate::damaged::{self, CAPACITY, footers, image};
use crate::memory::Images;

#[test]
fn each_damage_has_its_sentence() {
    for (image, expected) in damaged::all() {
        assert_eq!(Images::default().with("a.vhd", image).message("a.vhd"), format!("a.vhd: {expected}"));
    }
}

#[test]
fn one_of_both_footers_is_enough() {
    let content = expected(CAPACITY, &[&[(0, 1), (500, 2)]]);
    let mut first = image();
    first[100] ^= 1;
    let mut last = image();
    last.truncate(last.len() - 512);
    for (image, warning) in [
        (first, "a.vhd: the copy of its footer at the beginning is damaged; that at the end is used"),
        (last, "a.vhd: its footer is damaged or cut off; the copy at the beginning is used"),
    ] {
        let (read, report) = Images::default().with("a.vhd", image).read("a.vhd", 1 << 20).unwrap();
        assert!(read == content);
        assert_eq!(report.warnings, [warning]);
    }
    let suspended = footers(|footer| footer[84] = 1);
    let (_, report) = Images::default().with("a.vhd", suspended).read("a.vhd", 1 << 20).unwrap();
    assert_eq!(report.warnings, ["a.vhd: the machine was suspended; what it had not written yet is missing"]);
}

proptest! {
    /// Whatever is changed, the answer is content or a sentence, never a panic.
    #[test]
    fn no_bytes_make_it_panic(changes in prop::collection::vec((0_usize..3000, any::<u8>()), 1..8), cut in 0_usize..200_000, sealed in any::<bool>()) {
        let mut image = image();
        for (at, byte) in changes {
            image[at] = byte;
        }
        if sealed {
            seal(&mut image[..512], 64);
            seal(&mut image[512..1536], 36);
        }
        image.truncate(image.len().saturating_sub(cut));
        let disk = vmdk2kvm_plugin_api::model::FlattenDisk::new("a.vhd", "vhd");
        let images = std::sync::Arc::new(vmdk2kvm_plugin_testing::MemoryFiles::default().with("a.vhd", image));
        if let Ok(flat) = vmdk2kvm_plugin_api::Flattener::flatten(&vmdk2kvm_vhd_flatten::Vhd, &disk, images) {
            // A capacity may be absurd and its table absent; a little of it is enough.
            let length = flat.source.size().min(2 << 20);
            let _ = flat.source.extents(0, length);
            let _ = flat.source.read_at(0, &mut vec![0; length as usize]);
        }
    }
}
