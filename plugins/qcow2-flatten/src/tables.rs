//! Pages of L1 and L2 tables, read when they are needed and kept in the chain's cache.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result, read_exact_at};

use crate::cache::Cache;
use crate::header::{Header, bad};

const LEAST_PAGE: u64 = 4 << 10;
const MOST_PAGE: u64 = 64 << 10;

/// Reads table entries of one image.
pub struct Tables {
    file: Arc<dyn BlockSource>,
    image: usize,
    page: u64,
    cache: Arc<Cache>,
}

impl Tables {
    /// Tables of image number `image` of the chain.
    pub fn new(file: Arc<dyn BlockSource>, image: usize, header: &Header, cache: Arc<Cache>) -> Self {
        Self { file, image, page: header.cluster().clamp(LEAST_PAGE, MOST_PAGE), cache }
    }

    /// The bytes from file offset `at` to the end of its page, `most` bytes at most and `entry` bytes at least. Entries never
    /// straddle pages: tables begin at multiples of 512 and entries have 8 or 16 bytes.
    pub fn read(&self, at: u64, entry: u64, most: u64) -> Result<Entries> {
        let start = at / self.page * self.page;
        let size = self.file.size();
        if at.checked_add(entry).is_none_or(|end| end > size) {
            return Err(bad(format!("a table entry at offset {at} in a file of {size} bytes; the file is cut off")));
        }
        let page = self.cache.get((self.image, start), || {
            let mut page = vec![0; self.page.min(size - start) as usize];
            read_exact_at(&*self.file, start, &mut page)?;
            Ok(page.into())
        })?;
        let from = (at - start) as usize;
        let to = page.len().min(from + most as usize);
        Ok(Entries { page, from, to })
    }
}

/// Entries of a table, up to the end of their page.
pub struct Entries {
    page: Arc<[u8]>,
    from: usize,
    to: usize,
}

impl Entries {
    /// The entries as big-endian numbers of 64 bits; an extended entry is two of them.
    pub fn words(&self) -> impl Iterator<Item = u64> {
        // `as_chunks` came with Rust 1.88.
        self.page[self.from..self.to].chunks_exact(8).map(|chunk| {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            u64::from_be_bytes(word)
        })
    }
}
