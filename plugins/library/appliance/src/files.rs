//! The guest's files: names resolved inside the guest, kinds checked before anything is opened, answers kept.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmdk2kvm_plugin_api::paths::{self, Names, join, name, parent};
use vmdk2kvm_plugin_api::{Entry, FileKind, PluginError, Result};

use crate::appliance::Appliance;
use crate::binding::{CallError, FileStat};
use crate::cache::Cache;

/// Largest piece of one call, in bytes: below the protocol's limit of 4 MiB for one message.
const PIECE: u32 = 3 << 20;
/// Folders up to this many entries have all their entries looked at in one call.
const MAX_BATCH: usize = 1000;
/// Most entries of one folder.
const MAX_ENTRIES: usize = 200_000;

/// The files of a mounted guest.
pub struct Files {
    pub(crate) appliance: Appliance,
    pub(crate) work_dir: PathBuf,
    cache: Mutex<Cache>,
    folds_case: AtomicBool,
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Something is there.
    Found {
        /// Path without symlinks in its folders.
        path: String,
        /// What.
        stat: FileStat,
    },
    /// Nothing is there, but its folder is.
    Vacant {
        /// Path without symlinks in its folders.
        path: String,
    },
    /// Not even its folder is there.
    Nowhere,
}

impl Files {
    /// The files of what is mounted in this appliance.
    pub fn new(appliance: Appliance, work_dir: PathBuf) -> Self {
        Self { appliance, work_dir, cache: Mutex::new(Cache::default()), folds_case: AtomicBool::new(false) }
    }

    /// What is kept of the guest.
    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether names that differ only in the case of letters name the same file.
    pub fn folds_case(&self) -> bool {
        self.folds_case.load(Ordering::Relaxed)
    }

    /// From now on they do, whatever the driver that mounted the files says.
    pub fn fold_case(&self) {
        self.folds_case.store(true, Ordering::Relaxed);
    }

    /// The path as its parts are spelled in their folders, as far as they are there.
    fn spelled(&self, path: &str) -> Result<String> {
        let (mut at, mut is_there) = ("/".to_owned(), true);
        for part in paths::parts(path) {
            let mut next = join(&at, part);
            if is_there && part != ".." && self.look(&next)?.is_none() {
                let is_folder = at == "/" || self.look(&at)?.is_some_and(|found| found.stat.kind == FileKind::Dir);
                let entries = if is_folder { self.entries(&at)? } else { Arc::default() };
                let folded = part.to_uppercase();
                match entries.iter().find(|entry| entry.name.to_uppercase() == folded) {
                    Some(entry) => next = join(&at, &entry.name),
                    None => is_there = false,
                }
            }
            at = next;
        }
        Ok(at)
    }

    /// Resolves a path inside the guest; a symlink in its last part only when `follow`.
    pub fn resolve(&self, path: &str, follow: bool) -> Result<Place> {
        let spelled = if self.folds_case() && path.starts_with('/') { Some(self.spelled(path)?) } else { None };
        Ok(match paths::resolve(self, spelled.as_deref().unwrap_or(path), follow)? {
            paths::Place::Found { path, .. } => {
                let stat = self.look(&path)?.ok_or_else(|| PluginError::defect(format!("{path}: it has gone")))?;
                Place::Found { path, stat }
            }
            paths::Place::Vacant { path } => Place::Vacant { path },
            paths::Place::Nowhere { .. } => Place::Nowhere,
        })
    }

    /// The content of the regular file at a resolved path.
    pub fn content(&self, path: &str, stat: &FileStat, limit: u64) -> Result<Arc<Vec<u8>>> {
        if stat.stat.kind != FileKind::File {
            return Err(PluginError::unusable(format!("{path}: not a regular file")));
        }
        if stat.stat.size > limit {
            return Err(PluginError::unusable(format!(
                "{path}: {} bytes, more than the {limit} that are read",
                stat.stat.size
            )));
        }
        if let Some(kept) = self.cache().content(path, stat) {
            return Ok(kept);
        }
        let bytes = Arc::new(self.fetch(path, stat.stat.size)?);
        self.cache().put_content(path, stat, &bytes);
        Ok(bytes)
    }

