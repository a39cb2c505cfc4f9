//! ext2, ext3 and ext4, read by the crate `ext4-view`, behind an own look at what the filesystem says of itself.
//!
//! The crate's filesystem belongs to one thread: it has one of its own here, and is asked by messages. One that panics there ends the reading
//! of this guest, and nothing else. Where metadata has no checksums, its answers and an own look at the folders have to agree.

mod folders;

use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType};
use vmdk2kvm_offline_guest::{Filesystem, Free};
use vmdk2kvm_plugin_api::{BlockSource, Entry, FileKind, PluginError, Result, Stat};

use self::folders::Folders;
use crate::bytes::{cannot, damaged, known_only, le16, le32, read, read_into};
use crate::tree::{MAX_ENTRIES, MAX_FILE};

/// A journal, attributes, room to grow, indexed folders, few copies of the superblock, fast commits, stable numbers, a file of orphans.
const COMPAT: u64 = 0x1 | 0x4 | 0x8 | 0x10 | 0x20 | 0x200 | 0x400 | 0x800 | 0x1000;
/// Kinds in entries, a journal to replay, extents, 64 bits, flexible groups, a seed of its own.
const INCOMPAT: u64 = 0x2 | 0x4 | 0x40 | 0x80 | 0x200 | 0x2000;
/// Few copies of the superblock, large files, indexed folders, huge files, checksums of groups, many folders, large inodes, quotas, clusters,
/// checksums of metadata, a mark that it is for reading, quotas of projects, verity, orphans.
const RO_COMPAT: u64 =
    0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x8000 | 0x1_0000;
const RECOVER: u32 = 0x4;
const EXTENTS: u32 = 0x40;
const FAST_COMMIT: u32 = 0x400;
const METADATA_SUMS: u32 = 0x400;
const CLUSTERS: u32 = 0x200;

type Call = Box<dyn FnOnce(&Ext4) + Send>;

/// A filesystem.
pub struct Ext {
    calls: Mutex<Sender<Call>>,
    free: Free,
    unsealed: Option<Folders>,
}

impl Ext {
    /// Opens a filesystem that is known in all that it says of itself.
    pub fn open(source: Arc<dyn BlockSource>) -> Result<Self> {
        let raw = read(&source, 1024, 1024)?;
        let (blocks, block) = check(&raw, &source)?;
        let is_sealed = le32(&raw, 0x64) & METADATA_SUMS != 0;
        let unsealed = (!is_sealed).then(|| Folders::new(&raw, block, blocks, source.clone())).transpose()?;
        let (calls, waiting) = channel::<Call>();
        let (send, opened) = sync_channel(1);
        let serve = move || {
            let loaded = Ext4::load(Box::new(Device(source)));
            match answer(&send, loaded.map_err(failed)) {
                Some(filesystem) => waiting.iter().for_each(|call| call(&filesystem)),
                None => drop(waiting),
            }
        };
        let thread = thread::Builder::new().name("ext".to_owned()).spawn(serve);
        thread.map_err(|error| PluginError::io(format!("a thread for the filesystem did not start: {error}")))?;
        opened.recv().map_err(|_| gone())??;
        Ok(Self { calls: Mutex::new(calls), free: free(&raw, blocks, block), unsealed })
    }

    /// Whether a path is there by an own look, where one is needed.
    fn is_there(&self, path: &str) -> Result<Option<bool>> {
        self.unsealed.as_ref().map(|folders| Ok(folders.find(path)?.is_some())).transpose()
    }

    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&Ext4) -> Result<T> + Send + 'static) -> Result<T> {
        let (send, answered) = sync_channel(1);
        let call: Call = Box::new(move |filesystem| {
            // Whoever asked waits for it.
            let _ = send.send(ask(filesystem));
        });
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).send(call).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// Tells who opens it whether it went well.
fn answer(to: &SyncSender<Result<()>>, opened: Result<Ext4>) -> Option<Ext4> {
    let (told, filesystem) = match opened {
        Ok(filesystem) => (Ok(()), Some(filesystem)),
        Err(error) => (Err(error), None),
    };
    to.send(told).ok().and(filesystem)
}

fn gone() -> PluginError {
    cannot("the reader of the filesystem gave up on it")
}

/// Refuses what is not known. How many blocks there are, and how large they are.
fn check(raw: &[u8], source: &Arc<dyn BlockSource>) -> Result<(u64, u64)> {
    if le16(raw, 0x38) != 0xef53 {
        return Err(damaged("its superblock is damaged"));
    }
    let (compat, incompat, ro_compat) = (le32(raw, 0x5c), le32(raw, 0x60), le32(raw, 0x64));
    known_only("its features", compat.into(), COMPAT)?;
    known_only("its incompatible features", incompat.into(), INCOMPAT)?;
    known_only("its features for writing", ro_compat.into(), RO_COMPAT)?;
    let is_dirty = incompat & RECOVER != 0;
    if is_dirty && ro_compat & METADATA_SUMS == 0 {
        return Err(cannot("its journal has to be replayed and has no checksums to do it by, as after a power cut"));
    }
    if is_dirty && compat & FAST_COMMIT != 0 {
        return Err(cannot("its journal has to be replayed and has fast commits, as after a power cut"));
    }
    let blocks = wide(raw, 0x4, 0x150);
    let block = 1024u64
        .checked_shl(le32(raw, 0x18))
        .filter(|block| *block <= 65536)
        .ok_or_else(|| damaged("its blocks are too large"))?;
    if blocks.checked_mul(block).is_none_or(|end| end > source.size()) {
        return Err(damaged("its device is cut off"));
    }
    Ok((blocks, block))
}

