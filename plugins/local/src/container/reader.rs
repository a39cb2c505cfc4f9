//! A source as a stream, for libraries that read streams; and their errors back as ours.

use std::io;
use std::sync::Arc;

use rawzip::ReaderAt;
use vmdk2kvm_plugin_api::{BlockSource, PluginError};

/// `start..end` of a source, read in order.
pub struct SourceReader {
    source: Arc<dyn BlockSource>,
    at: u64,
    end: u64,
}

impl SourceReader {
    /// All of it.
    pub fn new(source: Arc<dyn BlockSource>) -> Self {
        let end = source.size();
        Self { source, at: 0, end }
    }

    /// A part of it, which must lie inside.
    pub fn range(source: Arc<dyn BlockSource>, start: u64, end: u64) -> Self {
        Self { source, at: start, end }
    }
}

impl io::Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = (self.end - self.at).min(buffer.len() as u64) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        // The error travels inside and comes out in `fault`.
        let read = self.source.read_at(self.at, &mut buffer[..wanted]).map_err(io::Error::other)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A source at offsets, as the ZIP reader wants it.
pub struct SourceAt(pub Arc<dyn BlockSource>);

impl ReaderAt for SourceAt {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let wanted = self.0.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
        if wanted == 0 { Ok(0) } else { self.0.read_at(offset, &mut buffer[..wanted]).map_err(io::Error::other) }
    }
}

/// What a library's error means: the source's own error, or that the data of `name` is damaged.
pub fn fault(name: &str, error: io::Error) -> PluginError {
    match error.downcast::<PluginError>() {
        Ok(own) => own,
        Err(error) => PluginError::unusable(format!("{name}: the compressed data is damaged or cut off ({error})"))
            .hint("copy the file again"),
    }
}
