//! Damaged and hostile files: each is refused with its sentence, when it is opened or when the bad place is read, never read as
//! zeros.

use std::path::Path;

use crate::made::damaged::Case;
use crate::made::damaged_sparse::{GD, HEADERS, RGD, TABLES, number, table};
use crate::made::{Noise, put, stream};
use crate::support::{failure, flatten, qemu, read_all};
use vmdk2kvm_plugin_api::ErrorKind;

/// An 8 MiB disk with data at its beginning, as qemu makes it.
fn sparse(folder: &Path, subformat: &str) -> Vec<u8> {
    let raw = [Noise(42).bytes(1 << 20), vec![0; 7 << 20]].concat();
    std::fs::write(folder.join("disk.raw"), raw).unwrap();
    qemu::convert(folder, "disk.raw", "disk.vmdk", &format!("subformat={subformat}"));
    std::fs::read(folder.join("disk.vmdk")).unwrap()
}

fn check(folder: &Path, good: &[u8], cases: &[Case]) {
    for (expected, mutate) in cases {
        let mut bytes = good.to_vec();
        mutate(&mut bytes);
        std::fs::write(folder.join("x.vmdk"), bytes).unwrap();
        let error = failure(folder, "x.vmdk");
        assert_eq!(error.message, format!("x.vmdk: {expected}"));
        assert_eq!(error.kind, ErrorKind::Unusable);
        assert!(error.hint.is_some(), "no hint: {expected}");
    }
}

#[test]
fn headers() {
    let folder = tempfile::tempdir().unwrap();
    let good = sparse(folder.path(), "monolithicSparse");
    check(folder.path(), &good, HEADERS);
}

#[test]
fn tables_and_grains() {
    let folder = tempfile::tempdir().unwrap();
    let mut good = sparse(folder.path(), "monolithicSparse");
    // Without the redundant copy, which would heal most of this.
    put(&mut good, 8, &[1]);
    check(folder.path(), &good, TABLES);
}

#[test]
fn the_redundant_metadata_is_used_when_the_first_copy_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let good = sparse(path, "monolithicSparse");
    let raw = std::fs::read(path.join("disk.raw")).unwrap();
    type Damage = fn(&mut Vec<u8>);
    let cases: &[(Option<&str>, Damage)] = &[
        (Some("its grain directory of 4 bytes at offset 512000000 lies outside of the file of 1114112 bytes"), |b| {
            put(b, GD, &1_000_000u64.to_le_bytes())
        }),
        (
            Some("its grain table 0 lies outside of the file: at sector 4294967295, and the file has 1114112 bytes"),
            |b| {
                let at = number(b, GD) as usize * 512;
                put(b, at, &[0xff; 4]);
            },
        ),
        (Some("its grain directory lacks tables that the redundant one has"), |b| {
            let at = number(b, GD) as usize * 512;
            put(b, at, &[0; 4]);
        }),
        (
            Some(
                "the grain at byte 131072 of the disk lies outside of the file: at sector 4294967295, and the file has 1114112 bytes",
            ),
            |b| {
                let at = table(b, GD) + 8;
                put(b, at, &[0xff; 4]);
            },
        ),
        (None, |b| put(b, RGD, &1_000_000u64.to_le_bytes())),
    ];
    for (warning, mutate) in cases {
        let mut bytes = good.clone();
        mutate(&mut bytes);
        std::fs::write(path.join("x.vmdk"), bytes).unwrap();
        let flat = flatten(path, "x.vmdk").unwrap();
        assert_eq!(
            flat.report.warnings,
            Vec::from_iter(warning.map(|text| format!("x.vmdk: {text}; its redundant copy is used")))
        );
        assert!(read_all(&*flat.source).unwrap() == raw);
    }
    let mut bytes = good;
    for field in [GD, RGD] {
        let at = table(&bytes, field) + 8;
        put(&mut bytes, at, &[0xff; 4]);
    }
    std::fs::write(path.join("x.vmdk"), bytes).unwrap();
    assert!(failure(path, "x.vmdk").message.contains("the grain at byte 131072 of the disk lies outside of the file"));
}

