//! One QCOW2 image: from a guest offset to how and where it is stored.
//!
//! Walks L1 and L2 tables page by page, and joins what belongs together, so that an empty terabyte is one run.

use vmdk2kvm_plugin_api::Result;

use crate::entry::{self, Extended, SUBCLUSTERS};
use crate::header::{Compression, Header};
use crate::run::{Run, Stored};
use crate::tables::Tables;

/// An opened image.
pub struct Image {
    header: Header,
    tables: Tables,
}

impl Image {
    /// An image with a checked header.
    pub fn new(header: Header, tables: Tables) -> Self {
        Self { header, tables }
    }

    /// Cluster size in bytes.
    pub fn cluster(&self) -> u64 {
        self.header.cluster()
    }

    /// How its compressed clusters are compressed.
    pub fn compression(&self) -> Compression {
        self.header.compression
    }

    /// The longest run from `start`, not past `end`; `start < end`, and `end` is not past the disk's.
    pub fn run(&self, start: u64, end: u64) -> Result<Run> {
        let mut builder = Builder { run: Run { start, end: start, stored: Stored::Nowhere }, end };
        let mut more = true;
        while more && builder.run.end < end {
            more = self.scan_l1(&mut builder)?;
        }
        Ok(builder.run)
    }

    /// Continues the run by one page of L1 entries, or up to the first allocated L2 table and by a page of that. `false`: the
    /// run has ended.
    fn scan_l1(&self, builder: &mut Builder) -> Result<bool> {
        let span = self.header.l2_span();
        let first = builder.run.end / span;
        let count = builder.end.div_ceil(span) - first;
        let entries = self.tables.read(self.header.l1_offset + first * 8, 8, count * 8)?;
        for (index, word) in (first..).zip(entries.words()) {
            let to = builder.end.min((index + 1).saturating_mul(span));
            match entry::l1(word, self.header.cluster_bits)? {
                Some(table) => return self.scan_l2(table, to, builder),
                None if builder.take(to, Stored::Nowhere) => {}
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Continues the run by one page of the L2 table at `table`, not past `to`.
    fn scan_l2(&self, table: u64, to: u64, builder: &mut Builder) -> Result<bool> {
        let (cluster, size) = (self.header.cluster(), self.header.entry_size());
        let at = builder.run.end;
        let index = at % self.header.l2_span() / cluster;
        let count = to.div_ceil(cluster) - at / cluster;
        let entries = self.tables.read(table + index * size, size, count * size)?;
        let mut words = entries.words();
        while let Some(word) = words.next() {
            let more = if self.header.extended_l2 {
                // A page ends where an entry ends; only a file that is cut off does not.
                let Some(bitmap) = words.next() else { break };
                self.extended(word, bitmap, to, builder)?
            } else {
                let stored = entry::l2(word, self.header.cluster_bits, self.header.version)?;
                builder.take_block(stored, cluster, to)
            };
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Continues the run by a cluster with subclusters.
    fn extended(&self, word: u64, bitmap: u64, to: u64, builder: &mut Builder) -> Result<bool> {
        let cluster = self.header.cluster();
        match entry::extended(word, bitmap, self.header.cluster_bits)? {
            Extended::Compressed(stored) => Ok(builder.take_block(stored, cluster, to)),
            Extended::Subclusters { offset, bitmap } => {
                let size = cluster / u64::from(SUBCLUSTERS);
                let end = to.min((builder.run.end / cluster + 1) * cluster);
                while builder.run.end < end {
                    let index = (builder.run.end % cluster / size) as u32;
                    if !builder.take_block(entry::subcluster(offset, bitmap, index, size), size, to) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}

/// A run that grows.
struct Builder {
    /// Empty until the first piece was taken.
    run: Run,
    /// Where it must end.
    end: u64,
}

impl Builder {
    /// Takes the piece from the run's end to `to`; `false` when it is stored in another way, or is a run of its own.
    fn take(&mut self, to: u64, stored: Stored) -> bool {
        let piece = Run { start: self.run.end, end: to, stored };
        if self.run.start == self.run.end {
            self.run = piece;
            return !matches!(stored, Stored::Compressed { .. });
        }
        self.run.join(&piece)
    }

    /// Takes what remains of the block (a cluster, a subcluster) of `size` bytes that the run's end lies in.
    fn take_block(&mut self, stored: Stored, size: u64, to: u64) -> bool {
        let at = self.run.end;
        let stored = match stored {
            Stored::Plain(offset) => Stored::Plain(offset + at % size),
            other => other,
        };
        self.take(to.min((at / size + 1).saturating_mul(size)), stored)
    }
}
