//! Opening files beneath a folder, and nowhere else.
//!
//! Owns the one place where a path that came from a source meets the file system. The kernel does the work (`openat2` with
//! `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` and `RESOLVE_NO_MAGICLINKS`); where it cannot, each part is opened in turn without
//! following symlinks. What was opened must be a regular file.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::file_source::FileSource;
use crate::names::shown_path;

/// A read that never waits (a FIFO) and never follows a link in the last part.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// The most entries of a folder that are looked at for a name.
const MAX_ENTRIES: usize = 100_000;

/// A folder that files are opened beneath.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    dir: OwnedFd,
}

impl Folder {
    /// Opens the folder at `path`, which is the user's word and already canonical.
    pub fn open(path: &Path) -> Result<Self> {
        // O_PATH: a folder that may be passed through but not listed is enough.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|error| PluginError::from_io(shown_path(path), &error.into()))?;
        Ok(Self { path: path.to_owned(), dir })
    }

    /// Its canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the regular file at `relative` (plain parts only, see `names::relative`).
    pub fn open_file(&self, relative: &Path) -> Result<File> {
        self.open_with(relative, Self::openat2)
    }

    /// Opens the regular file at `relative` as a source.
    pub fn open_source(&self, relative: &str) -> Result<FileSource> {
        let relative = Path::new(relative);
        FileSource::new(self.open_file(relative)?, shown_path(&self.path.join(relative)))
    }

    /// Whether there is a regular file at `relative`; says nothing about the way there, which opening proves.
    pub fn has_file(&self, relative: &str) -> bool {
        rustix::fs::statat(&self.dir, relative, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    /// The files right in the folder of `with` whose name begins so. Says nothing about the way there, which opening proves.
    pub fn names_beginning(&self, with: &str) -> Vec<String> {
        let (folder, start) = with.rsplit_once('/').map_or(("", with), |(folder, start)| (folder, start));
        let Ok(entries) = std::fs::read_dir(self.path.join(folder)) else { return Vec::new() };
        let names = entries.take(MAX_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let beneath = |name: String| if folder.is_empty() { name } else { format!("{folder}/{name}") };
        names.filter(|name| name.starts_with(start)).map(beneath).collect()
    }

    fn open_with(&self, relative: &Path, open: fn(&Self, &Path) -> rustix::io::Result<OwnedFd>) -> Result<File> {
        let full = self.path.join(relative);
        // Before anything is opened: opening a device can already do something to it. The check that counts comes after.
        if let Ok(stat) = rustix::fs::statat(&self.dir, relative, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            regular(&full, FileType::from_raw_mode(stat.st_mode))?;
        }
        let fd = open(self, relative).map_err(|error| refusal(&full, error))?;
        let stat = rustix::fs::fstat(&fd).map_err(|error| PluginError::from_io(shown_path(&full), &error.into()))?;
        regular(&full, FileType::from_raw_mode(stat.st_mode))?;
        Ok(File::from(fd))
    }

    fn openat2(&self, relative: &Path) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // EAGAIN: a rename elsewhere kept the kernel from proving that the path stays beneath. The manual says to try again.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.dir, relative, READ, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                // Before Linux 5.6, or forbidden by an older container's system call filter (EPERM).
                Err(Errno::NOSYS | Errno::PERM) => return self.part_by_part(relative),
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    fn part_by_part(&self, relative: &Path) -> rustix::io::Result<OwnedFd> {
        let mut parts = Vec::new();
        for part in relative.components() {
            match part {
                Component::Normal(part) => parts.push(part),
                _ => return Err(Errno::XDEV),
            }
        }
        let Some((last, folders)) = parts.split_last() else { return Err(Errno::ISDIR) };
        let mut at: Option<OwnedFd> = None;
        for folder in folders {
            let here = at.as_ref().map_or(self.dir.as_fd(), AsFd::as_fd);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            at = Some(rustix::fs::openat(here, *folder, flags, Mode::empty())?);
        }
        rustix::fs::openat(at.as_ref().map_or(self.dir.as_fd(), AsFd::as_fd), *last, READ, Mode::empty())
    }
}

/// Says what it is when it is no regular file.
fn regular(path: &Path, kind: FileType) -> Result<()> {
    let what = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link, which is not followed",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "of an unknown kind",
    };
    Err(PluginError::unusable(format!("{}: it is {what}, not a regular file", shown_path(path)))
        .hint("copy the data into a regular file beside the others"))
}

/// A failed opening, with the reasons that concern the path itself put into words.
fn refusal(path: &Path, error: Errno) -> PluginError {
    let shown = shown_path(path);
    match error {
        Errno::NOENT | Errno::NOTDIR => PluginError::unusable(format!("{shown}: there is no such file"))
            .hint("copy all files of the virtual machine into one folder"),
        Errno::LOOP => {
            PluginError::unusable(format!("{shown}: the path leads through a symbolic link, which is not followed"))
                .hint("put the file itself in the place of the link")
        }
        Errno::XDEV => PluginError::unusable(format!("{shown}: the path leads outside of the source's folder"))
            .hint("copy the file into the source's folder"),
        Errno::ACCESS | Errno::PERM => PluginError::new(ErrorKind::Auth, format!("{shown}: no permission to read it"))
            .hint("run as a user who may read the file, or change its permissions"),
        Errno::NAMETOOLONG => PluginError::unusable(format!("{shown}: the name is too long for a file"))
            .hint("give the file a shorter name, also where it is referred to"),
        error => PluginError::from_io(shown, &error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Both ways of opening, held against the same table.
    #[test]
    fn only_regular_files_beneath_the_folder_are_opened_either_way() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("plain"), "plain").unwrap();
        std::fs::write(root.join("sub/deep"), "deep").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        std::os::unix::fs::symlink("plain", root.join("inner-link")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let folder = Folder::open(&root).unwrap();
        let ways: [fn(&Folder, &Path) -> rustix::io::Result<OwnedFd>; 2] = [Folder::openat2, Folder::part_by_part];
        for way in ways {
            for (name, expected) in [
                ("plain", Ok("plain")),
                ("sub/deep", Ok("deep")),
                ("link", Err("it is a symbolic link, which is not followed, not a regular file")),
                ("inner-link", Err("it is a symbolic link, which is not followed, not a regular file")),
                ("up/secret", Err("")),
                ("../secret", Err("the path leads outside of the source's folder")),
                ("fifo", Err("it is a FIFO, not a regular file")),
                ("sub", Err("it is a folder, not a regular file")),
                ("nothing", Err("there is no such file")),
                ("plain/x", Err("there is no such file")),
            ] {
                match (folder.open_with(Path::new(name), way), expected) {
                    (Ok(mut file), Ok(content)) => {
                        let mut text = String::new();
                        file.read_to_string(&mut text).unwrap();
                        assert_eq!(text, content);
                    }
                    (Err(error), Err(message)) => {
                        assert_eq!(error.kind, ErrorKind::Unusable, "{name}");
                        assert!(error.message.ends_with(message), "{name}: {error}");
                        assert!(error.message.contains(name), "{name}: {error}");
                    }
                    (got, _) => panic!("{name}: {got:?}"),
                }
            }
        }
    }
}
