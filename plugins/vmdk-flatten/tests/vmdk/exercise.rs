//! Drives a flattener over files in memory and checks what must hold whatever is in them. Shared by the mutation tests and by the
//! fuzz targets, those of other flatteners too.
//!
//! Whatever the files say: no panic, no read outside of a file, a map without gaps, zeros where the map says so, the same bytes
//! whichever way they are asked for, and errors that are one printable line about the input.

use std::collections::HashMap;
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{
    BlockSource, ErrorKind, Extent, ExtentKind, Flattener, Host, PluginError, Result, Transport, read_exact_at,
};
use vmdk2kvm_plugin_testing::FakeHost;

pub fn host() -> Host {
    FakeHost::new().without_settings()
}

/// Files by their names.
pub struct Memory(HashMap<String, Arc<[u8]>>);

struct MemoryFile(Arc<[u8]>);

impl Transport for Memory {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        match self.0.get(object) {
            Some(bytes) => Ok(Box::new(MemoryFile(Arc::clone(bytes)))),
            None => Err(PluginError::unusable("there is no such file")),
        }
    }

    fn resolve(&self, _from: &str, name: &str) -> Result<String> {
        Ok(name.to_owned())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        Ok(object.to_owned())
    }
}

impl BlockSource for MemoryFile {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset.checked_add(buffer.len() as u64).expect("an offset that wraps around");
        assert!(end <= self.size(), "a read past the end of the file");
        buffer.copy_from_slice(&self.0[offset as usize..end as usize]);
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        assert!(length > 0 && offset + length <= self.size(), "a map of what is not in the file");
        Ok(vec![Extent::new(offset, length, ExtentKind::Data)])
    }
}

/// How much of a disk is read.
const MOST_READ: u64 = 2 << 20;

/// Opens `object` of these files and reads it; what goes wrong must be an error. Tells whether all could be read.
pub fn exercise<'a>(
    flattener: &dyn Flattener,
    format: &str,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    object: &str,
) -> bool {
    let memory = Memory(files.into_iter().map(|(name, bytes)| (name.to_owned(), Arc::from(bytes))).collect());
    let disk = FlattenDisk::new(object.to_owned(), format.to_owned());
    let opened = flattener.flatten(&disk, Arc::new(memory));
    match opened.and_then(|flat| read(&*flat.source)) {
        Ok(()) => true,
        Err(error) => {
            let printable = error.message.chars().all(|char| !char.is_control());
            assert!(printable && error.message.len() < 4000, "not a sentence to show: {:?}", error.message);
            assert_ne!(error.kind, ErrorKind::Defect, "{error}");
            false
        }
    }
}

fn read(source: &dyn BlockSource) -> Result<()> {
    let size = source.size();
    assert!(size > 0);
    let map = source.extents(0, size)?;
    let mut next = 0;
    for extent in &map {
        assert!(extent.offset == next && extent.length > 0, "a gap in the map");
        next += extent.length;
    }
    assert_eq!(next, size, "the map ends early");
    let mut left = MOST_READ;
    for extent in &map {
        // Both ends of each extent.
        let length = extent.length.min(64 << 10).min(left);
        for at in [extent.offset, extent.offset + extent.length - length] {
            let mut whole = vec![0xa5; length as usize];
            read_exact_at(source, at, &mut whole)?;
            assert!(extent.kind == ExtentKind::Data || whole.iter().all(|byte| *byte == 0), "{extent:?} is not zero");
            let mut parts = vec![0x5a; length as usize];
            let (head, tail) = parts.split_at_mut(length as usize / 3);
            read_exact_at(source, at, head)?;
            read_exact_at(source, at + length / 3, tail)?;
            assert!(whole == parts, "two ways of reading {extent:?} differ");
        }
        left -= length;
    }
    Ok(())
}
