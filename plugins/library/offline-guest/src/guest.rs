//! Filesystems that are read without being mounted, as a guest: what is mounted where is looked up here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmdk2kvm_plugin_api::model::{Applied, Change, MountInfo, Storage};
use vmdk2kvm_plugin_api::paths::{self, Names, Place};
use vmdk2kvm_plugin_api::{Entry, ErrorKind, FileKind, Guest, PluginError, Result, Stat};

use crate::filesystem::Filesystem;
use crate::mounter::Mounter;
use crate::volumes::Volume;

/// Most entries of one folder.
const MAX_ENTRIES: usize = 200_000;
/// Most bytes of file contents that are kept.
const MAX_KEPT: usize = 32 << 20;

/// Opens the filesystem on a volume; of a btrfs the subvolume at a path, or the one that it shows by itself. `None`: there is no such
/// subvolume.
pub type Open = dyn Fn(&Volume, Option<&str>) -> Result<Option<Arc<dyn Filesystem>>>;

/// A filesystem at its place.
#[derive(Clone)]
struct Mounted {
    info: MountInfo,
    /// Its mount point without symlinks.
    place: String,
    filesystem: Arc<dyn Filesystem>,
}

impl Mounted {
    /// With the room that is left, which is not counted before somebody asks.
    fn info(&self) -> MountInfo {
        let free = self.filesystem.free();
        self.info.clone().with(|it| (it.free_bytes, it.free_inodes) = (free.bytes, free.inodes))
    }
}

/// What is shown at the moment: filesystems at their places, the first at `/`. The first error of reading ends it for good, since whoever
/// goes on after it may take what cannot be read for what is not there.
#[derive(Default)]
pub struct View {
    mounts: Vec<Mounted>,
    folds_case: bool,
    kept: Mutex<Kept>,
    failure: Arc<Mutex<Option<PluginError>>>,
}

#[derive(Default)]
struct Kept {
    stats: HashMap<String, Option<Stat>>,
    folders: HashMap<String, Arc<Vec<Entry>>>,
    contents: HashMap<String, Arc<Vec<u8>>>,
    bytes: usize,
}

impl View {
    fn of(mounts: Vec<Mounted>, folds_case: bool, failure: &Arc<Mutex<Option<PluginError>>>) -> Arc<Self> {
        Arc::new(Self { mounts, folds_case, kept: Mutex::default(), failure: failure.clone() })
    }

    /// Whether a path is the top of a guest that has no root there, but filesystems beside each other.
    fn is_bare_top(&self, path: &str) -> bool {
        path == "/" && !self.mounts.is_empty() && self.mounts.iter().all(|mount| mount.place != "/")
    }

    /// The rest of a path below the place of a mount.
    fn below<'a>(&self, mount: &Mounted, path: &'a str) -> Option<&'a str> {
        if mount.place == "/" {
            return Some(path);
        }
        let (begin, rest) = path.split_at_checked(mount.place.len())?;
        let is_it = begin == mount.place || self.folds_case && begin.eq_ignore_ascii_case(&mount.place);
        Some(rest).filter(|rest| is_it && (rest.is_empty() || rest.starts_with('/')))
    }

    /// The first error of reading, as an answer that lets another reader try.
    pub fn check(&self) -> Result<()> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The filesystem that a path lies in, its device, and the path in it.
    fn inside<'a>(&self, path: &'a str) -> Result<(&Mounted, &'a str)> {
        let found = self.mounts.iter().filter_map(|mount| Some((mount, self.below(mount, path)?)));
        let (mount, rest) = found
            .max_by_key(|(mount, _)| mount.place.len())
            .ok_or_else(|| PluginError::unusable(format!("{path}: nothing is mounted")))?;
        Ok((mount, if rest.is_empty() { "/" } else { rest }))
    }

    /// Asks the filesystem of a path, and remembers an error.
    fn ask<T>(&self, path: &str, ask: impl FnOnce(&dyn Filesystem, &str) -> Result<T>) -> Result<T> {
        self.check()?;
        let (mount, rest) = self.inside(path)?;
        ask(mount.filesystem.as_ref(), rest).map_err(|error| {
            let mut error = error.context(format_args!("{}: {rest}", mount.info.device));
            note(&self.failure, &mut error);
            error
        })
    }

    fn look(&self, path: &str) -> Result<Option<Stat>> {
        if let Some(known) = self.kept().stats.get(path) {
            return Ok(*known);
        }
        let found = if self.is_bare_top(path) {
            Some(Stat::new(FileKind::Dir, 0, 0o755))
        } else if self.is_bare_top("/") && self.inside(path).is_err() {
            None
        } else {
            self.ask(path, |filesystem, path| filesystem.stat(path))?
        };
        self.kept().stats.insert(path.to_owned(), found);
        Ok(found)
    }

    fn entries(&self, path: &str) -> Result<Arc<Vec<Entry>>> {
        if let Some(known) = self.kept().folders.get(path) {
            return Ok(known.clone());
        }
        let mut entries = if self.is_bare_top(path) {
            let place = |mount: &Mounted| Entry::new(mount.place.trim_start_matches('/'), FileKind::Dir);
            self.mounts.iter().map(place).collect()
        } else {
            self.ask(path, |filesystem, path| filesystem.list(path))?
        };
        if entries.len() > MAX_ENTRIES {
            return Err(PluginError::unusable(format!("{path}: more than {MAX_ENTRIES} entries")));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let entries = Arc::new(entries);
        self.kept().folders.insert(path.to_owned(), entries.clone());
        Ok(entries)
    }

    fn content(&self, path: &str, size: u64) -> Result<Arc<Vec<u8>>> {
        if let Some(known) = self.kept().contents.get(path) {
            return Ok(known.clone());
        }
        let bytes = Arc::new(self.ask(path, |filesystem, path| {
            let bytes = filesystem.read(path)?;
            if bytes.len() as u64 == size {
                Ok(bytes)
            } else {
                Err(PluginError::unusable(format!("{} of {size} bytes were read", bytes.len())))
            }
        })?);
        let mut kept = self.kept();
        if kept.bytes + bytes.len() <= MAX_KEPT {
            kept.bytes += bytes.len();
            kept.contents.insert(path.to_owned(), bytes.clone());
        }
        Ok(bytes)
    }
}

