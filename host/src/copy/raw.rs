//! Writes a raw image: the disk's bytes at their own offsets, holes where they are zero.

use vmdk2kvm_plugin_api::Result;

use super::image_file::ImageFile;
use super::sink::{Image, Sink};
use super::span::{Filled, Placed, Span};

/// A raw image that is being written.
pub(super) struct RawImage<'a> {
    file: &'a ImageFile,
    virtual_size: u64,
}

impl<'a> RawImage<'a> {
    /// An image in this file.
    pub(super) fn new(file: &'a ImageFile, virtual_size: u64) -> Self {
        Self { file, virtual_size }
    }
}

impl Sink for RawImage<'_> {
    fn store(&self, start: u64, span: &[u8], filled: Filled) -> Result<Placed> {
        for run in filled.runs(span.len()) {
            let at = start + run.start as u64;
            self.file.write(&span[run], at)?;
        }
        Ok(Placed { start, filled, host: start })
    }

    fn settle(&self, _: Placed) -> Result<u64> {
        Ok(0)
    }

    fn end(&self, position: u64) -> u64 {
        position
    }
}

impl Image for RawImage<'_> {
    /// All hole behind the last commit, and as long as the disk.
    fn begin(&self, end: u64) -> Result<()> {
        self.file.set_len(end)?;
        self.file.set_len(self.virtual_size)
    }

    fn restore(&self, span: &Span) -> bool {
        span.placed.host == span.placed.start && span.table == 0
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }
}
