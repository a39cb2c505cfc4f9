//! An opened object: bytes, wherever they lie, and what messages call them.
//!
//! A file of a folder, a member of an archive, the joined chunks of a file and an unpacked file look alike from here on.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Extent, Hints, PluginError, Result, read_exact_at};

/// An opened object.
#[derive(Clone)]
pub struct Object {
    bytes: Arc<dyn BlockSource>,
    name: String,
}

impl Object {
    /// These bytes; `name` is what messages call them.
    pub fn new(bytes: Arc<dyn BlockSource>, name: String) -> Self {
        Self { bytes, name }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes without their name.
    pub fn bytes(&self) -> &Arc<dyn BlockSource> {
        &self.bytes
    }

    /// All of it, for a document of `what` kind (`an OVF`) that has at most `limit` bytes.
    pub fn document(&self, what: &str, limit: u64) -> Result<Vec<u8>> {
        let size = self.size();
        if size > limit {
            return Err(PluginError::unusable(format!("{}: {what} of {size} bytes; the limit is {limit}", self.name))
                .hint("make sure that this is the right file"));
        }
        let mut bytes = vec![0; size as usize];
        read_exact_at(self, 0, &mut bytes)?;
        Ok(bytes)
    }
}

impl BlockSource for Object {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.bytes.read_at(offset, buffer)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.bytes.extents(offset, length)
    }

    fn hints(&self) -> Hints {
        self.bytes.hints()
    }
}
