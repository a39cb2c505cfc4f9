//! Writes a disk's bytes onto a block device, which holds something else so far: what is a hole in the disk must be made zero there.
//!
//! A device that can forget what it holds forgets all of it at once, in a moment. On any other the gaps between what is stored are zeroed, one
//! after the other: no byte is written twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::image_file::ImageFile;
use super::sink::{Image, Sink};
use super::span::{Filled, Placed, Span};
use super::tasks::CLUSTER;

/// So many bytes at once are made zero between two looks at whether to stop.
const PIECE: u64 = 256 << 20;

/// A device that is being written.
pub(super) struct DeviceImage<'a> {
    file: &'a ImageFile,
    virtual_size: u64,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Everything before this offset is as it is to be.
    settled: AtomicU64,
    /// What is not stored is zero already.
    is_blank: AtomicBool,
}

impl<'a> DeviceImage<'a> {
    /// A disk of this size on a device that is as large at least.
    pub(super) fn new(file: &'a ImageFile, virtual_size: u64, cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { file, virtual_size, cancelled, settled: AtomicU64::new(0), is_blank: AtomicBool::new(false) }
    }

    /// Makes `from..to` zero by `how`, piece by piece; stops where it says that it cannot.
    fn blank(&self, from: u64, to: u64, how: impl Fn(u64, u64) -> Result<bool>) -> Result<bool> {
        let mut at = from;
        while at < to {
            if (self.cancelled)() {
                return Err(PluginError::interrupted());
            }
            let length = PIECE.min(to - at);
            if !how(at, length)? {
                return Ok(false);
            }
            at += length;
        }
        Ok(true)
    }

    /// Zeroes what lies between what is settled and `to`, and settles it up to `end`.
    fn settle_to(&self, to: u64, end: u64) -> Result<()> {
        let from = self.settled.load(Ordering::Relaxed);
        if !self.is_blank.load(Ordering::Relaxed) {
            self.blank(from, to, |offset, length| self.file.zero(offset, length).map(|()| true))?;
        }
        self.settled.store(end.max(from), Ordering::Relaxed);
        Ok(())
    }
}

impl Sink for DeviceImage<'_> {
    fn store(&self, start: u64, span: &[u8], filled: Filled) -> Result<Placed> {
        for run in filled.runs(span.len()) {
            let at = start + run.start as u64;
            self.file.write(&span[run], at)?;
        }
        Ok(Placed { start, filled, host: start })
    }

    fn settle(&self, placed: Placed) -> Result<u64> {
        for run in placed.filled.runs(64 * CLUSTER) {
            let (from, to) = (placed.start + run.start as u64, placed.start + run.end as u64);
            self.settle_to(from, to.min(self.virtual_size))?;
        }
        Ok(0)
    }

    fn end(&self, position: u64) -> u64 {
        position
    }
}

impl Image for DeviceImage<'_> {
    fn begin(&self, _: u64) -> Result<()> {
        let from = self.settled.load(Ordering::Relaxed);
        let is_blank = self.blank(from, self.virtual_size, |offset, length| self.file.discard(offset, length))?;
        self.is_blank.store(is_blank, Ordering::Relaxed);
        Ok(())
    }

    fn restore(&self, span: &Span) -> bool {
        let runs = span.placed.filled.runs(64 * CLUSTER);
        let end = runs.last().map_or(0, |run| span.placed.start + run.end as u64);
        self.settled.fetch_max(end.min(self.virtual_size), Ordering::Relaxed);
        span.placed.host == span.placed.start && span.table == 0
    }

    fn finish(&self) -> Result<()> {
        self.settle_to(self.virtual_size, self.virtual_size)
    }
}