/// Keeps the first error. A failure of this reader is no verdict on the guest: another one may read it.
fn note(failure: &Mutex<Option<PluginError>>, error: &mut PluginError) {
    if error.kind != ErrorKind::Interrupted {
        error.kind = ErrorKind::Cannot;
    }
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
}

impl Names for View {
    fn kind(&self, path: &str) -> Result<Option<FileKind>> {
        Ok(self.look(path)?.map(|found| found.kind))
    }

    fn link(&self, path: &str) -> Result<String> {
        self.ask(path, |filesystem, path| filesystem.read_link(path))
    }
}

/// The files of what is shown, for reading.
pub struct OfflineGuest {
    view: Arc<View>,
    storage: Storage,
}

impl OfflineGuest {
    /// The guest of what is mounted, whose storage was looked at.
    pub fn new(view: Arc<View>, storage: Storage) -> Self {
        Self { view, storage }
    }
}

impl Guest for OfflineGuest {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        match paths::resolve(self.view.as_ref(), path, false)? {
            Place::Found { path, .. } => self.view.look(&path),
            Place::Vacant { .. } | Place::Nowhere { .. } => Ok(None),
        }
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Place::Found { path: real, .. } = paths::resolve(self.view.as_ref(), path, true)? else { return Ok(None) };
        let Some(stat) = self.view.look(&real)? else { return Ok(None) };
        // The caller knows the name it asked for.
        let named = |error: PluginError| if real == path { error } else { error.context(path) };
        if stat.kind != FileKind::File {
            return Err(named(PluginError::unusable(format!("{real}: not a regular file"))));
        }
        if stat.size > limit {
            let message = format!("{real}: {} bytes, more than the {limit} that are read", stat.size);
            return Err(named(PluginError::unusable(message)));
        }
        self.view.content(&real, stat.size).map(|bytes| Some(Arc::unwrap_or_clone(bytes))).map_err(named)
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        match paths::resolve(self.view.as_ref(), path, true)? {
            Place::Found { path, kind: FileKind::Dir } => Ok(Some(self.view.entries(&path)?.as_ref().clone())),
            _ => Ok(None),
        }
    }

    fn folds_case(&self) -> bool {
        self.view.folds_case
    }

    fn read_link(&self, path: &str) -> Result<String> {
        match paths::resolve(self.view.as_ref(), path, false)? {
            Place::Found { path, kind: FileKind::Symlink } => self.view.link(&path),
            _ => Err(PluginError::unusable(format!("{path}: not a symlink"))),
        }
    }

    fn storage(&self) -> Result<Storage> {
        Ok(self.storage.clone())
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        Err(PluginError::defect(format!("{}: the guest was opened for reading only", change.target)))
    }

    /// The first error of reading, where there was one: nothing that was read before can be relied on without what came after it.
    fn close(&self) -> Result<()> {
        self.view.check()
    }
}

/// A [`Mounter`] over filesystems that are read without being mounted.
pub struct Reader {
    open: Box<Open>,
    shown: Option<(String, String, Arc<dyn Filesystem>)>,
    mounts: Vec<Mounted>,
    folds_case: bool,
    view: Arc<View>,
}

