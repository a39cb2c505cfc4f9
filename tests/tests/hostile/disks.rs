//! Damaged disks of every format.

use std::path::Path;
use std::process::Command;

use crate::case::Case;
use crate::made_by::vmdk::{Noise, damaged, damaged_sparse, descriptor, put, stream};
use crate::made_by::{qcow2, vdi_vhdx, vhd};

pub fn all() -> Vec<Case> {
    [vmdk_extents(), vmdk_files(), vmdk_streams(), vhds(), qcow2s(), vdis_and_vhdxs(), raws()].concat()
}

/// What a flattener says of a file that the fetcher does not take for one of its format.
const NOT_ONE: [&str; 7] = [
    "it is not a VMDK: neither a sparse header nor a text descriptor",
    "it is the data of an ESX snapshot, not the disk",
    "it has 100 bytes, fewer than the footer of a VHD",
    "it has no footer of a VHD; it may be cut off",
    "it does not begin like a QCOW2 image",
    "it has no header of a VDI",
    "it has no identifier of a VHDX",
];

/// The program says of a disk what its plugin says, unless the fetcher sees before that it is none.
fn disk(format: &'static str, name: &str, sentence: &str, bytes: &[u8]) -> Case {
    let sentence = match bytes {
        [] => "the file is empty",
        [b'C', b'O', b'W', b'D', ..] => sentence,
        _ if NOT_ONE.contains(&sentence) => &unlike_its_name(name),
        _ => sentence,
    };
    Case::of(format, &[(name, bytes)], format!("DIR/{name}: {sentence}"))
}

/// What the fetcher says of a file whose first bytes are not its name's.
fn unlike_its_name(name: &str) -> String {
    let named = match name.rsplit_once('.').unwrap().1 {
        "vmdk" => "VMDK".to_owned(),
        other => format!("{} image", other.to_uppercase()),
    };
    format!("it is named like a {named} and does not begin like one")
}

/// COWD, seSparse, hosted sparse and streamed extents below a descriptor.
fn vmdk_extents() -> Vec<Case> {
    let mut cases = Vec::new();
    for extents in damaged::all() {
        let text = descriptor(extents.create_type, 1, None, extents.extent);
        for (sentence, change) in extents.cases {
            let mut bytes = extents.good.clone();
            change(&mut bytes);
            cases.push(Case::of(
                extents.create_type,
                &[("d.vmdk", text.as_bytes()), ("x", &bytes)],
                format!("DIR/x: {sentence}"),
            ));
        }
    }
    cases
}

/// A sparse file of QEMU.
fn vmdk_files() -> Vec<Case> {
    let disk = [Noise(42).bytes(1 << 20), vec![0; 7 << 20]].concat();
    let good = by_qemu(
        &["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicSparse", "raw", "image"],
        &disk,
        &[],
    );
    let mut cases = Vec::new();
    for (table, redundant) in [(damaged_sparse::HEADERS, true), (damaged_sparse::TABLES, false)] {
        for (sentence, change) in table {
            let mut bytes = good.clone();
            if !redundant {
                put(&mut bytes, 8, &[1]);
            }
            change(&mut bytes);
            cases.push(self::disk("monolithicSparse", "x.vmdk", sentence, &bytes));
        }
    }
    cases
}

/// Streams that were cut.
fn vmdk_streams() -> Vec<Case> {
    let good = stream::write(&Noise(42).bytes(1 << 20), "s.vmdk");
    let torn = "the stream-optimized file is torn: it ";
    [
        ("does not end at a sector's end with a footer", 1000),
        ("does not end at a sector's end with a footer", good.len() - 1),
        ("has no footer", good.len() / 1024 * 512),
        ("has no footer", good.len() - 512),
    ]
    .map(|(what, length)| disk("streamOptimized", "x.vmdk", &format!("{torn}{what}"), &good[..length]))
    .into()
}

fn vhds() -> Vec<Case> {
    vhd::damaged::all().iter().map(|(bytes, sentence)| disk("VHD", "x.vhd", sentence, bytes)).collect()
}

fn qcow2s() -> Vec<Case> {
    let tables = qcow2::damaged::HEADERS.iter().chain(qcow2::damaged::TABLES);
    let damaged = |(change, sentence): &qcow2::damaged::Case| {
        let mut bytes = qcow2::damaged::image().build();
        change(&mut bytes);
        // The plugin's tests read 4,096 bytes at a time, the program the cluster from its beginning.
        let sentence = match sentence.split_once(", 4096 bytes long") {
            Some((place, rest)) => {
                let numbers: Vec<u64> = place.split(' ').filter_map(|word| word.parse().ok()).collect();
                let stored = numbers[1] - numbers[0];
                format!("guest offset 0 is stored at offset {stored}, 65536 bytes long{rest}")
            }
            None => (*sentence).to_owned(),
        };
        disk("QCOW2", "x.qcow2", &sentence, &bytes)
    };
    tables.map(damaged).collect()
}

fn vdis_and_vhdxs() -> Vec<Case> {
    let made = |format: &str, (options, writes): (&str, &[&str])| {
        by_qemu(&["create", "-q", "-f", format, "-o", options, "image", "5243392"], &[], writes)
    };
    let vdis = vdi_vhdx::vdi(&made("vdi", vdi_vhdx::VDI));
    let vhdxs = vdi_vhdx::vhdx(&made("vhdx", vdi_vhdx::VHDX));
    let vdis = vdis.iter().map(|(bytes, sentence)| disk("VDI", "x.vdi", sentence, bytes));
    let vhdxs = vhdxs.iter().map(|(bytes, sentence)| disk("VHDX", "x.vhdx", sentence, bytes));
    vdis.chain(vhdxs).collect()
}

/// Raw disks that are none.
fn raws() -> Vec<Case> {
    let mut iso = vec![0; 40 << 10];
    put(&mut iso, 32769, b"CD001");
    vec![
        disk("raw", "x.raw", "the file is empty", b""),
        disk("raw", "x.img", "it is a text file, not a disk", b"text\n"),
        disk("raw", "x.iso", "it is a CD-ROM image, which is not read yet", &iso),
    ]
    .into_iter()
    .chain(["x.vmdk", "x.qcow2", "x.vhdx"].map(|name| disk("raw", name, &unlike_its_name(name), &[1; 4096])))
    .collect()
}

/// Runs qemu-img in a folder with this `raw`, writes into the `image` it makes, and returns that.
fn by_qemu(arguments: &[&str], raw: &[u8], writes: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("raw"), raw).unwrap();
    run("qemu-img", folder.path(), arguments);
    if !writes.is_empty() {
        let format = arguments[3];
        let mut all = vec!["-t", "unsafe", "-f", format];
        all.extend(writes.iter().flat_map(|write| ["-c", write]));
        all.push("image");
        run("qemu-io", folder.path(), &all);
    }
    std::fs::read(folder.path().join("image")).unwrap()
}

fn run(program: &str, folder: &Path, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(folder).output();
    let done = done.unwrap_or_else(|error| panic!("{program} (package qemu-utils): {error}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
