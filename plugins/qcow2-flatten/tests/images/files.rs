//! A transport over files in memory, as strict about names as a real one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainReport, FlattenDisk};
use vmdk2kvm_plugin_api::{
    BlockSource, ErrorKind, Extent, Flat, Flattener, PluginError, Result, Transport, read_exact_at,
};
use vmdk2kvm_qcow2_flatten::Qcow2;

/// Files by name.
#[derive(Debug, Default, Clone)]
pub struct Files(pub BTreeMap<String, Arc<[u8]>>);

impl Files {
    pub fn with(mut self, name: &str, content: Vec<u8>) -> Self {
        self.0.insert(name.into(), content.into());
        self
    }

    /// Every file of a folder.
    pub fn of(folder: &Path) -> Self {
        let mut files = Self::default();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            files = files.with(entry.file_name().to_str().unwrap(), std::fs::read(entry.path()).unwrap());
        }
        files
    }

    pub fn flatten(&self, top: &str) -> Result<Flat> {
        Qcow2.flatten(&FlattenDisk::new(top, "qcow2"), Arc::new(self.clone()))
    }

    /// The whole disk, read in pieces of `piece` bytes, with the map of extents held against it.
    pub fn content(&self, top: &str, piece: usize) -> Result<(Vec<u8>, ChainReport)> {
        let flat = self.flatten(top)?;
        assert_eq!(flat.source.size(), flat.report.capacity_bytes);
        let mut content = vec![0xa5; usize::try_from(flat.source.size()).unwrap()];
        for (number, part) in content.chunks_mut(piece).enumerate() {
            read_exact_at(&*flat.source, (number * piece) as u64, part)?;
        }
        let mut at = 0;
        for Extent { offset, length, kind, .. } in flat.source.extents(0, flat.source.size())? {
            assert_eq!(offset, at);
            assert!(length > 0);
            at += length;
            if kind != vmdk2kvm_plugin_api::ExtentKind::Data {
                assert!(content[offset as usize..at as usize].iter().all(|byte| *byte == 0), "{kind:?} at {offset}");
            }
        }
        assert_eq!(at, flat.source.size());
        Ok((content, flat.report))
    }
}

struct Memory(Arc<[u8]>);

impl BlockSource for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size());
        let end = end.ok_or_else(|| PluginError::defect(format!("{} bytes read at {offset}", buffer.len())))?;
        buffer.copy_from_slice(&self.0[offset as usize..end as usize]);
        Ok(buffer.len())
    }
}

impl Transport for Files {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let content =
            self.0.get(object).ok_or_else(|| PluginError::unusable(format!("{object}: there is no such file")))?;
        Ok(Box::new(Memory(Arc::clone(content))))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return Err(PluginError::new(ErrorKind::Unusable, format!("{from}: the name '{name}' is refused")));
        }
        Ok(name.trim_start_matches("./").to_owned())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        Ok(object.to_owned())
    }
}