impl Reader {
    /// Nothing is shown yet.
    pub fn new(open: Box<Open>) -> Self {
        Self { open, shown: None, mounts: Vec::new(), folds_case: false, view: Arc::default() }
    }

    /// What is mounted.
    pub fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// The filesystem, or `None` where it has no such subvolume.
    fn open(&self, volume: &Volume, extra: &str) -> Result<Option<Arc<dyn Filesystem>>> {
        self.view.check()?;
        let opened = (self.open)(volume, extra.strip_prefix("subvol="));
        opened.map_err(|error| self.failed(error.context(&volume.device)))
    }

    fn failed(&self, mut error: PluginError) -> PluginError {
        note(&self.view.failure, &mut error);
        error
    }

    fn show(&mut self, mounts: Vec<Mounted>) {
        self.view = View::of(mounts, self.folds_case, &self.view.failure);
    }
}

impl Mounter for Reader {
    fn look(&mut self, volume: &Volume, extra: &str) -> Result<()> {
        self.look_away()?;
        let no_subvolume = || PluginError::unusable(format!("{}: nothing is at {extra}", volume.device));
        let filesystem = self.open(volume, extra)?.ok_or_else(no_subvolume)?;
        self.shown = Some((volume.device.clone(), extra.to_owned(), filesystem.clone()));
        self.show(vec![mounted(volume, "/", filesystem)]);
        Ok(())
    }

    fn look_away(&mut self) -> Result<()> {
        if self.shown.take().is_some() {
            self.show(Vec::new());
        }
        Ok(())
    }

    fn take_root(&mut self, volume: &Volume, extra: &str) -> Result<()> {
        let is_shown = |(device, shown, _): &&(String, String, _)| *device == volume.device && shown == extra;
        if self.shown.as_ref().filter(is_shown).is_none() {
            self.look(volume, extra)?;
        }
        if let Some((.., filesystem)) = self.shown.take() {
            self.mounts = vec![mounted(volume, "/", filesystem)];
            self.show(self.mounts.clone());
        }
        Ok(())
    }

    /// What cannot be mounted here may be mounted by another reader, and says so in its own words: it is a failure of this one.
    fn mount(&mut self, volume: &Volume, mountpoint: &str, extra: &str) -> Result<()> {
        let refused = |what: &str| self.failed(PluginError::unusable(format!("{mountpoint}: {what}")));
        // As mount(8) does: a folder, reached through the guest's own symlinks.
        let place = match paths::resolve(self.view.as_ref(), mountpoint, true)? {
            Place::Found { path, kind: FileKind::Dir } => path,
            _ => return Err(refused("there is no such folder to mount on")),
        };
        let filesystem = self.open(volume, extra)?.ok_or_else(|| refused("there is no such subvolume"))?;
        let mut mount = mounted(volume, mountpoint, filesystem);
        mount.place = place;
        self.mounts.push(mount);
        self.show(self.mounts.clone());
        Ok(())
    }

    fn mount_beside(&mut self, volume: &Volume, mountpoint: &str) -> Result<()> {
        self.look_away()?;
        let nothing = || self.failed(PluginError::unusable(format!("{}: nothing is there", volume.device)));
        let filesystem = self.open(volume, "")?.ok_or_else(nothing)?;
        self.mounts.push(mounted(volume, mountpoint, filesystem));
        self.show(self.mounts.clone());
        Ok(())
    }

    fn fold_case(&mut self) {
        self.folds_case = true;
    }

    fn head(&self, path: &str, bytes: u64) -> Result<Option<Vec<u8>>> {
        let Place::Found { path, kind } = paths::resolve(self.view.as_ref(), path, true)? else { return Ok(None) };
        if kind != FileKind::File {
            return Err(PluginError::unusable(format!("{path}: not a regular file")));
        }
        self.view.ask(&path, |filesystem, path| filesystem.head(path, bytes)).map(Some)
    }

    fn files(&self) -> Box<dyn Guest> {
        Box::new(OfflineGuest::new(self.view.clone(), Storage::unknown()))
    }

    fn read_only_subvolumes(&self) -> Result<Vec<String>> {
        let read_only = self.mounts.iter().filter(|mount| mount.filesystem.is_read_only());
        Ok(read_only.map(|mount| mount.info.mountpoint.clone()).collect())
    }

    fn infos(&self) -> Result<Vec<MountInfo>> {
        Ok(self.mounts.iter().map(Mounted::info).collect())
    }
}

fn mounted(volume: &Volume, mountpoint: &str, filesystem: Arc<dyn Filesystem>) -> Mounted {
    let info = MountInfo::new(volume.device.clone(), mountpoint, volume.fstype.clone());
    let info = info.with(|it| it.uuid = volume.uuid.clone());
    Mounted { info, place: mountpoint.to_owned(), filesystem }
}

#[cfg(test)]
mod tests;
