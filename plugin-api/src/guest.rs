//! `Guest`: the files of a guest operating system, wherever they are.
//!
//! Implemented offline by an appliance, live over SSH, and by a plain directory. Fixers only read; changes are plain data that
//! [`Guest::apply`] carries out.

mod overlay;
pub mod paths;

use serde::{Deserialize, Serialize};

use crate::model::{Applied, Change, Storage, grows};
use crate::{PluginError, Result};

pub use overlay::Overlay;

/// The largest text file that [`Guest::read_text`] reads, in bytes.
const TEXT_LIMIT: u64 = 16 << 20;

/// A guest's files.
///
/// Every path is absolute inside the guest, and symlinks are resolved inside the guest: no path leaves it. What is not a
/// regular file (a FIFO, a device, a folder) is an error of that call, never a hang.
pub trait Guest: Send + Sync {
    /// What is at `path`, not following a symlink in its last part; `None` when there is nothing.
    fn stat(&self, path: &str) -> Result<Option<Stat>>;

    /// The content of the regular file at `path`, symlinks followed inside the guest; `None` when there is nothing. A file
    /// larger than `limit` bytes is an error.
    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>>;

    /// The text of the regular file at `path`, as [`Guest::read`]; an error when it is not UTF-8 or larger than 16 MiB.
    fn read_text(&self, path: &str) -> Result<Option<String>> {
        let Some(bytes) = self.read(path, TEXT_LIMIT)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| PluginError::unusable(format!("{path}: it is not UTF-8 text")))
    }

    /// [`Guest::stat`] of several paths, in their order: one round trip where the guest is far away. An error is that of its own path.
    fn stat_many(&self, paths: &[&str]) -> Vec<Result<Option<Stat>>> {
        paths.iter().map(|path| self.stat(path)).collect()
    }

    /// [`Guest::read`] of several paths, in their order: one round trip where the guest is far away. An error is that of its own path.
    fn read_many(&self, paths: &[&str], limit: u64) -> Vec<Result<Option<Vec<u8>>>> {
        paths.iter().map(|path| self.read(path, limit)).collect()
    }

    /// Whether names that differ only in the case of letters name the same file.
    fn folds_case(&self) -> bool {
        false
    }

    /// Names and kinds of what is in the folder at `path`, sorted by name, without `.` and `..`; `None` when there is no
    /// such folder.
    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>>;

    /// Where the symlink at `path` points to, as stored.
    fn read_link(&self, path: &str) -> Result<String>;

    /// What the guest's filesystems lie on. A guest that is no disks, or that does not know, says so by [`Storage::unknown`].
    fn storage(&self) -> Result<Storage> {
        Ok(Storage::unknown())
    }

    /// Carries out one change. Reads back what it can. An error leaves the guest as before this change.
    fn apply(&self, change: &Change) -> Result<Applied>;

    /// Carries out the changes of a plan, in their order, so that all of them stand or none: after an error, and after one that the guest
    /// only hears of later (a connection that is cut), the guest is as before, or comes to be so by the next call. The answers are those of
    /// [`Guest::apply`], in the order of the changes.
    /// [`ErrorKind::Cannot`](crate::ErrorKind::Cannot): it has no means to do that.
    fn apply_all(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        let _ = changes;
        Err(PluginError::cannot("carrying out a plan as a whole"))
    }

    /// Gives the blocks that no filesystem of the guest uses back to its images, so that deleted data takes no room there. Called once, after
    /// changes were applied. What cannot be given back, for whatever reason, stays, and is no error.
    fn discard_unused(&self) -> Result<()> {
        Ok(())
    }

    /// Writes everything out and lets go of the disks. No call may follow.
    fn close(&self) -> Result<()>;
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stat {
    /// Kind.
    pub kind: FileKind,
    /// Size in bytes of a regular file.
    pub size: u64,
    /// Permission bits (`0o7777` mask).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Stat {
    /// Something of a kind, a size in bytes and permission bits, that root owns.
    pub const fn new(kind: FileKind, size: u64, mode: u32) -> Self {
        Self { kind, size, mode, uid: 0, gid: 0 }
    }
}

/// Kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Regular file.
    File,
    /// Folder.
    Dir,
    /// Symbolic link.
    Symlink,
    /// Device, FIFO, socket.
    Other,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Name without its folder.
    pub name: String,
    /// Kind, symlinks not followed.
    pub kind: FileKind,
}

impl Entry {
    /// A name and what it is.
    pub fn new(name: impl Into<String>, kind: FileKind) -> Self {
        Self { name: name.into(), kind }
    }
}

grows!(Stat, Entry);
