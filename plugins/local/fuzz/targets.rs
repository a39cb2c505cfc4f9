//! What the fuzz targets share: an archive in memory, and what must hold of every answer.
//!
//! How to run one is in the plugin's README.

use std::sync::Arc;

use vmdk2kvm_local::container::tar;
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Extent, ExtentKind, Result, read_exact_at};

/// A refusal is one printable line about the input.
pub fn answered<T>(answer: Result<T>) -> Option<T> {
    answer
        .map_err(|error| {
            let printable = error.message.chars().all(|char| !char.is_control());
            assert!(printable && error.message.len() < 8000, "not a sentence to show: {:?}", error.message);
            assert_ne!(error.kind, ErrorKind::Defect, "{error}");
        })
        .ok()
}

/// Walks a tar and reads both ends of every member; the map of each covers it, and holes are zeros.
pub fn walk(bytes: &[u8]) {
    let archive: Arc<dyn BlockSource> = Arc::new(Memory(bytes.into()));
    let Some(members) = answered(tar::members("x.tar", &archive).and_then(|members| members.finish())) else { return };
    let mut left = 2 << 20;
    for (name, member) in members {
        assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".."), "{name}");
        let length = member.size().min(64 << 10).min(left);
        if length == 0 {
            continue;
        }
        left -= length;
        for at in [0, member.size() - length] {
            let mut read = vec![0xa5; length as usize];
            if answered(read_exact_at(&member, at, &mut read)).is_none() {
                continue;
            }
            let Some(map) = answered(member.extents(at, length)) else { continue };
            let mut next = at;
            for Extent { offset, length, kind, .. } in map {
                assert!(offset == next && length > 0, "a gap in the map");
                let part = &read[(offset - at) as usize..][..length as usize];
                assert!(kind == ExtentKind::Data || part.iter().all(|byte| *byte == 0), "a hole that is not zero");
                next += length;
            }
            assert_eq!(next, at + length, "the map ends early");
        }
    }
}

struct Memory(Arc<[u8]>);

impl BlockSource for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset.checked_add(buffer.len() as u64).expect("an offset that wraps around");
        assert!(end <= self.size(), "a read past the end of the archive");
        buffer.copy_from_slice(&self.0[offset as usize..end as usize]);
        Ok(buffer.len())
    }
}
