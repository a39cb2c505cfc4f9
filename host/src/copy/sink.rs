//! What the engine asks of an image that is being written.

use vmdk2kvm_plugin_api::Result;

use super::span::{Filled, Placed, Span};

/// An image that is being written.
pub(super) trait Sink: Sync {
    /// Writes the filled clusters of the span at `start`. Called from any thread, in any order, never twice for a span.
    fn store(&self, start: u64, span: &[u8], filled: Filled) -> Result<Placed>;

    /// Takes note of a stored span. Called for every span once, in ascending order, one call at a time. Returns where a table was written
    /// that had become full; 0 when none had.
    fn settle(&self, placed: Placed) -> Result<u64>;

    /// Length of the image in bytes, when everything before `position` of the disk is settled and nothing behind it was stored.
    fn end(&self, position: u64) -> u64;
}

/// A sink with a file behind it, which can be begun again where a commit left it.
pub(super) trait Image: Sink {
    /// Makes the file `end` bytes long: everything behind the last commit is forgotten. 0 for a new image.
    fn begin(&self, end: u64) -> Result<()>;

    /// Takes note of a span that a former run stored; called in the order of the spans, before [`Self::begin`]. False when it cannot be.
    fn restore(&self, span: &Span) -> bool;

    /// Writes what is left to write.
    fn finish(&self) -> Result<()>;
}

/// Stores nothing: for a digest of a source.
pub(super) struct Discard;

impl Sink for Discard {
    fn store(&self, start: u64, _: &[u8], filled: Filled) -> Result<Placed> {
        Ok(Placed { start, filled, host: 0 })
    }

    fn settle(&self, _: Placed) -> Result<u64> {
        Ok(0)
    }

    fn end(&self, _: u64) -> u64 {
        0
    }
}
