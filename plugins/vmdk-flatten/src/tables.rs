//! Grain directory and grain tables of a hosted sparse extent: which sector of the file holds a grain.
//!
//! Format: "Virtual Disk Format 5.0", sections "Grain Directory" and "Grain Table": 32-bit sector numbers, 512 to a table. Both are
//! read when they are needed, in blocks of 512 entries, into a bounded cache that all extents of a disk share, so memory does
//! not grow with the disk. A block is checked against the file's size when it is read; damage in the first copy of the
//! metadata is made good by the second one, where the file has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vmdk2kvm_plugin_api::{ErrorKind, ExtentKind, PluginError, Result, tracing};

use crate::cache::Cache;
use crate::fault::{damaged, shown};
use crate::files::File;
use crate::header::TABLE_ENTRIES;
use crate::storage::SECTOR;

/// Entries of a block.
pub const ENTRIES: usize = TABLE_ENTRIES as usize;

/// Bytes of a block.
const BLOCK: u64 = TABLE_ENTRIES * 4;

/// Tables that lie behind each other are read together, this many at once at most.
const READ_AHEAD: u64 = 64;

/// Weight of one generation of the blocks' cache, in bytes.
const CACHED: usize = 8 << 20;

/// 512 entries of a table or of the directory. `None` where all of them are zero.
pub type Block = Option<Arc<[u32; ENTRIES]>>;

/// Blocks of all extents of a disk.
pub type Blocks = Cache<Key, Block>;

/// Names a block: extent, table or directory, number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    extent: u32,
    directory: bool,
    index: u64,
}

/// An empty cache for a disk.
pub fn new_blocks() -> Blocks {
    Cache::new(CACHED)
}

/// How grains are laid out, and what their entries may be.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Bytes of the extent.
    pub capacity: u64,
    /// Bytes of a grain.
    pub grain: u64,
    /// Grains are streams behind markers: their length is not known from the tables.
    pub compressed: bool,
    /// An entry of 1 is a grain of zeros.
    pub zero_grains: bool,
}

impl Layout {
    /// Bytes that one table maps.
    pub fn table_span(&self) -> u64 {
        self.grain * TABLE_ENTRIES
    }

    /// Number of tables.
    pub fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.table_span())
    }
}

/// The tables of one extent.
pub struct Tables {
    extent: u32,
    file: Arc<File>,
    layout: Layout,
    directory: u64,
    redundant: Option<u64>,
    blocks: Arc<Blocks>,
    repaired: AtomicBool,
}

