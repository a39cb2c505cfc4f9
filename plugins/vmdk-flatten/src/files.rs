//! The files of a disk: opened through the `Transport` only, each object once, with a bound on how many are open at a time.
//!
//! A split disk has thousands of extents. Each is opened once to be checked; after that only the most recently opened stay
//! open, and the others are opened again when somebody reads there. Knows nothing of formats.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use vmdk2kvm_plugin_api::{BlockSource, Extent, Hints, Result, Transport, read_exact_at};

use crate::fault::{damaged, unusable};

/// How many files of one disk are open at a time. Well below the usual limit of 1,024 descriptors of a process.
pub const OPEN_FILES: usize = 128;

/// Opens files and keeps at most [`OPEN_FILES`] of them open.
pub struct Files {
    transport: Arc<dyn Transport>,
    known: Mutex<HashMap<String, Arc<File>>>,
    open: Arc<Mutex<VecDeque<Weak<File>>>>,
}

impl Files {
    /// The files that `transport` reaches.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, known: Mutex::default(), open: Arc::default() }
    }

    /// The object that `name`, found inside `from`, refers to.
    pub fn resolve(&self, from: &str, name: &str) -> Result<String> {
        self.transport.resolve(from, name)
    }

    /// The file of this object, opened now.
    pub fn open(&self, object: &str) -> Result<Arc<File>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known.get(object) {
            return Ok(Arc::clone(file));
        }
        let source: Arc<dyn BlockSource> = Arc::from(self.transport.open(object)?);
        let file = Arc::new(File {
            object: object.to_owned(),
            size: source.size(),
            hints: source.hints(),
            slot: RwLock::new(None),
            transport: Arc::clone(&self.transport),
            open: Arc::clone(&self.open),
        });
        file.keep(source);
        known.insert(object.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

/// A file of the disk.
pub struct File {
    object: String,
    size: u64,
    hints: Hints,
    slot: RwLock<Option<Arc<dyn BlockSource>>>,
    transport: Arc<dyn Transport>,
    open: Arc<Mutex<VecDeque<Weak<File>>>>,
}

impl File {
    /// The object's reference.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How it likes to be read.
    pub fn hints(&self) -> Hints {
        self.hints
    }

    /// Whether `offset..offset + length` lies inside the file.
    pub fn holds(&self, offset: u64, length: u64) -> bool {
        offset.checked_add(length).is_some_and(|end| end <= self.size)
    }

    /// Reads exactly `buffer.len()` bytes; a range outside of the file is an error that says so.
    pub fn read(self: &Arc<Self>, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if !self.holds(offset, buffer.len() as u64) {
            return Err(damaged(
                &self.object,
                format_args!("{} bytes at {offset} lie outside of the file of {} bytes", buffer.len(), self.size),
            ));
        }
        read_exact_at(&*self.source()?, offset, buffer)
    }

    /// What the range holds, checked to cover exactly that range.
    pub fn extents(self: &Arc<Self>, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let extents = self.source()?.extents(offset, length)?;
        let mut next = offset;
        for extent in &extents {
            if extent.offset != next || extent.length == 0 {
                return Err(unusable(&self.object, "its source gave a map of its content with gaps or overlaps"));
            }
            next = next.saturating_add(extent.length);
        }
        if next != offset.saturating_add(length) {
            return Err(unusable(&self.object, "its source gave a map of its content of the wrong length"));
        }
        Ok(extents)
    }

    fn source(self: &Arc<Self>) -> Result<Arc<dyn BlockSource>> {
        if let Some(source) = &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(source));
        }
        let source: Arc<dyn BlockSource> = Arc::from(self.transport.open(&self.object)?);
        if source.size() != self.size {
            return Err(unusable(
                &self.object,
                format_args!("its size changed from {} to {} bytes while it was read", self.size, source.size()),
            )
            .hint("shut the virtual machine down, or read from a snapshot"));
        }
        self.keep(Arc::clone(&source));
        Ok(source)
    }

    /// Stores the open source; closes the one that was opened first when there are too many. Readers that are at work on that
    /// one hold it themselves and are not disturbed.
    fn keep(self: &Arc<Self>, source: Arc<dyn BlockSource>) {
        let replaced = self.slot.write().unwrap_or_else(PoisonError::into_inner).replace(source);
        if replaced.is_some() {
            return; // Another thread opened it at the same moment, and it is in the queue.
        }
        let evicted = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.push_back(Arc::downgrade(self));
            if open.len() > OPEN_FILES { open.pop_front() } else { None }
        };
        if let Some(file) = evicted.and_then(|file| file.upgrade()) {
            *file.slot.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
