//! A part of a block source, as a block source: a partition, the data of an array's member.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Extent, Hints, PluginError, Result};

/// The bytes of another source from a place on.
pub struct Window {
    source: Arc<dyn BlockSource>,
    start: u64,
    length: u64,
}

impl Window {
    /// `length` bytes from `start`, or fewer where the source ends.
    pub fn new(source: Arc<dyn BlockSource>, start: u64, length: u64) -> Self {
        let length = length.min(source.size().saturating_sub(start));
        Self { source, start, length }
    }
}

impl BlockSource for Window {
    fn size(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        inside(offset, buffer.len() as u64, self.length)?;
        self.source.read_at(self.start + offset, buffer)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        inside(offset, length, self.length)?;
        let found = self.source.extents(self.start + offset, length)?;
        Ok(found.into_iter().map(|one| Extent::new(one.offset - self.start, one.length, one.kind)).collect())
    }

    fn hints(&self) -> Hints {
        self.source.hints()
    }
}

/// The error of a range that ends outside.
pub fn inside(offset: u64, length: u64, size: u64) -> Result<()> {
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(PluginError::unusable(format!("{length} bytes at {offset} lie outside of a device of {size} bytes"))),
    }
}