impl Tables {
    /// The tables that the directory at byte `directory` of `file`, or its copy at `redundant`, lists. `extent` is this
    /// extent's number in `blocks`.
    pub fn open(
        extent: u32,
        file: Arc<File>,
        layout: Layout,
        directory: u64,
        redundant: Option<u64>,
        blocks: Arc<Blocks>,
    ) -> Result<Self> {
        let length = layout.tables() * 4;
        let usable = |place: &u64| *place >= SECTOR && file.holds(*place, length);
        let redundant = redundant.filter(usable);
        let repaired = AtomicBool::new(false);
        let (directory, redundant) = match (usable(&directory), redundant) {
            (true, redundant) => (directory, redundant),
            (false, Some(copy)) => {
                tracing::warn!(
                    "{}: its grain directory lies outside of the file; its redundant copy is used",
                    shown(file.object())
                );
                repaired.store(true, Ordering::Relaxed);
                (copy, None)
            }
            (false, None) => {
                return Err(damaged(
                    file.object(),
                    format_args!(
                        "its grain directory of {length} bytes at offset {directory} lies outside of the file of {} bytes",
                        file.size()
                    ),
                ));
            }
        };
        Ok(Self { extent, file, layout, directory, redundant, blocks, repaired })
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The table of this number; `None` when it holds no grain.
    pub fn table(&self, index: u64) -> Result<Block> {
        if let Some(block) = self.blocks.get(self.key(false, index)) {
            return Ok(block);
        }
        let sector = self.entry(index)?;
        if sector == 0 {
            return Ok(None);
        }
        let error = match self.load(index, sector) {
            Err(error) if matches!(error.kind, ErrorKind::Unusable | ErrorKind::Io) => error,
            other => return other,
        };
        let Some(copy) = self.redundant else { return Err(error) };
        let (Ok(sector), at) = (self.raw_entry(copy, index), index) else { return Err(error) };
        if sector == 0 {
            return Err(error);
        }
        let Ok(block) = self.read_table(at, sector) else { return Err(error) };
        self.tell_repair(&error);
        self.blocks.put(self.key(false, index), block.clone(), BLOCK as usize);
        Ok(block)
    }

    /// The first table from `from` on, and before `end`, that the directory lists; `end` if there is none. Costs a step for
    /// each 512 tables that are not there.
    pub fn next_listed(&self, from: u64, end: u64) -> Result<u64> {
        let mut index = from;
        while index < end {
            let first = (index % TABLE_ENTRIES) as usize;
            if let Some(entries) = self.directory_block(index / TABLE_ENTRIES)? {
                if let Some(skip) = entries[first..].iter().position(|entry| *entry != 0) {
                    return Ok((index + skip as u64).min(end));
                }
            }
            index += TABLE_ENTRIES - first as u64;
        }
        Ok(end)
    }

    fn key(&self, directory: bool, index: u64) -> Key {
        Key { extent: self.extent, directory, index }
    }

    /// The directory's entry for a table.
    fn entry(&self, index: u64) -> Result<u32> {
        let block = self.directory_block(index / TABLE_ENTRIES)?;
        Ok(block.map_or(0, |entries| entries[(index % TABLE_ENTRIES) as usize]))
    }

    /// 512 entries of the directory. A table that only the redundant directory lists is taken from there: zeros in its place
    /// would lose data.
    fn directory_block(&self, number: u64) -> Result<Block> {
        let key = self.key(true, number);
        if let Some(block) = self.blocks.get(key) {
            return Ok(block);
        }
        let first = number * TABLE_ENTRIES;
        let count = (self.layout.tables() - first).min(TABLE_ENTRIES) as usize;
        let mut entries = self.read_entries(self.directory + first * 4, count)?;
        if let Some(copy) = self.redundant {
            if let Ok(others) = self.read_entries(copy + first * 4, count) {
                for (entry, other) in entries.iter_mut().zip(others.iter()) {
                    if *entry == 0 && *other != 0 {
                        *entry = *other;
                        self.tell_repair(&damaged(
                            self.file.object(),
                            "its grain directory lacks tables that the redundant one has",
                        ));
                    }
                }
            }
        }
        let block = entries.iter().any(|entry| *entry != 0).then(|| Arc::from(entries));
        self.blocks.put(key, block.clone(), BLOCK as usize);
        Ok(block)
    }

    fn read_entries(&self, at: u64, count: usize) -> Result<Box<[u32; ENTRIES]>> {
        let mut bytes = [0u8; BLOCK as usize];
        self.file.read(at, &mut bytes[..count * 4])?;
        let mut entries = Box::new([0u32; ENTRIES]);
        decode(&bytes, &mut entries);
        Ok(entries)
    }

    fn raw_entry(&self, directory: u64, index: u64) -> Result<u32> {
        let mut bytes = [0u8; 4];
        self.file.read(directory + index * 4, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads a table and those that lie behind it in the file and follow it in the directory.
    fn load(&self, index: u64, sector: u32) -> Result<Block> {
        let at = u64::from(sector) * SECTOR;
        let mut count = 1;
        if let Some(entries) = self.directory_block(index / TABLE_ENTRIES)? {
            let follows = |count: u64| {
                let entry = entries.get((index % TABLE_ENTRIES + count) as usize).copied().unwrap_or(0);
                u64::from(entry) == u64::from(sector) + count * (BLOCK / SECTOR)
                    && self.file.holds(at, (count + 1) * BLOCK)
            };
            while count < READ_AHEAD && follows(count) {
                count += 1;
            }
        }
        if !self.file.holds(at, BLOCK) {
            return Err(self.outside(index, sector));
        }
        // Tables that were set up ahead and never used lie in a hole of the file: nothing to read.
        let hole = self.file.extents(at, count * BLOCK)?.iter().all(|extent| extent.kind != ExtentKind::Data);
        let mut bytes = Vec::new();
        if !hole {
            bytes.resize((count * BLOCK) as usize, 0);
            self.file.read(at, &mut bytes)?;
        }
        let mut first = Ok(None);
        for step in 0..count {
            let block = match bytes.get((step * BLOCK) as usize..((step + 1) * BLOCK) as usize) {
                Some(bytes) => self.check(index + step, bytes),
                None => Ok(None),
            };
            // A damaged table further on is told when somebody asks for it.
            if let Ok(block) = &block {
                self.blocks.put(self.key(false, index + step), block.clone(), BLOCK as usize);
            }
            if step == 0 {
                first = block;
            }
        }
        first
    }

    /// Reads one table.
    fn read_table(&self, index: u64, sector: u32) -> Result<Block> {
        let at = u64::from(sector) * SECTOR;
        if !self.file.holds(at, BLOCK) {
            return Err(self.outside(index, sector));
        }
        let mut bytes = [0u8; BLOCK as usize];
        self.file.read(at, &mut bytes)?;
        self.check(index, &bytes)
    }

    /// Decodes a table and checks that every grain lies inside the file.
    fn check(&self, index: u64, bytes: &[u8]) -> Result<Block> {
        let mut entries = Box::new([0u32; ENTRIES]);
        decode(bytes, &mut entries);
        let base = index * self.layout.table_span();
        let grains = (self.layout.capacity - base).div_ceil(self.layout.grain).min(TABLE_ENTRIES) as usize;
        entries[grains..].fill(0); // What lies past the capacity means nothing.
        for (slot, entry) in entries.iter().enumerate() {
            if *entry == 0 || (*entry == 1 && self.layout.zero_grains) {
                continue;
            }
            let start = base + slot as u64 * self.layout.grain;
            if *entry == 1 {
                return Err(damaged(
                    self.file.object(),
                    format_args!(
                        "the grain at byte {start} of the disk is marked as zeros, which its header does not allow"
                    ),
                ));
            }
            // The last grain of a disk may be cut at the capacity.
            let needed = match self.layout.compressed {
                true => crate::grain::MARKER,
                false => self.layout.grain.min(self.layout.capacity - start),
            };
            if !self.file.holds(u64::from(*entry) * SECTOR, needed) {
                return Err(damaged(
                    self.file.object(),
                    format_args!(
                        "the grain at byte {start} of the disk lies outside of the file: at sector {entry}, and the file has {} bytes",
                        self.file.size()
                    ),
                ));
            }
        }
        Ok(entries.iter().any(|entry| *entry != 0).then(|| Arc::from(entries)))
    }

    fn outside(&self, index: u64, sector: u32) -> PluginError {
        damaged(
            self.file.object(),
            format_args!(
                "its grain table {index} lies outside of the file: at sector {sector}, and the file has {} bytes",
                self.file.size()
            ),
        )
    }

    fn tell_repair(&self, error: &PluginError) {
        if !self.repaired.swap(true, Ordering::Relaxed) {
            tracing::warn!("{error}; the redundant copy is used");
        }
    }
}

fn decode(bytes: &[u8], entries: &mut [u32; ENTRIES]) {
    for (entry, bytes) in entries.iter_mut().zip(bytes.chunks_exact(4)) {
        *entry = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}
