//! Grain directory and grain tables of a sparse extent: where in the file a grain is.
//!
//! Both are read when they are needed, in blocks of 512 entries, into a bounded cache that all extents of a disk share, so
//! memory does not grow with the disk. What an entry means is `dialect.rs`, whether it can be true is `entries.rs`. Damage in the first
//! copy of the metadata is made good by the second one, where the file has one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{ErrorKind, ExtentKind, Host, PluginError, Result, tracing};

use crate::cache::Cache;
use crate::dialect::{ABSENT, ENTRIES};
use crate::entries::{Block, Checker, Layout};
use crate::fault::damaged;
use crate::files::File;
use crate::storage::SECTOR;

/// Blocks that lie behind each other are read together, this many at once at most.
const READ_AHEAD: u64 = 64;

/// Weight of one generation of the blocks' cache, in bytes.
const CACHED: usize = 8 << 20;

/// Weight of a block without entries, in bytes: its key and its place in the cache.
const EMPTY: usize = 128;

/// Blocks of all extents of a disk.
pub type Blocks = Cache<Key, Block>;

/// Names a block: extent, table or directory, number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    extent: u32,
    directory: bool,
    number: u64,
}

/// An empty cache for a disk.
pub fn new_blocks() -> Blocks {
    Cache::new(CACHED)
}

/// What a header says about a sparse file, in bytes.
#[derive(Debug)]
pub struct Shape {
    /// How its grains are laid out.
    pub layout: Layout,
    /// Where its grain directory is.
    pub directory: u64,
    /// Where the second grain directory is.
    pub redundant: Option<u64>,
    /// Length of the header.
    pub header: u64,
    /// Whether its last writer did not close it.
    pub unclean: bool,
}

/// The tables of one extent.
pub struct Tables {
    extent: u32,
    file: Arc<File>,
    checker: Checker,
    directory: u64,
    redundant: Option<u64>,
    blocks: Arc<Blocks>,
    repairs: Repairs,
}

/// Which damage was made good by the redundant copy.
#[derive(Default)]
struct Repairs {
    first: Mutex<Option<String>>,
    told: AtomicBool,
}

impl Tables {
    /// The tables of a file of this shape. `extent` is this extent's number in `blocks`.
    pub fn open(extent: u32, file: Arc<File>, shape: Shape, blocks: Arc<Blocks>) -> Result<Self> {
        let length = shape.layout.directory_bytes();
        let usable = |place: &u64| *place >= SECTOR && file.holds(*place, length);
        let lost = damaged(
            file.object(),
            format_args!(
                "its grain directory of {length} bytes at offset {} lies outside of the file of {} bytes",
                shape.directory,
                file.size()
            ),
        );
        let repairs = Repairs::default();
        let second = shape.redundant.filter(usable);
        let (directory, redundant) = match (usable(&shape.directory), second) {
            (true, second) => (shape.directory, second),
            (false, Some(copy)) => {
                repairs.note(&lost);
                (copy, None)
            }
            (false, None) => return Err(lost),
        };
        let mut reserved = vec![0..shape.header, directory..directory + length];
        reserved.extend(redundant.map(|at| at..at + length));
        let checker = Checker { object: file.object().to_owned(), size: file.size(), reserved, layout: shape.layout };
        Ok(Self { extent, file, checker, directory, redundant, blocks, repairs })
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.checker.layout
    }

