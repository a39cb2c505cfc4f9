//! What is refused, with exit code and sentence: each case is a file made here.

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::ErrorKind;

use crate::documents::{disk, usual};
use crate::support::Lab;
use crate::{ovfs, tars};

#[test]
fn tars_that_cannot_be_trusted_are_refused() {
    let ovf = usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\"");
    for (number, (bytes, expected)) in tars::hostile(&ovf).into_iter().enumerate() {
        let lab = Lab::new();
        lab.file("web.ova", bytes);
        let (code, message) = lab.refusal("web.ova");
        assert_eq!(code, 65, "case {number}");
        let message = message.replace("DIR/web.ova/", "").replace("DIR/web.ova: ", "");
        assert_eq!(message, expected, "case {number}");
    }
}

#[test]
fn zips_that_cannot_be_trusted_are_refused() {
    let lab = Lab::new();
    lab.file("web.ovf", usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\""))
        .file("a.vmdk", disk(1))
        .file("b.vmdk", disk(2));
    lab.run(".", "zip -q good.zip web.ovf a.vmdk b.vmdk");
    let good = lab.read("good.zip");
    assert!(lab.contents("good.zip").is_ok());
    let replaced = |from: &[u8], to: &[u8]| {
        let mut bytes = good.clone();
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from) {
            bytes[at + found..at + found + from.len()].copy_from_slice(to);
            at += found + from.len();
        }
        bytes
    };
    // The last byte of the deflated second disk, before the directory.
    let directory = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mut flipped = good.clone();
    flipped[directory - 100] ^= 1;
    std::os::unix::fs::symlink("/etc/passwd", lab.root().join("link.vmdk")).unwrap();
    lab.run(".", "zip -q -y link.zip web.ovf link.vmdk").run(".", "zip -q -P secret locked.zip web.ovf");
    lab.file("outside.zip", replaced(b"a.vmdk", b"../etc")).file("twice.zip", replaced(b"a.vmdk", b"b.vmdk"));
    lab.file("cut.zip", &good[..good.len() / 2]).file("flipped.zip", flipped);
    for (name, expected) in [
        ("outside.zip", "DIR/outside.zip: the name '../etc' is refused: it is a path that leads outside of its folder"),
        ("twice.zip", "DIR/twice.zip: the archive has two members called 'b.vmdk'"),
        ("link.zip", "DIR/link.zip: its member 'link.vmdk' is a link or a device, not a file"),
        ("locked.zip", "DIR/locked.zip: its member 'web.ovf' is encrypted"),
        ("cut.zip", "DIR/cut.zip: the ZIP is damaged or cut off ("),
        (
            "flipped.zip",
            "DIR/flipped.zip/web.ovf: disk 'd2': DIR/flipped.zip/b.vmdk: the compressed data is damaged or cut off (",
        ),
    ] {
        let (code, message) = lab.refusal(name);
        assert!(message.starts_with(expected), "{name}: {message}");
        assert_eq!(code, 65, "{name}");
    }
}

#[test]
fn compressed_files_that_are_damaged_are_refused() {
    let lab = Lab::new();
    lab.file("web.raw", vec![7; 1 << 20])
        .run(".", "gzip -nk web.raw")
        .run(".", "xz -k web.raw")
        .run(".", "tar -czf web.tar.gz web.raw");
    for name in ["web.raw.gz", "web.raw.xz", "web.tar.gz"] {
        let good = lab.read(name);
        lab.file(&format!("cut-{name}"), &good[..good.len() - 9]);
        let (code, message) = lab.refusal(&format!("cut-{name}"));
        assert_eq!(code, 65);
        assert!(
            message.starts_with(&format!("DIR/cut-{name}: the compressed data is damaged or cut off (")),
            "{message}"
        );
    }
}

#[test]
fn ovfs_that_make_no_sense_are_refused_by_what_is_wrong() {
    let lab = Lab::new();
    lab.file("a.vmdk", disk(1))
        .file("b.vmdk", disk(2))
        .file("text.vmdk", "text")
        .file("empty.vmdk", "")
        .file("sub/c.vmdk", disk(3));
    std::os::unix::fs::symlink("/etc/passwd", lab.root().join("link.vmdk")).unwrap();
    for (ovf, expected) in ovfs::hostile() {
        lab.file("web.ovf", ovf);
        let (code, message) = lab.refusal("web.ovf");
        assert_eq!((code, message), (65, format!("DIR/web.ovf: {expected}")));
    }
}

#[test]
fn members_of_an_archive_cannot_reach_outside_of_it() {
    let lab = Lab::new();
    lab.file("secret.vmdk", disk(9))
        .file("in/web.ovf", usual("ovf:href=\"../secret.vmdk\"", "ovf:href=\"b.vmdk\""))
        .file("in/b.vmdk", disk(2));
    lab.run("in", "tar -cf ../web.ova web.ovf b.vmdk");
    let expected = "DIR/web.ova/web.ovf: disk 'd1': DIR/web.ova/web.ovf: the name '../secret.vmdk' is refused: it is a path that leads outside of its folder";
    assert_eq!(lab.refusal("web.ova").1, expected);
    lab.run("in", "tar -cf ../good.ova b.vmdk");
    let vm = lab.describe("good.ova", None).unwrap();
    let transport = lab.transport("web.ova", &vm, &vm.disks[0]);
    let object = |name: &str| lab.root().join(name).to_str().unwrap().to_owned();
    for outside in ["web.ova/../secret.vmdk", "web.ova/nothing", "web.ova/b.vmdk/x"] {
        let error = transport.open(&object(outside)).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Unusable, "{outside}: {error}");
    }
    assert_eq!(transport.resolve(&object("web.ova/b.vmdk"), "web.ovf").unwrap(), object("web.ova/web.ovf"));
    assert!(transport.resolve(&object("web.ova/b.vmdk"), "../secret.vmdk").is_err());
}

/// A search of the whole archive for each name would take minutes.
#[test]
fn a_manifest_of_names_that_are_not_there_takes_no_long_search_each() {
    let lab = Lab::new();
    lab.file("in/web.ovf", usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\""));
    lab.file("in/a.vmdk", disk(1)).file("in/b.vmdk", disk(2));
    let line = |number: u32| {
        format!("SHA256(none{number}/x) = {}\nSHA256(none{number}) = {}\n", "0".repeat(64), "0".repeat(64))
    };
    lab.file("in/web.mf", (0..15_000).map(line).collect::<String>());
    (0..15_000).for_each(|number| _ = lab.file(&format!("in/member{number}"), ""));
    lab.run("in", "tar -cf ../web.ova .");
    let begin = Instant::now();
    assert_eq!(lab.describe("web.ova", None).unwrap().disks.len(), 2);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}