#[test]
fn zeros_behind_a_stream_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Noise(42).bytes(1 << 20);
    let good = stream::write(&disk, "x.vmdk");
    for padding in [0, 1, 511, 512, 65_536, 1 << 20] {
        let mut padded = good.clone();
        padded.resize(good.len() + padding, 0);
        std::fs::write(folder.path().join("x.vmdk"), padded).unwrap();
        let flat = flatten(folder.path(), "x.vmdk").unwrap();
        assert!(read_all(&*flat.source).unwrap() == disk, "{padding}");
    }
}

#[test]
fn torn_and_damaged_streams() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Noise(42).bytes(1 << 20);
    let good = stream::write(&disk, "s.vmdk");
    let torn = |length: usize| failure_of_stream(folder.path(), &good[..length]);
    for length in [1000, (good.len() / 2) | 1, good.len() - 1, good.len() - 511] {
        assert_eq!(
            torn(length),
            "x.vmdk: the stream-optimized file is torn: it does not end at a sector's end with a footer"
        );
    }
    for length in [good.len() / 1024 * 512, good.len() - 512, good.len() - 1024] {
        assert_eq!(torn(length), "x.vmdk: the stream-optimized file is torn: it has no footer");
    }
    let cases: &[Case] = &[
        ("the stream-optimized file is torn: it has no end-of-stream marker", |b| *b.last_mut().unwrap() = 1),
        ("its footer and its header contradict each other", |b| {
            let at = b.len() - 1024 + 12;
            put(b, at, &[8]);
        }),
        ("the stream-optimized file is torn: its footer does not say where the grain directory is", |b| {
            let at = b.len() - 1024 + GD;
            put(b, at, &[0xff; 8]);
        }),
        // The first grain's marker is behind the 128 sectors of header and descriptor.
        (
            "the compressed grain at byte 0 of the disk (sector 128 of the file) bears the marker of sector 5 instead of 0",
            |b| put(b, 128 * 512, &[5]),
        ),
        (
            "the compressed grain at byte 0 of the disk (sector 128 of the file) has a marker with the impossible length 0",
            |b| put(b, 128 * 512 + 8, &[0; 4]),
        ),
        (
            "the compressed grain at byte 0 of the disk (sector 128 of the file) has a marker with the impossible length 4294967295",
            |b| put(b, 128 * 512 + 8, &[0xff; 4]),
        ),
        ("the compressed grain at byte 0 of the disk is not a valid zlib stream", |b| {
            put(b, 128 * 512 + 500, &[0xaa; 9])
        }),
    ];
    check(folder.path(), &good, cases);
}

fn failure_of_stream(folder: &Path, bytes: &[u8]) -> String {
    std::fs::write(folder.join("x.vmdk"), bytes).unwrap();
    failure(folder, "x.vmdk").message
}

#[test]
fn a_torn_stream_of_qemu_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = sparse(folder.path(), "streamOptimized");
    // The last sector is filled up with zeros behind the last grain, and those may be missing.
    let padding = good.iter().rev().take_while(|byte| **byte == 0).count();
    for cut in [padding + 1, padding + 512, 100_000] {
        let message = failure_of_stream(folder.path(), &good[..good.len() - cut]);
        assert!(
            message.contains("lies outside of the file") || message.contains("is cut off by the end of the file"),
            "{cut}: {message}"
        );
    }
}

#[test]
fn what_qemu_leaves_behind_a_shorter_content_id_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 8 ZERO\n\x00647\"\n\0\0\0";
    std::fs::write(folder.path().join("d.vmdk"), text).unwrap();
    assert_eq!(read_all(&*flatten(folder.path(), "d.vmdk").unwrap().source).unwrap(), [0; 4096]);
}