fn wide(raw: &[u8], low: usize, high: usize) -> u64 {
    u64::from(le32(raw, high)) << 32 | u64::from(le32(raw, low))
}

/// The room that is left, where it is known.
fn free(raw: &[u8], blocks: u64, block: u64) -> Free {
    let (incompat, ro_compat) = (le32(raw, 0x60), le32(raw, 0x64));
    if incompat & RECOVER != 0 {
        return Free::default();
    }
    let (reserved, free) = (wide(raw, 0x8, 0x154), wide(raw, 0xc, 0x158));
    // What the kernel keeps for itself where it uses extents.
    let cluster = if ro_compat & CLUSTERS != 0 { le32(raw, 0x1c).saturating_sub(le32(raw, 0x18)).min(16) } else { 0 };
    let kept = if incompat & EXTENTS != 0 { ((blocks >> cluster) / 50).min(4096) << cluster } else { 0 };
    // More free than there are is a count that nobody kept, and no reason not to read: without checksums it is only a note.
    let bytes = (free <= blocks).then(|| free.saturating_sub(reserved).saturating_sub(kept) * block);
    Free { bytes, inodes: Some(le32(raw, 0x10).into()) }
}

impl Filesystem for Ext {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let is_there = self.is_there(path)?;
        let path = path.to_owned();
        let stat = self.ask(move |filesystem| {
            let found = match filesystem.symlink_metadata(path.as_str()) {
                Ok(found) => found,
                Err(Ext4Error::NotFound) => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            let kind = kind(found.file_type());
            let size = if kind == FileKind::File { found.len() } else { 0 };
            let mut stat = Stat::new(kind, size, u32::from(found.mode()) & 0o7777);
            (stat.uid, stat.gid) = (found.uid(), found.gid());
            Ok(Some(stat))
        })?;
        match is_there {
            Some(is_there) if is_there != stat.is_some() => Err(damaged("a folder and its index disagree")),
            _ => Ok(stat),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.is_there(path)?;
        let path = path.to_owned();
        self.ask(move |filesystem| {
            let mut file = filesystem.open(path.as_str()).map_err(failed)?;
            let size = file.metadata().len();
            if size > MAX_FILE {
                return Err(damaged(format!("it has more than {MAX_FILE} bytes")));
            }
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            let mut done = 0;
            while done < bytes.len() {
                match file.read_bytes(&mut bytes[done..]).map_err(failed)? {
                    0 => return Err(damaged("it ends before its size")),
                    count => done += count,
                }
            }
            Ok(bytes)
        })
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let names = self.unsealed.as_ref().map(|folders| folders.names(path)).transpose()?.flatten();
        let path = path.to_owned();
        self.ask(move |filesystem| {
            let mut entries = Vec::new();
            for entry in filesystem.read_dir(path.as_str()).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                let name: &[u8] = name.as_ref();
                if name == b"." || name == b".." {
                    continue;
                }
                if entries.len() >= MAX_ENTRIES {
                    return Err(damaged(format!("more than {MAX_ENTRIES} entries")));
                }
                if names.as_ref().is_some_and(|names| !names.contains_key(name)) {
                    return Err(damaged("a folder is read in two ways"));
                }
                entries.push(Entry::new(String::from_utf8_lossy(name), kind(entry.file_type().map_err(failed)?)));
            }
            if names.is_some_and(|names| names.len() != entries.len()) {
                return Err(damaged("a folder is read in two ways"));
            }
            Ok(entries)
        })
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.is_there(path)?;
        let path = path.to_owned();
        self.ask(move |filesystem| {
            let target = filesystem.read_link(path.as_str()).map_err(failed)?;
            let target: &[u8] = target.as_ref();
            Ok(String::from_utf8_lossy(target).into_owned())
        })
    }

    fn free(&self) -> Free {
        self.free
    }
}

fn kind(kind: FileType) -> FileKind {
    match kind {
        FileType::Regular => FileKind::File,
        FileType::Directory => FileKind::Dir,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

/// The source's own error is told as it is.
fn failed(error: Ext4Error) -> PluginError {
    match error {
        Ext4Error::Io(error) => match error.downcast::<PluginError>() {
            Ok(error) => *error,
            Err(error) => PluginError::io(error.to_string()),
        },
        Ext4Error::Incompatible(what) => cannot(format!("it is not read without an appliance: {what}")),
        error => damaged(error.to_string()),
    }
}

/// The device as the crate reads it.
struct Device(Arc<dyn BlockSource>);

impl Ext4Read for Device {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(read_into(&self.0, at, into)?)
    }
}
