//! Images that lie: each is refused with its sentence, at once or when the lie is reached, and nothing is read as zeros.

use crate::builder::{Cluster, Image, put32, put64};
use crate::files::Files;
use vmdk2kvm_plugin_api::ErrorKind;

fn image() -> Image {
    Image {
        version: 3,
        cluster_bits: 16,
        extended: false,
        size: 1 << 20,
        clusters: vec![Cluster::Plain(7), Cluster::Deflated(8), Cluster::Zero],
        backing: None,
    }
}

/// Where the builder puts things, with clusters of 64 KiB.
const L1: usize = 0x1_0000;
const L2: usize = 0x2_0000;

fn refusal(bytes: Vec<u8>) -> String {
    let error = Files::default().with("a", bytes).content("a", 4096).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unusable, "{error}");
    error.message
}

#[test]
fn headers_that_lie_are_refused() {
    type Edit = fn(&mut Vec<u8>);
    let table: &[(Edit, &str)] = &[
        (|b| b.truncate(0), "a: it does not begin like a QCOW2 image"),
        (|b| b.truncate(50), "a: a header of 50 bytes; the file is cut off"),
        (|b| b[3] = 0, "a: it does not begin like a QCOW2 image"),
        (|b| put32(b, 4, 4), "a: QCOW version 4; versions 2 and 3 are read"),
        (|b| put32(b, 20, 8), "a: clusters of 2^8 bytes; the format allows 2^9 to 2^21"),
        (|b| put32(b, 20, 22), "a: clusters of 2^22 bytes; the format allows 2^9 to 2^21"),
        (|b| put32(b, 20, u32::MAX), "a: clusters of 2^4294967295 bytes; the format allows 2^9 to 2^21"),
        (|b| put64(b, 24, 0), "a: its virtual size is 0"),
        (|b| put64(b, 24, u64::MAX), "a: an L1 table of 1 entries for a disk that needs 34359738368"),
        (|b| put64(b, 24, 1 << 40), "a: an L1 table of 1 entries for a disk that needs 2048"),
        (|b| put32(b, 32, 1), "a: the image is encrypted"),
        (|b| put32(b, 32, 2), "a: the image is encrypted"),
        (|b| put32(b, 36, 0), "a: an L1 table of 0 entries for a disk that needs 1"),
        (|b| put32(b, 36, u32::MAX), "a: an L1 table of 4294967295 entries; the limit is 4194304"),
        (|b| put32(b, 36, 4_000_000), "a: an L1 table of 4000000 entries at offset 65536 in a file of 327680 bytes"),
        (|b| put64(b, 40, 0), "a: an L1 table at offset 0, which is no cluster's beginning"),
        (|b| put64(b, 40, 512), "a: an L1 table at offset 512, which is no cluster's beginning"),
        (
            |b| put64(b, 40, u64::MAX << 16),
            "a: an L1 table of 1 entries at offset 18446744073709486080 in a file of 327680 bytes",
        ),
        (|b| put64(b, 72, 2), "a: the image is marked corrupt"),
        (|b| put64(b, 72, 4), "a: the image keeps its data in another file, which is not supported"),
        (|b| put64(b, 72, 8), "a: compression type 0; deflate (0) and zstd (1) are read"),
        (|b| put64(b, 72, 1 << 63), "a: the image needs feature 63, which is not known"),
        (|b| put32(b, 100, 8), "a: a header length of 8 bytes; it must be a multiple of 8 from 104 to 65536"),
        (|b| put32(b, 100, 105), "a: a header length of 105 bytes; it must be a multiple of 8 from 104 to 65536"),
        (
            |b| put32(b, 100, u32::MAX - 7),
            "a: a header length of 4294967288 bytes; it must be a multiple of 8 from 104 to 65536",
        ),
        (|b| (put32(b, 100, 112), b[104] = 1).1, "a: compression type 1 without its feature bit"),
        (
            |b| (put32(b, 104, 1), put32(b, 108, u32::MAX)).1,
            "a: header extension 0x00000001 of 4294967295 bytes does not fit into the first cluster",
        ),
        (|b| put64(b, 8, 200), "a: a backing file name of 0 bytes; the format allows 1 to 1023"),
        (
            |b| (put64(b, 8, 200), put32(b, 16, 1024)).1,
            "a: a backing file name of 1024 bytes; the format allows 1 to 1023",
        ),
        (
            |b| (put64(b, 8, 65535), put32(b, 16, 2)).1,
            "a: a backing file name at offset 65535, 2 bytes long, outside of the first cluster",
        ),
        (
            |b| (put64(b, 8, u64::MAX), put32(b, 16, 2)).1,
            "a: a backing file name at offset 18446744073709551615, 2 bytes long, outside of the first cluster",
        ),
        (
            |b| (put64(b, 8, 4), put32(b, 16, 2)).1,
            "a: a backing file name at offset 4, 2 bytes long, outside of the first cluster",
        ),
        (|b| (put64(b, 8, 200), put32(b, 16, 1), b[200] = 0xff).2, "a: the backing file's name is not UTF-8"),
    ];
    for (edit, expected) in table {
        let mut bytes = image().build();
        edit(&mut bytes);
        assert_eq!(refusal(bytes), *expected);
    }
    let mut small = image();
    small.cluster_bits = 12;
    let mut bytes = small.build();
    put64(&mut bytes, 72, 16);
    assert_eq!(refusal(bytes), "a: subclusters in clusters of 2^12 bytes; they need 2^14");
}

