//! The hostile corpus: disks made by code that must be refused, each with its kind of error and its sentence.
//!
//! The files are made by `made/damaged.rs`; names that lead elsewhere are in `names.rs`, and what qemu's own files look
//! like when they are damaged in `hostile.rs`.

use crate::made::damaged::{self, long};
use crate::made::{cowd, descriptor, hosted, put, se_sparse};
use crate::support::folder::Folder;
use crate::support::{flatten_with, refusal};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vmdk2kvm_plugin_api::{ErrorKind, ExtentKind};

/// Writes each changed file as `x` below a descriptor of one extent: reading all of it fails with the sentence.
#[test]
fn damaged_extents_are_refused_with_their_sentence() {
    for extents in damaged::all() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("d"), descriptor(extents.create_type, 1, None, extents.extent)).unwrap();
        let mut wrong = Vec::new();
        for (expected, change) in extents.cases {
            let mut bytes = extents.good.clone();
            change(&mut bytes);
            std::fs::write(folder.path().join("x"), bytes).unwrap();
            let Some(error) = refusal(folder.path(), "d") else {
                wrong.push(format!("it can be read, but should fail with x: {expected}"));
                continue;
            };
            assert_eq!(error.kind, ErrorKind::Unusable, "{error}");
            assert!(error.hint.is_some(), "no hint: {error}");
            if error.message != format!("x: {expected}") {
                wrong.push(format!("expected x: {expected}\n   found {}", error.message));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// A directory for 64 TiB that is a hole of the file, in each format: read in few and small pieces, and nothing is kept for it.
#[test]
fn the_largest_claims_cost_little() {
    let hosted = || {
        let mut file = hosted::write(&[], 1 << 37, Vec::new());
        put(&mut file, 56, &long(16));
        file
    };
    let mut se_sparse = se_sparse::write(&[], 1 << 37, Vec::new());
    put(&mut se_sparse, se_sparse::FIELD_DIRECTORY_SIZE, &long(1 << 16));
    let cowd = cowd::write(&[], 1, u32::MAX, Vec::new());
    let cases = [
        ("monolithicSparse", 1u64 << 37, "SPARSE", hosted(), 128 << 20),
        ("seSparse", 1 << 37, "SESPARSE", se_sparse, 33 << 20),
        ("vmfsSparse", u64::from(u32::MAX), "VMFSSPARSE", cowd, 5 << 20),
    ];
    for (kind, sectors, extent, mut bytes, directory) in cases {
        if kind == "vmfsSparse" {
            put(&mut bytes, cowd::FIELD_ENTRIES, &(1u32 << 20).to_le_bytes());
        }
        let folder = tempfile::tempdir().unwrap();
        let text = descriptor(kind, 1, None, &format!("RW {sectors} {extent} \"x\""));
        std::fs::write(folder.path().join("d"), text).unwrap();
        std::fs::write(folder.path().join("x"), &bytes).unwrap();
        std::fs::File::options()
            .write(true)
            .open(folder.path().join("x"))
            .and_then(|file| file.set_len(bytes.len() as u64 + directory))
            .unwrap();
        let transport = Arc::new(Folder::new(folder.path()));
        let source = flatten_with(Arc::clone(&transport), "d").unwrap().source;
        let map = source.extents(0, sectors * 512).unwrap();
        assert_eq!((map.len(), map[0].kind), (1, ExtentKind::Hole), "{kind}");
        let read = transport.counters.bytes.load(Ordering::Relaxed);
        assert!(read < 64 << 10, "{kind}: {read} bytes were read of a hole");
    }
}
