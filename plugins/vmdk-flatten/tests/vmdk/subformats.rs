//! Every hosted subformat, made by qemu-img, read back and compared with the raw disk it was made from.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::made::{Noise, stream};
use crate::support::folder::Folder;
use crate::support::{assert_same, flatten, flatten_with, qemu, read_all};
use vmdk2kvm_plugin_api::read_exact_at;

const SUBFORMATS: [&str; 5] =
    ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"];

/// A sparse raw disk with data at these offsets.
fn raw_disk(folder: &Path, size: u64, data: &[(u64, usize)]) {
    let file = File::create(folder.join("disk.raw")).unwrap();
    file.set_len(size).unwrap();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for (offset, length) in data {
        file.write_all_at(&noise.bytes(*length), *offset).unwrap();
    }
}

#[test]
fn all_subformats_read_as_the_disk_they_were_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Not a multiple of a grain, and more than one table.
    let size = (80 << 20) + 3 * 512;
    raw_disk(path, size, &[(0, 70_000), (1 << 20, 3 << 20), ((33 << 20) + 511, 4097), (size - 5000, 5000)]);
    for subformat in SUBFORMATS {
        let name = format!("{subformat}.vmdk");
        qemu::convert(path, "disk.raw", &name, &format!("subformat={subformat}"));
        let flat = flatten(path, &name).unwrap();
        assert_same(&*flat.source, &path.join("disk.raw"));
        assert_eq!(flat.report.capacity_bytes, size);
        assert_eq!(flat.report.links.len(), 1);
        assert_eq!(flat.report.links[0].format, format!("vmdk/{subformat}"));
        assert_eq!(flat.report.links[0].parent_content_id.as_deref(), Some("ffffffff"));
        assert_eq!(flat.report.links[0].content_id.as_ref().unwrap().len(), 8);
        assert!(flat.report.warnings.is_empty());
        assert!(matches!(flat.source.hints().alignment, 4096 | 65536));
    }
}

#[test]
fn disks_in_several_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let border = 2 << 30;
    raw_disk(path, (5 << 30) + 512, &[(0, 4096), (border - 100_000, 200_000), (2 * border + 77, 5000), (5 << 30, 512)]);
    for subformat in ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] {
        let name = format!("{subformat}.vmdk");
        qemu::convert(path, "disk.raw", &name, &format!("subformat={subformat}"));
        let flat = flatten(path, &name).unwrap();
        assert_same(&*flat.source, &path.join("disk.raw"));
        assert_eq!(
            flat.report.links[0].files.len(),
            4,
            "descriptor and three extents: {:?}",
            flat.report.links[0].files
        );
        // One read across the border of two files.
        let (mut expected, mut found) = (vec![0; 150_000], vec![1; 150_000]);
        File::open(path.join("disk.raw")).unwrap().read_exact_at(&mut expected, border - 75_000).unwrap();
        read_exact_at(&*flat.source, border - 75_000, &mut found).unwrap();
        assert!(expected == found);
    }
}

#[test]
fn streams_with_their_directory_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let size = (100 << 20) + 1024;
    raw_disk(path, size, &[(0, 200_000), (70 << 20, 1 << 20), (size - 1024, 1024)]);
    let disk = std::fs::read(path.join("disk.raw")).unwrap();
    std::fs::write(path.join("s.vmdk"), stream::write(&disk, "s.vmdk")).unwrap();
    let flat = flatten(path, "s.vmdk").unwrap();
    assert_same(&*flat.source, &path.join("disk.raw"));
    assert_eq!(flat.report.links[0].format, "vmdk/streamOptimized");
    // The writer of this test is checked by the other reader.
    qemu::to_raw(path, "s.vmdk", "qemu.raw");
    assert_same(&*flat.source, &path.join("qemu.raw"));
}

#[test]
fn zero_grains_are_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    qemu::create(path, "z.vmdk", "subformat=monolithicSparse,zeroed_grain=on", "64M");
    qemu::io(path, "z.vmdk", &["write -P 7 0 1M", "write -z 256k 256k", "write -z 32M 1M"]);
    qemu::to_raw(path, "z.vmdk", "z.raw");
    let flat = flatten(path, "z.vmdk").unwrap();
    assert_same(&*flat.source, &path.join("z.raw"));
    let kinds: Vec<_> =
        flat.source.extents(0, 64 << 20).unwrap().iter().map(|e| format!("{:?} {}", e.kind, e.length >> 10)).collect();
    assert_eq!(kinds, ["Data 256", "Zero 256", "Data 512", "Hole 31744", "Zero 1024", "Hole 31744"]);
}

