//! Images in memory, and what the guest sees of them.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainReport, FlattenDisk};
use vmdk2kvm_plugin_api::{ExtentKind, Flattener, Result, read_exact_at};
use vmdk2kvm_plugin_testing::MemoryFiles;
use vmdk2kvm_vhd_flatten::Vhd;

/// Images by name.
#[derive(Default, Clone)]
pub struct Images(MemoryFiles);

impl Images {
    pub fn with(self, name: &str, content: Vec<u8>) -> Self {
        Self(self.0.with(name, content))
    }

    /// What the guest sees, read in pieces; the map of extents is held against it.
    pub fn read(&self, top: &str, piece: usize) -> Result<(Vec<u8>, ChainReport)> {
        let disk = FlattenDisk::new(top, "vhd");
        let flat = Vhd.flatten(&disk, Arc::new(self.0.clone()))?;
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
