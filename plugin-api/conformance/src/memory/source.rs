//! A disk in memory that can be told to fail.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, PluginError, Result};

/// A disk made of bytes. Clones share the bytes and the count of reads.
///
/// ```
/// use vmdk2kvm_plugin_api::{BlockSource, PluginError};
/// use vmdk2kvm_conformance::MemorySource;
///
/// let disk = MemorySource::new(vec![7; 8192]).with_hole(4096..8192).failing(0..512, PluginError::io("sector 0 is bad"));
/// assert_eq!(disk.extents(0, 8192).unwrap().len(), 2);
/// assert_eq!(disk.read_at(100, &mut [0]).unwrap_err().message, "sector 0 is bad");
/// assert_eq!(disk.read_at(4096, &mut [9; 16]), Ok(16));
/// ```
#[derive(Clone)]
pub struct MemorySource {
    bytes: Arc<Vec<u8>>,
    holes: Vec<Range<u64>>,
    faults: Vec<(Range<u64>, PluginError)>,
    longest: usize,
    reads: Arc<AtomicU64>,
}

impl MemorySource {
    /// A disk of these bytes, all of them data.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self { bytes, holes: Vec::new(), faults: Vec::new(), longest: usize::MAX, reads: Arc::default() }
    }

    /// The same disk with a range that was never written: it reads as zeros. Holes are added in ascending order.
    #[must_use]
    pub fn with_hole(mut self, range: Range<u64>) -> Self {
        let bytes = Arc::make_mut(&mut self.bytes);
        let clipped = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let (start, end) = (clipped(range.start), clipped(range.end));
        bytes[start..end].fill(0);
        self.holes.push(start as u64..end as u64);
        self
    }

    /// The same disk, of which each read that touches the range fails.
    #[must_use]
    pub fn failing(mut self, range: Range<u64>, error: PluginError) -> Self {
        self.faults.push((range, error));
        self
    }

    /// The same disk, of which one call reads at most so many bytes, as the contract allows.
    #[must_use]
    pub fn with_short_reads(mut self, longest: usize) -> Self {
        self.longest = longest.max(1);
        self
    }

    /// How often it was read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl BlockSource for MemorySource {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let wanted = offset..offset.saturating_add(buffer.len() as u64);
        if wanted.end > self.size() || (offset >= self.size() && !buffer.is_empty()) {
            let text = format!("a read of {} bytes at {offset}, past the end at {}", buffer.len(), self.size());
            // Whoever reads checks sizes first: that it did not is its defect, not the input's.
            return Err(PluginError::defect(text));
        }
        let length = buffer.len().min(self.longest);
        let end = offset + length as u64;
        if let Some((_, error)) = self.faults.iter().find(|(bad, _)| bad.start < end && offset < bad.end) {
            return Err(error.clone());
        }
        let start = offset as usize;
        buffer[..length].copy_from_slice(&self.bytes[start..start + length]);
        Ok(length)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let end = offset.checked_add(length).filter(|end| *end <= self.size());
        let end = end.ok_or_else(|| PluginError::defect("a map of what is past the end"))?;
        let mut extents = Vec::new();
        let mut at = offset;
        let mut push = |at: &mut u64, next: u64, kind| {
            if next > *at {
                extents.push(Extent::new(*at, next - *at, kind));
                *at = next;
            }
        };
        for hole in &self.holes {
            push(&mut at, hole.start.min(end), ExtentKind::Data);
            push(&mut at, hole.end.min(end), ExtentKind::Hole);
        }
        push(&mut at, end, ExtentKind::Data);
        Ok(extents)
    }
}
