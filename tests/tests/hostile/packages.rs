//! OVFs and archives that cannot be trusted, and compressed files that unpack to more than they say.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::case::Case;
use crate::made_by::documents::{disk, usual};
use crate::made_by::{ovfs, tars};

pub fn all() -> Vec<Case> {
    [ovfs(), ovas(), zips(), compressed()].concat()
}

/// A package as a folder.
fn ovfs() -> Vec<Case> {
    let make = |folder: &Path, ovf: &str| {
        let (text, empty) = (b"text".to_vec(), Vec::new());
        for (name, bytes) in [("a.vmdk", disk(1)), ("b.vmdk", disk(2)), ("text.vmdk", text), ("empty.vmdk", empty)] {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        std::fs::create_dir(folder.join("sub")).unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link.vmdk")).unwrap();
        std::fs::write(folder.join("web.ovf"), ovf).unwrap();
    };
    let case = |(ovf, sentence): (String, &str)| {
        Case::new("OVF", "web.ovf", format!("DIR/web.ovf: {sentence}"), move |folder| make(folder, &ovf))
    };
    ovfs::hostile().into_iter().map(case).collect()
}

/// The same and more as a tar.
fn ovas() -> Vec<Case> {
    let ovf = usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\"");
    let outside = usual("ovf:href=\"../secret\"", "ovf:href=\"b.vmdk\"");
    let in_tar = |ovf: &str| [tars::file("web.ovf", ovf.as_bytes()), tars::file("b.vmdk", &disk(2))].concat();
    let wrong =
        [in_tar(&ovf), tars::file("web.mf", format!("SHA256(web.ovf)= {}\n", "0".repeat(64)).as_bytes())].concat();
    let mut cases: Vec<_> = tars::hostile(&ovf)
        .iter()
        .map(|(tar, sentence)| {
            // Of a member, or of the whole.
            let of_member = ["disk: ", "a: ", "web.ovf: "].iter().any(|member| sentence.starts_with(member));
            let message = format!("DIR/web.ova{}{sentence}", if of_member { "/" } else { ": " });
            Case::of("OVA", &[("web.ova", tar)], message.replace(": a.vmdk: ", ": DIR/web.ova/a.vmdk: "))
        })
        .collect();
    let name = "the name '../secret' is refused: it is a path that leads outside of its folder";
    cases.push(Case::of(
        "OVA",
        &[("web.ova", &in_tar(&outside))],
        format!("DIR/web.ova/web.ovf: disk 'd1': DIR/web.ova/web.ovf: {name}"),
    ));
    cases.push(Case::of(
        "OVA",
        &[("web.ova", &wrong)],
        format!(
            "DIR/web.ova/web.ovf: its SHA256 is {:x}, and the manifest says {}",
            Sha256::digest(&ovf),
            "0".repeat(64)
        ),
    ));
    cases
}

fn zips() -> Vec<Case> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("web.ovf"), usual("ovf:href=\"a.vmdk\"", "ovf:href=\"b.vmdk\"")).unwrap();
    std::fs::write(path.join("a.vmdk"), disk(1)).unwrap();
    std::fs::write(path.join("b.vmdk"), disk(2)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("link.vmdk")).unwrap();
    let zip = |arguments: &[&str]| {
        let done = Command::new("zip").args(["-q", "x.zip"]).args(arguments).current_dir(path).status();
        assert!(done.expect("zip (package zip)").success());
        let zip = std::fs::read(path.join("x.zip")).unwrap();
        std::fs::remove_file(path.join("x.zip")).unwrap();
        zip
    };
    let good = zip(&["web.ovf", "a.vmdk", "b.vmdk"]);
    let with = |from: &[u8], to: &[u8]| {
        let mut zip = good.clone();
        for at in 0..zip.len() - from.len() {
            if zip[at..].starts_with(from) {
                zip[at..at + to.len()].copy_from_slice(to);
            }
        }
        zip
    };
    // In the directory: the size that the first disk unpacks to, behind its checksum and its packed size.
    let mut small = good.clone();
    let entries: Vec<_> = (0..good.len()).filter(|at| good[*at..].starts_with(b"PK\x01\x02")).collect();
    small[entries[1] + 24..entries[1] + 28].copy_from_slice(&1000u32.to_le_bytes());
    let mut shared = good.clone();
    let place: [u8; 4] = good[entries[1] + 42..entries[1] + 46].try_into().unwrap();
    shared[entries[2] + 42..entries[2] + 46].copy_from_slice(&place);
    [
        (with(b"a.vmdk", b"../etc"), "the name '../etc' is refused: it is a path that leads outside of its folder"),
        (with(b"a.vmdk", b"/a.vmd"), "the name '/a.vmd' is refused: it is an absolute path"),
        (with(b"a.vmdk", b"b.vmdk"), "the archive has two members called 'b.vmdk'"),
        (zip(&["-y", "web.ovf", "link.vmdk"]), "its member 'link.vmdk' is a link or a device, not a file"),
        (zip(&["-P", "secret", "web.ovf"]), "its member 'web.ovf' is encrypted"),
        (good[..good.len() / 2].to_vec(), "the ZIP is damaged or cut off (*)"),
        (shared, "two of its members overlap"),
    ]
    .map(|(zip, sentence)| Case::of("zip", &[("x.zip", &zip)], format!("DIR/x.zip: {sentence}")))
    .into_iter()
    .chain([Case::of(
        "zip",
        &[("x.zip", &small)],
        "DIR/x.zip/web.ovf: disk 'd1': DIR/x.zip/a.vmdk: it unpacks to more than the 1000 bytes that were announced",
    )])
    .collect()
}

/// Files that are cut, and bombs: 64 MiB that are not zero, on a file system without room for it.
fn compressed() -> Vec<Case> {
    let whole = vec![7; 1 << 20];
    let mut cases = Vec::new();
    for (program, extension) in [("gzip", "gz"), ("xz", "xz")] {
        let bomb = Arc::new(packed(program, &whole, 64));
        let good = packed(program, &whole, 1);
        let name = format!("x.raw.{extension}");
        let cut = format!("DIR/{name}: the compressed data is damaged or cut off (*)");
        cases.push(Case::of("compressed", &[(&name, &good[..good.len() - 9])], cut));
        let full = format!("DIR/{name}: there is no space left in SPOOL to unpack it");
        let bytes = Arc::clone(&bomb);
        let make = move |folder: &Path| std::fs::write(folder.join(format!("x.raw.{extension}")), &*bytes).unwrap();
        cases.push(Case::new("compressed", &name, full, make).code(73).on_small_disk());
    }
    // A document may not unpack to more than a document has.
    let spaces = packed("gzip", &vec![b' '; 1 << 20], 20);
    cases.push(Case::of(
        "compressed",
        &[("x.ovf.gz", &spaces)],
        "DIR/x.ovf.gz/x.ovf: an OVF of 20971520 bytes; the limit is 16777216",
    ));
    let nested = (0..4).fold(packed("gzip", b"text", 1), |inner, _| packed("gzip", &inner, 1));
    let name = "x.raw.gz.gz.gz.gz";
    let deep = format!("DIR/{name}.gz/{name}: an archive in an archive in an archive; one in another is read");
    cases.push(Case::of("compressed", &[(&format!("{name}.gz"), &nested)], deep));
    cases
}

/// A content, so many times, packed.
fn packed(program: &str, content: &[u8], times: usize) -> Vec<u8> {
    let child = Command::new(program).args(["-c", "-1"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program} (see tests/packages): {error}"));
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || (0..times).for_each(|_| input.write_all(content).unwrap()));
        child.wait_with_output().unwrap().stdout
    })
}
