//! The operations by which a run changes what must survive a crash: create, write, cut, sync, rename, remove.
//!
//! All of them in one place, so that a test can stop, tear or fail each (see `crash`). Owns no policy: what is synced before what is for
//! the callers. Errors are the system's own; callers say which file they are about.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, RenameFlags, renameat_with};

#[cfg(test)]
use super::crash::before;

/// An operation that is about to be carried out.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "only a simulated crash reads them"))]
pub(super) enum Step<'a> {
    Create(&'a Path),
    Write { path: &'a Path, file: &'a File, bytes: &'a [u8], offset: u64 },
    SetLength { path: &'a Path, length: u64 },
    Zero { path: &'a Path, offset: u64, length: u64 },
    Sync(&'a Path),
    SyncFolder(&'a Path),
    Rename { from: &'a Path, to: &'a Path },
    Remove(&'a Path),
}

/// Whether the operation is still to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Go,
    #[cfg_attr(not(test), expect(dead_code, reason = "only a simulated disk carries them out itself"))]
    Done,
}

#[cfg(not(test))]
fn before(_: Step<'_>) -> io::Result<Then> {
    Ok(Then::Go)
}

fn carry_out(step: Step<'_>, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match before(step)? {
        Then::Go => work(),
        Then::Done => Ok(()),
    }
}

/// A file of the run, mode 0600, opened for reading and writing.
#[derive(Debug)]
pub struct DurableFile {
    file: File,
    path: PathBuf,
}

impl DurableFile {
    /// Makes a file whose name must be free.
    pub fn create(path: &Path) -> io::Result<Self> {
        before(Step::Create(path))?;
        let file = options().create_new(true).open(path)?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Opens a regular file that is there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = options().open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "is not a regular file"));
        }
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Opens a block device.
    pub fn open_device(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(path)?;
        if !file.metadata()?.file_type().is_block_device() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "is not a block device"));
        }
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Its path when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, for what changes nothing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let step = Step::Write { path: &self.path, file: &self.file, bytes, offset };
        carry_out(step, || self.file.write_all_at(bytes, offset))
    }

    /// Cuts the file, or lengthens it by zeros.
    pub fn set_length(&self, length: u64) -> io::Result<()> {
        carry_out(Step::SetLength { path: &self.path, length }, || self.file.set_len(length))
    }

    /// Makes a range read as zeros, without writing them: false where that is not possible.
    pub fn discard(&self, offset: u64, length: u64) -> io::Result<bool> {
        match self.allocate(FallocateFlags::PUNCH_HOLE, offset, length) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Makes a range read as zeros, which may take as long as to write them.
    pub fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        self.allocate(FallocateFlags::ZERO_RANGE, offset, length)
    }

    fn allocate(&self, how: FallocateFlags, offset: u64, length: u64) -> io::Result<()> {
        let how = how | FallocateFlags::KEEP_SIZE;
        carry_out(Step::Zero { path: &self.path, offset, length }, || {
            Ok(rustix::fs::fallocate(&self.file, how, offset, length)?)
        })
    }

    /// Waits until all that was written is on the disk, and the length with it.
    pub fn sync(&self) -> io::Result<()> {
        carry_out(Step::Sync(&self.path), || self.file.sync_data())
    }
}

fn options() -> std::fs::OpenOptions {
    let mut options = File::options();
    // Without O_NONBLOCK opening a FIFO would wait for its other end.
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    options
}

/// Waits until the names in a folder are on the disk.
pub(super) fn sync_names(folder: &Path) -> io::Result<()> {
    carry_out(Step::SyncFolder(folder), || File::open(folder)?.sync_all())
}

/// Gives a file another name, in place of a file that may have it.
pub(super) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    carry_out(Step::Rename { from, to }, || std::fs::rename(from, to))
}

/// Gives a file another name, which must be free.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    carry_out(Step::Rename { from, to }, || match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems without that flag: link is as exclusive.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to).and_then(|()| std::fs::remove_file(from))
        }
        other => other.map_err(io::Error::from),
    })
}

/// Removes a file, if it is there; says whether it was.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        _ => carry_out(Step::Remove(path), || std::fs::remove_file(path))?,
    }
    Ok(true)
}