    /// Reads what can be checked before anything is copied: the directory; and all tables, where a second copy of them shows that
    /// they are few. What the second copy had to make good is the answer.
    pub fn verify(&self, host: &Host) -> Result<Option<String>> {
        self.verify_tables(host)?;
        self.repairs.told.store(true, Ordering::Relaxed);
        Ok(self.repairs.first.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn verify_tables(&self, host: &Host) -> Result<()> {
        let per_table = self.layout().dialect.table_blocks();
        let end = self.layout().tables() * per_table;
        let most = self.file.size() / self.layout().dialect.table_bytes();
        let mut listed = 0;
        let mut next = self.next_listed(0, end)?;
        while next < end {
            listed += 1;
            if listed > most {
                return Err(damaged(
                    self.file.object(),
                    format_args!("its grain directory lists more tables than its {} bytes can hold", self.file.size()),
                ));
            }
            if self.redundant.is_some() {
                self.block(next)?;
            }
            if listed % 1024 == 0 {
                host.check_cancelled()?;
            }
            next = self.next_listed(next + per_table, end)?;
        }
        Ok(())
    }

    /// Block `number` of the tables; `None` when it holds no grain.
    pub fn block(&self, number: u64) -> Result<Block> {
        let key = self.key(false, number);
        if let Some(block) = self.blocks.get(key) {
            return Ok(block);
        }
        let index = number / self.layout().dialect.table_blocks();
        let directory = self.directory_block(index / ENTRIES as u64)?;
        let Some(at) = self.place(&directory, number) else { return Ok(None) };
        let error = match self.load(&directory, number, at) {
            Err(error) if can_be_repaired(&error) => error,
            other => return other,
        };
        let Some(Ok(block)) = self.redundant.map(|copy| self.block_of(copy, number)) else { return Err(error) };
        self.repairs.note(&error);
        self.keep(key, &block);
        Ok(block)
    }

    /// The first block from `from` on, and before `end`, whose table the directory lists; `end` if there is none. Costs a step for
    /// each 512 tables that are not there.
    pub fn next_listed(&self, from: u64, end: u64) -> Result<u64> {
        let per_table = self.layout().dialect.table_blocks();
        let mut index = from / per_table;
        while index * per_table < end {
            let first = (index % ENTRIES as u64) as usize;
            if let Some(entries) = self.directory_block(index / ENTRIES as u64)? {
                if let Some(skip) = entries[first..].iter().position(|entry| *entry != ABSENT) {
                    return Ok(((index + skip as u64) * per_table).clamp(from, end));
                }
            }
            index += (ENTRIES - first) as u64;
        }
        Ok(end)
    }

    fn key(&self, directory: bool, number: u64) -> Key {
        Key { extent: self.extent, directory, number }
    }

    fn keep(&self, key: Key, block: &Block) {
        let weight = if block.is_some() { size_of::<[u64; ENTRIES]>() } else { EMPTY };
        self.blocks.put(key, block.clone(), weight);
    }

    /// Where a block of a table that this block of the directory lists is in the file.
    fn place(&self, directory: &Block, number: u64) -> Option<u64> {
        let dialect = self.layout().dialect;
        let table = directory.as_ref()?[(number / dialect.table_blocks() % ENTRIES as u64) as usize];
        (table != ABSENT).then(|| table + number % dialect.table_blocks() * dialect.block_bytes())
    }

    /// 512 entries of the directory. A table that only the redundant directory lists is taken from there: zeros in its place
    /// would lose data.
    fn directory_block(&self, number: u64) -> Result<Block> {
        let key = self.key(true, number);
        if let Some(block) = self.blocks.get(key) {
            return Ok(block);
        }
        let first = self.read_directory(self.directory, number);
        let second = self.redundant.map(|copy| self.read_directory(copy, number));
        let block = match (first, second) {
            (Err(error), Some(Ok(second))) if can_be_repaired(&error) => {
                self.repairs.note(&error);
                second
            }
            (Ok(first), Some(Ok(second))) => self.merged(first, second),
            (first, _) => first?,
        };
        self.keep(key, &block);
        Ok(block)
    }

    fn merged(&self, first: Block, second: Block) -> Block {
        let (Some(second), mut merged) = (second, first.clone().map_or([ABSENT; ENTRIES], |first| *first)) else {
            return first;
        };
        let mut lacks = false;
        for (entry, other) in merged.iter_mut().zip(second.iter()) {
            if *entry == ABSENT && *other != ABSENT {
                (*entry, lacks) = (*other, true);
            }
        }
        if !lacks {
            return first;
        }
        let what = "its grain directory lacks tables that the redundant one has";
        self.repairs.note(&damaged(self.file.object(), what));
        Some(Arc::new(merged))
    }

    fn read_directory(&self, directory: u64, number: u64) -> Result<Block> {
        let width = self.layout().dialect.width();
        let first = number * ENTRIES as u64;
        let count = (self.layout().tables() - first).min(ENTRIES as u64);
        match self.bytes(directory + first * width, count * width)? {
            Some(bytes) => self.checker.directory(number, &bytes),
            None => Ok(None),
        }
    }

    /// Bytes of the file; `None` when they lie in a hole, where there is nothing to read: directories and tables that were set
    /// up ahead and never used.
    fn bytes(&self, at: u64, length: u64) -> Result<Option<Vec<u8>>> {
        if self.file.extents(at, length)?.iter().all(|extent| extent.kind != ExtentKind::Data) {
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        self.file.read(at, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Reads a block of a table and those that lie behind it in the file and on the disk.
    fn load(&self, directory: &Block, number: u64, at: u64) -> Result<Block> {
        let bytes = self.layout().dialect.block_bytes();
        let same_directory = self.layout().dialect.table_blocks() * ENTRIES as u64;
        let follows = |count: u64| {
            let next = number + count;
            next % same_directory != 0 && self.place(directory, next) == Some(at + count * bytes)
        };
        let mut count = 1;
        while count < READ_AHEAD && follows(count) {
            count += 1;
        }
        let Some(read) = self.bytes(at, count * bytes)? else {
            (0..count).for_each(|step| self.keep(self.key(false, number + step), &None));
            return Ok(None);
        };
        let mut first = Ok(None);
        for (step, part) in (0..count).zip(read.chunks_exact(bytes as usize)) {
            let block = self.checker.table(number + step, at + step * bytes, part);
            // A damaged block further on is told when somebody asks for it.
            if let Ok(block) = &block {
                self.keep(self.key(false, number + step), block);
            }
            if step == 0 {
                first = block;
            }
        }
        first
    }

    /// A block of the tables that the directory at `copy` lists. A table that it does not list is no help.
    fn block_of(&self, copy: u64, number: u64) -> Result<Block> {
        let dialect = self.layout().dialect;
        let directory = self.read_directory(copy, number / dialect.table_blocks() / ENTRIES as u64)?;
        let at = self.place(&directory, number);
        let at = at.ok_or_else(|| damaged(self.file.object(), "its redundant grain directory lacks the table"))?;
        let bytes = self.bytes(at, dialect.block_bytes())?;
        bytes.map_or(Ok(None), |bytes| self.checker.table(number, at, &bytes))
    }
}

fn can_be_repaired(error: &PluginError) -> bool {
    matches!(error.kind, ErrorKind::Unusable | ErrorKind::Io)
}

impl Repairs {
    /// Remembers the first; logs it when the report was made already.
    fn note(&self, error: &PluginError) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            let message = format!("{}; its redundant copy is used", error.message);
            if self.told.load(Ordering::Relaxed) {
                tracing::warn!("{message}");
            }
            *first = Some(message);
        }
    }
}
