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
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two snapshots above a base, each written to anywhere, partly with zeros, and perhaps grown: read as qemu reads them.
    #[test]
    fn chains_of_random_writes_read_as_qemu_reads_them(
        subformats in prop::array::uniform3(0usize..5),
        sectors in 2000u64..100_000,
        grown in prop::array::uniform2(0u64..5000),
        writes in prop::array::uniform3(prop::collection::vec((any::<u64>(), 1u64..3000, 0u8..8), 1..10)),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let commands = |writes: &[(u64, u64, u8)], sectors: u64| -> Vec<String> {
            writes.iter().map(|(place, length, kind)| {
                let at = place % sectors;
                let length = length.min(&(sectors - at)) * 512;
                let how = if *kind == 0 { "-z".to_owned() } else { format!("-P {kind}") };
                format!("write {how} {} {length}", at * 512)
            }).collect()
        };
        let run = |name: &str, commands: &[String]| {
            qemu::io(path, name, &commands.iter().map(String::as_str).collect::<Vec<_>>());
        };
        qemu::create(path, "seed.vmdk", "subformat=monolithicSparse", &(sectors * 512).to_string());
        run("seed.vmdk", &commands(&writes[0], sectors));
        let base = format!("subformat={}", SUBFORMATS[subformats[0]]);
        qemu::run(path, "qemu-img", &["convert", "-f", "vmdk", "-O", "vmdk", "-o", &base, "seed.vmdk", "base.vmdk"]);
        let (mut below, mut size) = ("base.vmdk", sectors);
        for (level, name) in [(1, "mid.vmdk"), (2, "top.vmdk")] {
            // qemu makes snapshots of these only; half of them with entries for zero grains.
            let subformat = ["monolithicSparse", "twoGbMaxExtentSparse"][subformats[level] % 2];
            let zeros = ["on", "off"][subformats[level] / 2 % 2];
            size += grown[level - 1];
            let options = format!("subformat={subformat},zeroed_grain={zeros}");
            qemu::child(path, name, &options, below, Some(&(size * 512).to_string()));
            run(name, &commands(&writes[level], size));
            below = name;
        }
        qemu::to_raw(path, "top.vmdk", "top.raw");
        assert_same(&*flatten(path, "top.vmdk").unwrap().source, &path.join("top.raw"));
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
