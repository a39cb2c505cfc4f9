//! A disk that the VM has but that no file stands behind: reads as zeros.

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, PluginError, Result};

/// So many zeros.
pub(in crate::pipeline) struct ZeroSource(pub u64);

impl BlockSource for ZeroSource {
    fn size(&self) -> u64 {
        self.0
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.0) {
            return Err(PluginError::defect(format!("a read at offset {offset} ends past the end of an empty disk")));
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        Ok(vec![Extent::new(offset, length, ExtentKind::Hole)])
    }
}
