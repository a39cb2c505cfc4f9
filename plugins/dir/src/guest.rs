//! `DirGuest`: a [`Guest`] over a tree of files.

use rustix::fs::{self as unix, FileType};
use vmdk2kvm_plugin_api::model::{Applied, Change};
use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, PluginError, Result, Stat};

use crate::apply;
use crate::tree::{Tree, errno, stat_in};

/// A folder of more entries is no part of a system.
const ENTRY_LIMIT: usize = 1_000_000;

/// A guest that is a tree of files.
#[derive(Debug)]
pub struct DirGuest {
    pub(crate) tree: Tree,
    pub(crate) path: String,
    writable: bool,
}

impl DirGuest {
    /// Opens the tree at `path`, a folder of this machine. Nothing is changed unless it is `writable`.
    pub fn open(path: &str, writable: bool) -> Result<Self> {
        Ok(Self { tree: Tree::open(path)?, path: path.to_owned(), writable })
    }
}

impl Guest for DirGuest {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let Some(found) = self.tree.look(path, false)? else { return Ok(None) };
        let stat = unix::fstat(&found).map_err(|error| errno(path, error))?;
        Ok(Some(
            Stat::new(
                kind(FileType::from_raw_mode(stat.st_mode)),
                u64::try_from(stat.st_size).unwrap_or(0),
                stat.st_mode & 0o7777,
            )
            .with(|it| {
                it.uid = stat.st_uid;
                it.gid = stat.st_gid;
            }),
        ))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.tree.read(path, limit)
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let Some(folder) = self.tree.folder(path)? else { return Ok(None) };
        let mut entries = Vec::new();
        for entry in unix::Dir::read_from(&folder).map_err(|error| errno(path, error))? {
            let entry = entry.map_err(|error| errno(path, error))?;
            // A name that is not UTF-8 cannot be named in a plan; nothing that a system needs has one.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            if entries.len() == ENTRY_LIMIT {
                return Err(PluginError::unusable(format!("{path}: more than {ENTRY_LIMIT} entries, the limit")));
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match stat_in(std::os::fd::AsFd::as_fd(&folder), name)? {
                    Some(stat) => kind(FileType::from_raw_mode(stat.st_mode)),
                    None => continue,
                },
                known => kind(known),
            };
            entries.push(Entry::new(name.to_owned(), kind));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        let place = self.tree.place_itself(path, false)?;
        let place = place.ok_or_else(|| PluginError::unusable(format!("{path}: nothing is there")))?;
        let to = unix::readlinkat(&place.folder, place.name.as_str(), Vec::new()).map_err(|error| match error {
            rustix::io::Errno::INVAL => PluginError::unusable(format!("{path}: not a symlink")),
            error => errno(path, error),
        })?;
        to.into_string().map_err(|_| PluginError::unusable(format!("{path}: a symlink that is not UTF-8")))
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        if !self.writable {
            return Err(PluginError::defect(format!("{}: the guest was opened for reading only", change.target)));
        }
        apply::apply(self, change)
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn kind(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Dir,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}
