//! A transport over images in memory, as strict about names as a real one.

use std::collections::BTreeMap;
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainReport, FlattenDisk};
use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, Flattener, PluginError, Result, Transport, read_exact_at};
use vmdk2kvm_vhd_flatten::Vhd;

/// Images by name.
#[derive(Default, Clone)]
pub struct Images(BTreeMap<String, Arc<[u8]>>);

impl Images {
    pub fn with(mut self, name: &str, content: Vec<u8>) -> Self {
        self.0.insert(name.into(), content.into());
        self
    }

    /// What the guest sees, read in pieces; the map of extents is held against it.
    pub fn read(&self, top: &str, piece: usize) -> Result<(Vec<u8>, ChainReport)> {
        let disk = FlattenDisk { object: top.into(), format: "vhd".into() };
        let flat = Vhd.flatten(&disk, Arc::new(self.clone()))?;
        let size = flat.source.size();
        assert_eq!(size, flat.report.capacity_bytes);
        let mut content = vec![0xa5; size as usize];
        for (number, part) in content.chunks_mut(piece).enumerate() {
            read_exact_at(&*flat.source, (number * piece) as u64, part)?;
        }
        let mut at = 0;
        for extent in flat.source.extents(0, size)? {
            assert_eq!(extent.offset, at);
            at += extent.length;
            let zeros = || content[extent.offset as usize..at as usize].iter().all(|byte| *byte == 0);
            assert!(extent.kind == ExtentKind::Data || zeros(), "{extent:?}");
        }
        assert_eq!(at, size);
        Ok((content, flat.report))
    }

    pub fn message(&self, top: &str) -> String {
        let error = self.read(top, 1 << 20).unwrap_err();
        assert_eq!(error.kind.exit_code(), 65, "{error}");
        assert!(error.hint.is_some(), "{error}");
        error.message
    }
}

struct Bytes(Arc<[u8]>);

impl BlockSource for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let at = offset as usize;
        let bytes = self.0.get(at..at + buffer.len());
        buffer.copy_from_slice(bytes.ok_or_else(|| PluginError::defect(format!("a read at {at}, past the end")))?);
        Ok(buffer.len())
    }
}

impl Transport for Images {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let bytes =
            self.0.get(object).ok_or_else(|| PluginError::unusable(format!("{object}: there is no such file")))?;
        Ok(Box::new(Bytes(Arc::clone(bytes))))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        let name = name.replace('\\', "/");
        if name.starts_with('/') || name.contains("..") || name.contains(':') {
            return Err(PluginError::unusable(format!("{from}: the name '{name}' is refused")));
        }
        Ok(name)
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        Ok(object.to_owned())
    }
}