    /// Reads `size` bytes of the regular file at a resolved path, past what is kept.
    pub(crate) fn fetch(&self, path: &str, size: u64) -> Result<Vec<u8>> {
        self.fetch_from(path, 0, size)
    }

    /// Reads the bytes from `begin` to `end`.
    pub(crate) fn fetch_from(&self, path: &str, begin: u64, end: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = begin;
        while at < end {
            let count = u32::try_from(end - at).unwrap_or(u32::MAX).min(PIECE);
            let piece = self.appliance.transfer(|handle| handle.pread(path, count, at))?;
            if piece.is_empty() {
                return Err(PluginError::io(format!("{path}: it ends at byte {at}, before its size of {end}")));
            }
            at += piece.len() as u64;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// What is in the folder at a resolved path, sorted by name.
    pub fn entries(&self, path: &str) -> Result<Arc<Vec<Entry>>> {
        if let Some(kept) = self.cache().folder(path) {
            return Ok(kept);
        }
        let found = self.appliance.call(|handle| handle.readdir(path))?;
        if found.len() > MAX_ENTRIES {
            return Err(PluginError::unusable(format!("{path}: more than {MAX_ENTRIES} entries")));
        }
        let mut entries = Vec::with_capacity(found.len());
        for entry in found {
            let kind = match entry.kind {
                Some(kind) => kind,
                // Some filesystems do not say in the folder what an entry is.
                None => match self.ask(&join(path, &entry.name))? {
                    Some(stat) => stat.stat.kind,
                    None => continue,
                },
            };
            entries.push(Entry::new(entry.name, kind));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let entries = Arc::new(entries);
        self.cache().put_folder(path, entries.clone());
        Ok(entries)
    }

    /// Where the symlink at a resolved path points to.
    pub fn link_at(&self, path: &str) -> Result<String> {
        if let Some(kept) = self.cache().link(path) {
            return Ok(kept.clone());
        }
        let to = self.appliance.call(|handle| handle.readlink(path))?;
        self.cache().put_link(path, &to);
        Ok(to)
    }

    /// What is at a path whose folders hold no symlinks.
    pub fn look(&self, path: &str) -> Result<Option<FileStat>> {
        let folder = parent(path);
        let read_all = {
            let mut cache = self.cache();
            if let Some(known) = cache.stat(path) {
                return Ok(known);
            }
            if path != "/" && cache.absent(folder, name(path)) {
                return Ok(None);
            }
            cache.asked_about(folder)
        };
        if read_all && path != "/" {
            self.look_at_all(folder)?;
            if let Some(known) = self.cache().stat(path) {
                return Ok(known);
            }
        }
        let found = self.ask(path)?;
        self.cache().put_stat(path, found);
        Ok(found)
    }

    /// Reads a folder and what its entries are, in two calls.
    fn look_at_all(&self, folder: &str) -> Result<()> {
        let entries = self.entries(folder)?;
        if entries.len() > MAX_BATCH {
            return Ok(());
        }
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let found = self.appliance.call(|handle| handle.lstat_list(folder, &names))?;
        let mut cache = self.cache();
        for (name, stat) in names.iter().zip(found) {
            cache.put_stat(&join(folder, name), stat);
        }
        Ok(())
    }

    fn ask(&self, path: &str) -> Result<Option<FileStat>> {
        absent(self.appliance.call(|handle| handle.lstat(path)))
    }
}

impl Names for Files {
    fn kind(&self, path: &str) -> Result<Option<FileKind>> {
        Ok(self.look(path)?.map(|found| found.stat.kind))
    }

    fn link(&self, path: &str) -> Result<String> {
        self.link_at(path)
    }
}

/// Turns "there is no such file" into `None`.
pub fn absent<T>(result: Result<T, CallError>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
