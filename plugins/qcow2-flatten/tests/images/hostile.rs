//! Images that lie: each is refused with its sentence, at once or when the lie is reached, and nothing is read as zeros.

use crate::builder::{put32, put64};
use crate::damaged::{HEADERS, L1, TABLES, image};
use crate::files::Files;
use vmdk2kvm_plugin_api::ErrorKind;

fn refusal(bytes: Vec<u8>) -> String {
    let error = Files::default().with("a", bytes).content("a", 4096).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unusable, "{error}");
    error.message
}

#[test]
fn headers_that_lie_are_refused() {
    for (edit, expected) in HEADERS {
        let mut bytes = image().build();
        edit(&mut bytes);
        assert_eq!(refusal(bytes), format!("a: {expected}"));
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
    for (edit, expected) in TABLES {
        let mut bytes = image().build();
        edit(&mut bytes);
        assert_eq!(refusal(bytes), format!("a: {expected}"));
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