#[test]
fn small_and_unaligned_reads_from_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let size = 40u64 << 20;
    raw_disk(path, size, &[(0, 20 << 20), (30 << 20, 100_000)]);
    let expected = std::fs::read(path.join("disk.raw")).unwrap();
    for subformat in SUBFORMATS {
        let name = format!("{subformat}.vmdk");
        qemu::convert(path, "disk.raw", &name, &format!("subformat={subformat}"));
        let flat = flatten(path, &name).unwrap();
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let (source, expected) = (&*flat.source, &expected);
                scope.spawn(move || {
                    let mut noise = Noise(thread * 0x1234_5678_9abc);
                    for _ in 0..300 {
                        let length = 1 + noise.next() % 200_000;
                        let offset = noise.next() % (size - length);
                        let mut found = vec![0xa5; length as usize];
                        read_exact_at(source, offset, &mut found).unwrap();
                        assert!(found == expected[offset as usize..(offset + length) as usize], "{offset} {length}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_large_read_of_grains_in_order_is_one_read_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    raw_disk(path, 16 << 20, &[(0, 16 << 20)]);
    for subformat in ["monolithicSparse", "streamOptimized"] {
        let name = format!("{subformat}.vmdk");
        qemu::convert(path, "disk.raw", &name, &format!("subformat={subformat}"));
        let transport = Arc::new(Folder::new(path));
        let flat = flatten_with(Arc::clone(&transport), &name).unwrap();
        let mut buffer = vec![0; 1 << 20];
        read_exact_at(&*flat.source, 0, &mut buffer).unwrap(); // Loads the table.
        let before = transport.counters.reads.load(Ordering::Relaxed);
        read_exact_at(&*flat.source, 4 << 20, &mut buffer).unwrap();
        assert_eq!(transport.counters.reads.load(Ordering::Relaxed) - before, 1, "{subformat}");
    }
}

#[test]
fn small_reads_of_one_compressed_grain_inflate_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    raw_disk(path, 16 << 20, &[(0, 16 << 20)]);
    qemu::convert(path, "disk.raw", "s.vmdk", "subformat=streamOptimized");
    let transport = Arc::new(Folder::new(path));
    let flat = flatten_with(Arc::clone(&transport), "s.vmdk").unwrap();
    let mut buffer = vec![0; 4096];
    read_exact_at(&*flat.source, 0, &mut buffer).unwrap();
    let before = transport.counters.reads.load(Ordering::Relaxed);
    for at in (0..65536).step_by(4096) {
        read_exact_at(&*flat.source, at, &mut buffer).unwrap();
    }
    assert_eq!(transport.counters.reads.load(Ordering::Relaxed), before);
}

#[test]
fn reads_past_the_end_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    qemu::create(folder.path(), "d.vmdk", "subformat=monolithicSparse", "1M");
    let source = flatten(folder.path(), "d.vmdk").unwrap().source;
    let mut buffer = [0; 1024];
    assert_eq!(
        source.read_at((1 << 20) - 512, &mut buffer).unwrap_err().message,
        "1024 bytes at 1048064 lie outside of the disk of 1048576 bytes"
    );
    assert!(source.read_at(1 << 20, &mut buffer).is_err());
    assert!(source.read_at(u64::MAX, &mut buffer).is_err());
    assert!(source.extents(1, 1 << 20).is_err());
    assert_eq!(source.read_at(0, &mut []).unwrap(), 0);
    assert!(read_all(&*source).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn flat_files_of_esx_and_zero_extents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = "# Disk DescriptorFile\r\nversion=1\r\nencoding=\"UTF-8\"\r\nCID=daac00e8\r\nparentCID=ffffffff\r\nisNativeSnapshot=\"no\"\r\n\
        createType=\"vmfs\"\r\n\r\n# Extent description\r\nRW 4 VMFS \"d-flat.vmdk\"\r\nRDONLY 8 ZERO\r\nRW 2 FLAT \"d-flat.vmdk\" 1\r\n";
    std::fs::write(path.join("d.vmdk"), text).unwrap();
    let flat_bytes = Noise(7).bytes(4 * 512);
    std::fs::write(path.join("d-flat.vmdk"), &flat_bytes).unwrap();
    let flat = flatten(path, "d.vmdk").unwrap();
    let expected = [&flat_bytes[..], &[0; 8 * 512], &flat_bytes[512..1536]].concat();
    assert_eq!(read_all(&*flat.source).unwrap(), expected);
    assert_eq!(flat.report.links[0].files, ["d.vmdk", "d-flat.vmdk"]);
    assert_eq!(flat.report.links[0].format, "vmdk/vmfs");
}

#[test]
fn thousands_of_extents_keep_few_files_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut text =
        String::from("# Disk DescriptorFile\r\nCID=1\r\nparentCID=ffffffff\r\ncreateType=\"twoGbMaxExtentFlat\"\r\n");
    let mut expected = Vec::new();
    for number in 0..2000u32 {
        let bytes = [number.to_le_bytes(); 128].concat();
        let name = format!("one of very many small pieces-f{number:06}.vmdk");
        std::fs::write(path.join(&name), &bytes).unwrap();
        text += &format!("RW 1 FLAT \"{name}\" 0\r\n");
        expected.extend(bytes);
    }
    assert!(text.len() > 64 << 10, "longer than an embedded descriptor can be");
    std::fs::write(path.join("d.vmdk"), text).unwrap();
    let transport = Arc::new(Folder::new(path));
    let flat = flatten_with(Arc::clone(&transport), "d.vmdk").unwrap();
    assert!(read_all(&*flat.source).unwrap() == expected);
    let most = transport.counters.most_open.load(Ordering::Relaxed);
    assert!(most <= vmdk2kvm_vmdk_flatten::files::OPEN_FILES + 1, "{most}");
}

#[test]
fn an_empty_disk_of_eight_tebibytes_takes_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // qemu sets up all tables ahead; VMware's streams have none. Both must be quick.
    qemu::create(path, "tables.vmdk", "subformat=monolithicSparse", "8T");
    qemu::io(path, "tables.vmdk", &["write -P 9 7T 64k"]);
    let begin = std::time::Instant::now();
    let source = flatten(path, "tables.vmdk").unwrap().source;
    let map = source.extents(0, 8 << 40).unwrap();
    assert_eq!(map.len(), 3, "{map:?}");
    assert_eq!((map[1].offset, map[1].length), (7 << 40, 65536));
    let mut buffer = [0; 4096];
    read_exact_at(&*source, 7 << 40, &mut buffer).unwrap();
    assert_eq!(buffer, [9; 4096]);
    // Generous: this build is not optimised, and the machine may be busy.
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}
