//! What the tests of this plugin share: a host, a transport over a folder, qemu as the other reader, and a writer of streamed files.

pub mod folder;
pub mod qemu;
pub mod stream;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use self::folder::Folder;
use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{
    BlockSource, ExtentKind, Flat, Flattener, Host, HostServices, LogRecord, PluginError, Result, read_exact_at,
};
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

/// A host without anything behind it.
struct Nobody;

impl HostServices for Nobody {
    fn progress(&self, _task: &str, _done: u64, _total: u64) {}
    fn cancelled(&self) -> bool {
        false
    }
    fn secret(&self, _name: &str) -> Result<Option<String>> {
        Ok(None)
    }
    fn log(&self, _record: &LogRecord) {}
    fn log_level(&self) -> u8 {
        0
    }
}

pub fn host() -> Host {
    Host::new(Arc::new(Nobody), serde_json::json!({}))
}

/// Opens `object` of `folder` as a flat disk.
pub fn flatten(folder: &Path, object: &str) -> Result<Flat> {
    flatten_with(Arc::new(Folder::new(folder)), object)
}

pub fn flatten_with(folder: Arc<Folder>, object: &str) -> Result<Flat> {
    let disk = FlattenDisk { object: object.to_owned(), format: "vmdk".to_owned() };
    VmdkFlattener::new(host()).flatten(&disk, folder)
}

/// The error of opening `object`, or of reading it to its end.
pub fn failure(folder: &Path, object: &str) -> PluginError {
    let flat = match flatten(folder, object) {
        Err(error) => return error,
        Ok(flat) => flat,
    };
    match read_all(&*flat.source) {
        Err(error) => error,
        Ok(_) => panic!("{object} could be read"),
    }
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

/// A small generator of reproducible noise.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes that compress by about half.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| (self.next() & 0x00ff_00ff_00ff_00ff).to_le_bytes()).take(count).collect()
    }
}
