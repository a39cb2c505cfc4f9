//! Opening what is inside of a tree, and nothing else: each path is resolved by the kernel with the tree as its root
//! (`openat2` with `RESOLVE_IN_ROOT`), so absolute symlinks and `..` stay inside whatever the tree says.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{self as unix, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use vmdk2kvm_plugin_api::paths::LINK_LIMIT;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// A tree of files.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// Where a path leads: the open folder, and a name in it that is no symlink.
#[derive(Debug)]
pub(crate) struct Place {
    pub folder: OwnedFd,
    pub name: String,
}

impl Tree {
    pub fn open(path: &str) -> Result<Self> {
        let root = unix::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| errno(path, error))?;
        Ok(Self { root })
    }

    /// A descriptor of what is at `path`, without opening it; `None` when there is nothing.
    pub fn look(&self, path: &str, follow: bool) -> Result<Option<OwnedFd>> {
        let last = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        self.openat2(path, OFlags::PATH | last)
    }

    /// The folder at `path`; `None` when there is none.
    pub fn folder(&self, path: &str) -> Result<Option<OwnedFd>> {
        self.openat2(path, OFlags::DIRECTORY | OFlags::RDONLY)
    }

    /// The regular file at `path`, open for reading; `None` when there is nothing. What is no regular file is not even opened:
    /// opening a device may do something, opening a FIFO may wait.
    pub fn file(&self, path: &str) -> Result<Option<File>> {
        let Some(found) = self.look(path, true)? else { return Ok(None) };
        let stat = unix::fstat(&found).map_err(|error| errno(path, error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            kind => return Err(PluginError::unusable(format!("{path}: not a regular file but {}", kind_word(kind)))),
        }
        let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = unix::open(itself, flags, Mode::empty()).map_err(|error| errno(path, error))?;
        Ok(Some(File::from(file)))
    }

    /// Reads a file of at most `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        read_file(file, path, limit).map(Some)
    }

    /// The folder of `path`, symlinks in its last part followed inside the tree; missing folders are made when `make`.
    pub fn place(&self, path: &str, make: bool) -> Result<Option<Place>> {
        let mut path = path.to_owned();
        for _ in 0..LINK_LIMIT {
            let (above, name) = split(&path)?;
            let (above, name) = (above.to_owned(), name.to_owned());
            let folder = match self.folder(&above)? {
                Some(folder) => folder,
                None if make => self.make_folders(&above)?,
                None => return Ok(None),
            };
            match unix::readlinkat(&folder, name.as_str(), Vec::new()) {
                Ok(to) => {
                    let to = to
                        .into_string()
                        .map_err(|_| PluginError::unusable(format!("{path}: a symlink that is not UTF-8")))?;
                    path = if to.starts_with('/') { to } else { format!("{above}/{to}") };
                }
                // No symlink, or nothing at all.
                Err(Errno::INVAL | Errno::NOENT) => return Ok(Some(Place { folder, name })),
                Err(error) => return Err(errno(&path, error)),
            }
        }
        Err(PluginError::unusable(format!("{path}: more than {LINK_LIMIT} symlinks")))
    }

    /// The folder of `path` and its name there, a symlink in its last part not followed.
    pub fn place_itself(&self, path: &str, make: bool) -> Result<Option<Place>> {
        let (above, name) = split(path)?;
        let folder = match self.folder(above)? {
            Some(folder) => folder,
            None if make => self.make_folders(above)?,
            None => return Ok(None),
        };
        Ok(Some(Place { folder, name: name.to_owned() }))
    }

    fn make_folders(&self, path: &str) -> Result<OwnedFd> {
        let mut at = String::new();
        let mut folder = self.folder("/")?.ok_or_else(|| PluginError::unusable("the tree is gone"))?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at = format!("{at}/{part}");
            folder = match self.folder(&at)? {
                Some(next) => next,
                None => {
                    // A dangling symlink is there already: making a folder beside it would not be what was asked for.
                    unix::mkdirat(&folder, part, Mode::from_raw_mode(0o755)).map_err(|error| errno(&at, error))?;
                    self.folder(&at)?.ok_or_else(|| PluginError::unusable(format!("{at}: cannot be made")))?
                }
            };
        }
        Ok(folder)
    }

    fn openat2(&self, path: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
        let path = if path.is_empty() { "/" } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            return match unix::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Ok(found) => Ok(Some(found)),
                Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
                // The kernel saw a rename while it resolved `..`.
                Err(Errno::AGAIN) => continue,
                Err(Errno::NOSYS) => Err(PluginError::missing(
                    "this kernel has no openat2, which keeps a guest's paths inside of its tree",
                )
                .hint("use Linux 5.6 or newer, or allow the call in the container's seccomp profile")),
                Err(error) => Err(errno(path, error)),
            };
        }
    }
}

/// Reads an open regular file of at most `limit` bytes.
pub(crate) fn read_file(file: File, path: &str, limit: u64) -> Result<Vec<u8>> {
    let too_large = || PluginError::unusable(format!("{path}: larger than {limit} bytes, the limit"));
    if file.metadata().map_err(|error| PluginError::from_io(path, &error))?.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| PluginError::from_io(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// What is at `name` in an open folder, symlinks not followed; `None` when there is nothing.
pub(crate) fn stat_in(folder: BorrowedFd<'_>, name: &str) -> Result<Option<unix::Stat>> {
    match unix::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(errno(name, error)),
    }
}

impl Place {
    /// What is there.
    pub fn stat(&self) -> Result<Option<unix::Stat>> {
        stat_in(self.folder.as_fd(), &self.name)
    }
}

/// A failed system call about a path.
pub(crate) fn errno(path: &str, error: Errno) -> PluginError {
    match error {
        Errno::LOOP => PluginError::unusable(format!("{path}: too many symlinks")),
        Errno::NAMETOOLONG => PluginError::unusable(format!("{path}: the name is too long")),
        error => PluginError::from_io(path, &std::io::Error::from(error)),
    }
}

/// Folder and last part of a path; the last part is a name.
fn split(path: &str) -> Result<(&str, &str)> {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some((folder, name)) if !matches!(name, "" | "." | "..") && !name.contains('\0') => Ok((folder, name)),
        _ => Err(PluginError::unusable(format!("\"{path}\" names no file of the guest"))),
    }
}

fn kind_word(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a folder",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::Symlink => "a symlink",
        _ => "a device",
    }
}

/// The folder itself as a path for programs that need one.
pub(crate) fn host_path(path: &str) -> Result<String> {
    let fd =
        unix::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|error| errno(path, error))?;
    let real = unix::readlinkat(CWD, format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())
        .map_err(|error| errno(path, error))?;
    real.into_string().map_err(|_| PluginError::unusable(format!("{path}: a path that is not UTF-8")))
}
