//! Random sparse disks survive the way through every subformat; random damage never panics and never turns data into other data
//! unnoticed where the format can tell.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::made::{Noise, stream};
use crate::support::{assert_same, flatten, qemu, read_all};
use proptest::prelude::*;

const SUBFORMATS: [&str; 5] =
    ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_subformat_gives_the_disk_back(
        sectors in 1u64..200_000,
        writes in prop::collection::vec((any::<u64>(), 1usize..300_000), 0..12),
        seed in 1u64..,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let size = sectors * 512;
        let file = File::create(path.join("disk.raw")).unwrap();
        file.set_len(size).unwrap();
        let mut noise = Noise(seed);
        for (place, length) in writes {
            let offset = place % size;
            let length = length.min((size - offset) as usize);
            file.write_all_at(&noise.bytes(length), offset).unwrap();
        }
        for subformat in SUBFORMATS {
            let name = format!("{subformat}.vmdk");
            qemu::convert(path, "disk.raw", &name, &format!("subformat={subformat}"));
            assert_same(&*flatten(path, &name).unwrap().source, &path.join("disk.raw"));
        }
        let disk = std::fs::read(path.join("disk.raw")).unwrap();
        std::fs::write(path.join("footer.vmdk"), stream::write(&disk, "footer.vmdk")).unwrap();
        assert_same(&*flatten(path, "footer.vmdk").unwrap().source, &path.join("disk.raw"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The checksum of each grain and the marks around it find what changed: a damaged stream is refused, or reads as before, or
    /// (when a table entry became 0) has a hole, but no grain reads as other data.
    #[test]
    fn damaged_streams_never_panic_and_never_read_as_other_data(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let disk = Noise(42).bytes(300_000);
        let disk = [&disk[..], &[0; 7200]].concat();
        let mut bytes = stream::write(&disk, "s.vmdk");
        for (index, value) in changes {
            *index.get_mut(&mut bytes) = value;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.vmdk"), bytes).unwrap();
        if let Ok(flat) = flatten(folder.path(), "x.vmdk") {
            if let Ok(found) = read_all(&*flat.source) {
                for (found, expected) in found.chunks(65536).zip(disk.chunks(65536)) {
                    let same = found == &expected[..found.len().min(expected.len())];
                    prop_assert!(same || found.iter().all(|byte| *byte == 0));
                }
            }
        }
    }

    /// The metadata of a plain sparse file has no checksums; but nothing that it says makes the reader fall.
    #[test]
    fn random_metadata_never_panics(
        changes in prop::collection::vec((0usize..24 * 512, any::<u8>()), 1..8),
        table in prop::collection::vec(any::<u32>(), 0..8),
    ) {
        let mut bytes = MADE.with(Clone::clone);
        let at = bytes.len();
        bytes.extend(table.iter().flat_map(|entry| entry.to_le_bytes()));
        bytes.resize(at + 4096, 0);
        for (index, value) in changes {
            bytes[index] = value;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.vmdk"), bytes).unwrap();
        if let Ok(flat) = flatten(folder.path(), "x.vmdk") {
            let size = flat.source.size().min(64 << 20);
            let mut buffer = vec![0; 1 << 16];
            let _ = flat.source.extents(0, size);
            let _ = flat.source.read_at(0, &mut buffer[..size.min(1 << 16) as usize]);
        }
    }
}

thread_local! {
    /// A small sparse file of qemu's, made once.
    static MADE: Vec<u8> = {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("disk.raw"), Noise(1).bytes(200_192)).unwrap();
        qemu::convert(folder.path(), "disk.raw", "d.vmdk", "subformat=monolithicSparse");
        std::fs::read(folder.path().join("d.vmdk")).unwrap()
    };
}
