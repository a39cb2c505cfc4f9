//! An image in memory, made by QEMU, and its flat view.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{ExtentKind, Flat, Flattener, Result, read_exact_at};
use vmdk2kvm_plugin_testing::MemoryFiles;
use vmdk2kvm_vdi_vhdx_flatten::VdiVhdx;

/// The image of this format as `image`.
pub fn flatten(format: &str, image: &[u8]) -> Result<Flat> {
    let files = MemoryFiles::default().with("image", image);
    VdiVhdx.flatten(&FlattenDisk::new("image", format), Arc::new(files))
}

fn run(program: &str, folder: &Path, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(folder).output();
    let done = done.unwrap_or_else(|error| panic!("{program} (Debian package qemu-utils): {error}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An image of 5 MiB and a sector by QEMU, with these writes, and its content as QEMU reads it.
pub fn made(format: &str, options: &str, writes: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    run("qemu-img", dir.path(), &["create", "-q", "-f", format, "-o", options, "image", "5243392"]);
    let mut arguments = vec!["-t", "unsafe", "-f", format];
    arguments.extend(writes.iter().flat_map(|write| ["-c", write]));
    arguments.push("image");
    run("qemu-io", dir.path(), &arguments);
    run("qemu-img", dir.path(), &["convert", "-t", "unsafe", "-f", format, "-O", "raw", "image", "raw"]);
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    (read("image"), read("raw"))
}

/// The flat view has this content, and its map fits.
#[track_caller]
pub fn assert_content(flat: &Flat, expected: &[u8]) {
    assert_eq!(flat.source.size(), expected.len() as u64);
    for piece in [1 << 20, 12_345] {
        let mut content = vec![0xa5; expected.len()];
        for (number, part) in content.chunks_mut(piece).enumerate() {
            read_exact_at(&*flat.source, (number * piece) as u64, part).unwrap();
        }
        assert!(content == expected, "in pieces of {piece}");
    }
    let mut at = 0;
    for extent in flat.source.extents(0, flat.source.size()).unwrap() {
        assert_eq!(extent.offset, at);
        at += extent.length;
        let zeros = || expected[extent.offset as usize..at as usize].iter().all(|byte| *byte == 0);
        assert!(extent.kind == ExtentKind::Data || zeros());
    }
    assert_eq!(at, flat.source.size());
}
