//! What the tests of real files share: a transport over a folder, and qemu as the other reader.

pub mod folder;
pub mod qemu;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use self::folder::Folder;
use crate::exercise::host;
use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, Flat, Flattener, PluginError, Result, read_exact_at};
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

/// Opens `object` of `folder` as a flat disk.
pub fn flatten(folder: &Path, object: &str) -> Result<Flat> {
    flatten_with(Arc::new(Folder::new(folder)), object)
}

pub fn flatten_with(folder: Arc<Folder>, object: &str) -> Result<Flat> {
    let disk = FlattenDisk::new(object, "vmdk");
    VmdkFlattener::new(host()).flatten(&disk, folder)
}

/// The error of opening `object`, or of reading it to its end.
pub fn failure(folder: &Path, object: &str) -> PluginError {
    refusal(folder, object).unwrap_or_else(|| panic!("{object} could be read"))
}

/// The same, or `None` when it could be read.
pub fn refusal(folder: &Path, object: &str) -> Option<PluginError> {
    flatten(folder, object).and_then(|flat| read_all(&*flat.source)).err()
}

pub fn read_all(source: &dyn BlockSource) -> Result<Vec<u8>> {
    let mut bytes = vec![0xa5; source.size() as usize];
    for (index, part) in bytes.chunks_mut(1 << 20).enumerate() {
        read_exact_at(source, (index as u64) << 20, part)?;
    }
    Ok(bytes)
}

/// Checks that `source` has the content of the raw file, and that its map is a right one: exact cover, and nothing but zeros in what
/// is not data. Holes of the raw file are not read.
pub fn assert_same(source: &dyn BlockSource, raw: &Path) {
    let file = std::fs::File::open(raw).unwrap();
    let size = file.metadata().unwrap().len();
    assert_eq!(source.size(), size, "{}", raw.display());
    let map = source.extents(0, size).unwrap();
    let mut next = 0;
    for (index, extent) in map.iter().enumerate() {
        assert_eq!(extent.offset, next, "gap or overlap at {index}");
        assert!(extent.length > 0);
        assert!(index == 0 || map[index - 1].kind != extent.kind, "unmerged neighbours at {index}");
        next += extent.length;
    }
    assert_eq!(next, size, "the map ends early");
    for extent in &map {
        let end = extent.offset + extent.length;
        // What the map calls zero must be zero in the raw file; what it calls data must read the same.
        for (start, length) in folder::data_ranges(&file, extent.offset, extent.length) {
            for at in (start..start + length).step_by(1 << 20) {
                let count = (start + length - at).min(1 << 20) as usize;
                let (mut expected, mut found) = (vec![0; count], vec![0xa5; count]);
                file.read_exact_at(&mut expected, at).unwrap();
                read_exact_at(source, at, &mut found).unwrap();
                assert!(expected == found, "content differs within {at}..+{count} (extent {extent:?})");
                if extent.kind != ExtentKind::Data {
                    assert!(expected.iter().all(|byte| *byte == 0), "{extent:?} is not zero at {at}..{end}");
                }
            }
        }
        if extent.kind == ExtentKind::Data && extent.length <= 256 << 20 {
            // Data where the raw file has a hole must read as zeros.
            let mut found = vec![0xa5; extent.length as usize];
            let mut expected = vec![0; extent.length as usize];
            for (index, part) in found.chunks_mut(1 << 20).enumerate() {
                read_exact_at(source, extent.offset + ((index as u64) << 20), part).unwrap();
            }
            file.read_exact_at(&mut expected, extent.offset).unwrap();
            assert!(found == expected, "content differs within {extent:?}");
        }
    }
}