#[test]
fn a_feature_that_is_not_known_is_called_by_its_name() {
    let mut bytes = image().build();
    put64(&mut bytes, 72, 1 << 7);
    put32(&mut bytes, 104, 0x6803_f857);
    put32(&mut bytes, 108, 48);
    bytes[113] = 7;
    bytes[114..122].copy_from_slice(b"telepor\x1b");
    assert_eq!(refusal(bytes), "a: the image needs feature 7 (telepor\\u{1b}), which is not known");
}

#[test]
fn tables_that_lie_are_refused() {
    type Edit = fn(&mut Vec<u8>);
    let table: &[(Edit, &str)] = &[
        (|b| put64(b, L1, 1), "a: an L1 entry 0x0000000000000001 with reserved bits"),
        (|b| put64(b, L1, 512), "a: an L2 table at offset 512, which is no cluster's beginning"),
        (
            |b| put64(b, L1, 0x00ff_ffff_ffff_0000),
            "a: a table entry at offset 72057594037862400 in a file of 327680 bytes; the file is cut off",
        ),
        (|b| put64(b, L2, 2), "a: an L2 entry 0x0000000000000002 with reserved bits"),
        (|b| put64(b, L2, 1024), "a: a cluster at offset 1024, which is no cluster's beginning"),
        (
            |b| put64(b, L2, 0x00ff_ffff_ffff_0000),
            "a: guest offset 0 is stored at offset 72057594037862400, 4096 bytes long, in a file of 327680 bytes; the file \
             is cut off or damaged",
        ),
        (
            |b| b[0x4_0000..0x4_0040].fill(0xff),
            "a: guest offset 65536, in the cluster at offset 262144: its compressed data is damaged",
        ),
        (
            |b| put64(b, L2 + 8, 1 << 62 | 1 << 53),
            "a: guest offset 65536 is stored at offset 9007199254740992, 1 bytes long, in a file of 327680 bytes; the file is cut \
             off or damaged",
        ),
        (
            |b| b.truncate(0x3_8000),
            "a: guest offset 32768 is stored at offset 229376, 4096 bytes long, in a file of 229376 bytes; the file is cut off or damaged",
        ),
    ];
    for (edit, expected) in table {
        let mut bytes = image().build();
        edit(&mut bytes);
        assert_eq!(refusal(bytes), *expected);
    }
}