#[test]
fn grains_of_another_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let disk = Noise(42).bytes(1 << 20);
    let good = stream::write(&disk, "s.vmdk");
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    for (length, expected) in [
        (65535, "x.vmdk: the compressed grain at byte 0 of the disk inflates to 65535 bytes instead of 65536"),
        (65537, "x.vmdk: the compressed grain at byte 0 of the disk inflates to more than 65536 bytes"),
        (60 << 20, "x.vmdk: the compressed grain at byte 0 of the disk inflates to more than 65536 bytes"),
    ] {
        let mut packed = vec![0; compressor.zlib_compress_bound(length)];
        let count = compressor.zlib_compress(&vec![0; length], &mut packed).unwrap();
        let mut bytes = good.clone();
        put(&mut bytes, 128 * 512 + 8, &(count as u32).to_le_bytes());
        put(&mut bytes, 128 * 512 + 12, &packed[..count]);
        std::fs::write(path.join("x.vmdk"), bytes).unwrap();
        assert_eq!(failure(path, "x.vmdk").message, expected);
    }
}

#[test]
fn descriptors_and_extents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("d-flat.vmdk"), [7; 4096]).unwrap();
    sparse(path, "twoGbMaxExtentSparse");
    std::os::unix::fs::symlink("d-flat.vmdk", path.join("link")).unwrap();
    let cases = [
        (
            "RW 9 FLAT \"d-flat.vmdk\" 0",
            "d-flat.vmdk: the flat extent is too short: its descriptor puts 4608 bytes at offset 0, and the file has 4096",
        ),
        (
            "RW 8 FLAT \"d-flat.vmdk\" 1",
            "d-flat.vmdk: the flat extent is too short: its descriptor puts 4096 bytes at offset 512, and the file has 4096",
        ),
        (
            "RW 8 FLAT \"d-flat.vmdk\" 99999999999999999",
            "x.vmdk: the extent in line 5 of its descriptor has an absurd offset",
        ),
        ("RW 8 SPARSE \"d-flat.vmdk\"", "d-flat.vmdk: it is not a sparse extent: its first bytes are not KDMV"),
        (
            "RW 8 SPARSE \"disk-s001.vmdk\"",
            "disk-s001.vmdk: the sparse extent has 8388608 bytes, and its descriptor says 4096",
        ),
        (
            "RW 8 FLAT \"/etc/passwd\" 0",
            "x.vmdk: extent /etc/passwd (line 5 of the descriptor): /etc/passwd: leads outside of the source's folder",
        ),
        (
            "RW 8 VMFS \"gone\"",
            "x.vmdk: extent gone (line 5 of the descriptor): gone: No such file or directory (os error 2)",
        ),
        (
            "RW 8 VMFS \"link\"",
            "x.vmdk: extent link (line 5 of the descriptor): link: Too many levels of symbolic links (os error 40)",
        ),
        (
            "NOACCESS 8 ZERO",
            "x.vmdk: the extent in line 5 of its descriptor is marked NOACCESS: its content must not be read",
        ),
        ("RW 8 ZERO\n\0RW 8 ZERO", "x.vmdk: its descriptor holds a zero byte in the midst of its text"),
    ];
    for (line, expected) in cases {
        let head = "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n";
        // Long enough that the zero byte is not within the first sector.
        let comment = format!("\n#{}", "-".repeat(600));
        let text = match line.split_once('\0') {
            Some((before, after)) => format!("{head}{before}{comment}\n\0{after}\n"),
            None => format!("{head}{line}{comment}\n"),
        };
        std::fs::write(path.join("x.vmdk"), text).unwrap();
        let error = failure(path, "x.vmdk");
        assert_eq!(error.message, expected);
        assert_ne!(error.kind, ErrorKind::Defect);
    }
    std::fs::write(path.join("x.vmdk"), "# Disk DescriptorFile\n".repeat(200_000)).unwrap();
    assert_eq!(failure(path, "x.vmdk").message, "x.vmdk: its descriptor of 4400000 bytes is longer than 4 MiB");
}
