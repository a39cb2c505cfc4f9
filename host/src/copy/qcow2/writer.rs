//! The image file: allocates clusters for spans from any thread, and writes the tables.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::super::image_file::ImageFile;
use super::super::sink::{Image, Sink};
use super::super::span::{Filled, Placed, Span};
use super::layout::{CLUSTER_BYTES, Header, MAX_VIRTUAL_SIZE, REFCOUNTS_PER_BLOCK, Refcounts};
use super::tables::Tables;

/// A qcow2 image that is being written.
pub(in super::super) struct Qcow2Image<'a> {
    file: &'a ImageFile,
    virtual_size: u64,
    /// The next free cluster of the file. Cluster 0 is the header's.
    next: AtomicU64,
    tables: Mutex<Tables>,
}

impl<'a> Qcow2Image<'a> {
    /// An image in this file. `virtual_size` is a multiple of 512.
    pub(in super::super) fn new(file: &'a ImageFile, virtual_size: u64) -> Result<Self> {
        if virtual_size > MAX_VIRTUAL_SIZE {
            return Err(PluginError::unusable(format!(
                "a disk of {virtual_size} bytes is larger than a qcow2 image can be ({MAX_VIRTUAL_SIZE} bytes)"
            ))
            .hint("check the source: its descriptor claims this capacity"));
        }
        Ok(Self { file, virtual_size, next: AtomicU64::new(1), tables: Mutex::new(Tables::new(virtual_size)) })
    }

    fn allocate(&self, clusters: u64) -> u64 {
        self.next.fetch_add(clusters, Ordering::Relaxed)
    }

    fn write_table(&self, table: &[u8]) -> Result<u64> {
        let at = self.allocate(1) * CLUSTER_BYTES;
        self.file.write(table, at)?;
        Ok(at)
    }

    /// Maps the clusters of a span; `full` gets the table that this makes full, if it does: only the first cluster of a span can.
    fn map<E>(&self, placed: Placed, mut full: impl FnMut(&[u8]) -> Result<u64, E>) -> Result<(), E> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let first = placed.start / CLUSTER_BYTES;
        for (cluster, number) in placed.filled.clusters().zip(0u64..) {
            let host = placed.host + number * CLUSTER_BYTES;
            tables.map(first + cluster as u64, host, &mut full)?;
        }
        Ok(())
    }

    /// Every cluster of the file is used exactly once.
    fn write_refcounts(&self, refcounts: &Refcounts) -> Result<()> {
        let blocks = refcounts.first_block..refcounts.first_block + refcounts.blocks;
        let table: Vec<u8> = blocks.clone().flat_map(|block| (block * CLUSTER_BYTES).to_be_bytes()).collect();
        self.file.write(&table, refcounts.table * CLUSTER_BYTES)?;
        let ones = [0u8, 1].repeat(REFCOUNTS_PER_BLOCK as usize);
        for (block, number) in blocks.zip(0u64..) {
            let left = refcounts.total.saturating_sub(number * REFCOUNTS_PER_BLOCK).min(REFCOUNTS_PER_BLOCK);
            self.file.write(&ones[..left as usize * 2], block * CLUSTER_BYTES)?;
        }
        Ok(())
    }
}

impl Sink for Qcow2Image<'_> {
    /// The clusters of a span lie behind one another in the file, so that a span without zeros is one write.
    fn store(&self, start: u64, span: &[u8], filled: Filled) -> Result<Placed> {
        let host = self.allocate(filled.count()) * CLUSTER_BYTES;
        let mut at = host;
        for run in filled.runs(span.len()) {
            let bytes = &span[run];
            self.file.write(bytes, at)?;
            // Only the disk's last cluster can be short, and nothing of this span follows it.
            at += bytes.len() as u64;
        }
        Ok(Placed { start, filled, host })
    }

    fn settle(&self, placed: Placed) -> Result<u64> {
        let mut full = 0;
        self.map(placed, |table| -> Result<u64> {
            full = self.write_table(table)?;
            Ok(full)
        })?;
        Ok(full)
    }

    fn end(&self, _: u64) -> u64 {
        self.next.load(Ordering::Relaxed) * CLUSTER_BYTES
    }
}

impl Image for Qcow2Image<'_> {
    fn begin(&self, end: u64) -> Result<()> {
        self.next.store((end / CLUSTER_BYTES).max(1), Ordering::Relaxed);
        self.file.set_len(end)
    }

    fn restore(&self, span: &Span) -> bool {
        self.map(span.placed, |_| if span.table == 0 { Err(()) } else { Ok(span.table) }).is_ok()
    }

    /// Writes the tables, the refcounts and, last, the header.
    fn finish(&self) -> Result<()> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.flush(|table| self.write_table(table))?;
        let l1_entries = tables.l1_entries();
        let l1_clusters = (l1_entries as u64 * 8).div_ceil(CLUSTER_BYTES);
        let l1_offset = self.allocate(l1_clusters) * CLUSTER_BYTES;
        let refcounts = Refcounts::behind(self.next.load(Ordering::Relaxed));
        // What is not written below reads as zeros.
        let length = refcounts.total * CLUSTER_BYTES;
        self.file.set_len(length)?;
        for (number, cluster) in tables.l1_clusters() {
            self.file.write(&cluster, l1_offset + number * CLUSTER_BYTES)?;
        }
        self.write_refcounts(&refcounts)?;
        let header = Header {
            virtual_size: self.virtual_size,
            l1_entries: l1_entries as u32,
            l1_offset,
            refcount_table_offset: refcounts.table * CLUSTER_BYTES,
            refcount_table_clusters: refcounts.table_clusters as u32,
        };
        self.file.write(&header.encode(), 0)
    }
}