#[test]
fn a_table_used_for_everything_is_harmless() {
    let mut bytes = image().build();
    // The L1 table as its own L2 table, and as data.
    put64(&mut bytes, L1, L1 as u64);
    let (content, _) = Files::default().with("a", bytes).content("a", 4096).unwrap();
    assert_eq!(content[..8], (L1 as u64).to_be_bytes());
}

#[test]
fn backing_names_that_lead_elsewhere_are_refused() {
    let with = |name: &str, format: Option<&str>| {
        let mut top = image();
        top.backing = Some((name.into(), format.map(String::from)));
        top.build()
    };
    for (name, format, expected) in [
        ("b", None, "a: it does not state the format of its backing file 'b'"),
        ("b", Some("vmdk"), "a: its backing file 'b' has format 'vmdk'; qcow2 and raw are read"),
        ("b", Some("r aw"), "a: the backing file's format is no word of at most 15 letters"),
        (
            "json:{\"file\":{}}",
            Some("raw"),
            "a: its backing file 'json:{\\\"file\\\":{}}' is a protocol's address, not a file",
        ),
        ("nbd:x:1", Some("raw"), "a: its backing file 'nbd:x:1' is a protocol's address, not a file"),
        ("../b", Some("raw"), "a: the name '../b' is refused"),
        ("/etc/shadow", Some("raw"), "a: the name '/etc/shadow' is refused"),
        ("a", Some("qcow2"), "a: the backing chain comes back to this file"),
        ("missing", Some("raw"), "missing: there is no such file"),
        ("b", Some("qcow2"), "b: it does not begin like a QCOW2 image"),
    ] {
        let files = Files::default().with("a", with(name, format)).with("b", vec![1; 4096]);
        let error = files.flatten("a").err().unwrap();
        assert_eq!(error.message, expected);
        assert_eq!(error.kind, ErrorKind::Unusable);
    }
    // Raw stays raw, even when it begins like an image with a backing file.
    let trap = with("/etc/shadow", Some("raw"));
    let mut top = image();
    top.clusters = Vec::new();
    top.backing = Some(("b".into(), Some("raw".into())));
    let (content, report) =
        Files::default().with("a", top.build()).with("b", trap.clone()).content("a", 1 << 16).unwrap();
    assert_eq!(content[..trap.len()], trap);
    assert_eq!(report.links[1].format, "raw");
}

#[test]
fn a_chain_has_a_limit() {
    let mut files = Files::default();
    for number in 0..300 {
        let mut link = image();
        link.clusters.clear();
        link.backing = Some((format!("{}", number + 1), Some("qcow2".into())));
        files = files.with(&number.to_string(), link.build());
    }
    assert_eq!(files.flatten("0").err().unwrap().message, "256: the backing chain has more than 256 images");
}

#[test]
fn an_image_that_was_not_closed_is_read_with_a_warning() {
    let mut bytes = image().build();
    put64(&mut bytes, 72, 1);
    let (_, report) = Files::default().with("a", bytes).content("a", 4096).unwrap();
    assert_eq!(
        report.warnings,
        ["a: the image was not closed; its reference counts may be stale, which does not concern its content"]
    );
}

#[test]
fn reads_past_the_end_are_errors() {
    let flat = Files::default().with("a", image().build()).flatten("a").unwrap();
    for (offset, length) in [(1 << 20, 1), ((1 << 20) - 1, 2), (u64::MAX, 1)] {
        let error = flat.source.read_at(offset, &mut vec![0; length]).unwrap_err();
        assert!(error.message.ends_with("lie past the end of the disk, which has 1048576 bytes"), "{error}");
        assert!(flat.source.extents(offset, length as u64).is_err());
    }
    assert_eq!(flat.source.read_at(1 << 20, &mut []).unwrap(), 0);
}
