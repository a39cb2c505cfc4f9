//! The image's file: writes at an offset, errors with a name and a hint, and a disk that is kept busy.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use vmdk2kvm_plugin_api::Result;

use super::output_error::write_error;

/// The kernel is told to begin writing to the disk each time this many bytes have been added. Left alone it begins when a tenth of the
/// memory is dirty, and the sync at the end waits for all of it.
const WRITE_BACK_EVERY: u64 = 64 << 20;

/// A file that an image is written to, from several threads.
pub(super) struct ImageFile<'a> {
    file: &'a File,
    path: &'a Path,
    written: AtomicU64,
}

impl<'a> ImageFile<'a> {
    /// `path` is for messages.
    pub(super) fn new(file: &'a File, path: &'a Path) -> Self {
        Self { file, path, written: AtomicU64::new(0) }
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| write_error(self.path, &error))?;
        let length = bytes.len() as u64;
        let before = self.written.fetch_add(length, Ordering::Relaxed);
        if before / WRITE_BACK_EVERY != (before + length) / WRITE_BACK_EVERY {
            self.write_back();
        }
        Ok(())
    }

    /// Begins to write what is dirty, and does not wait for it. Only advice: whether it is durable is for [`Self::sync`] to say.
    fn write_back(&self) {
        // SAFETY: the descriptor is open as long as `file` is borrowed; the call takes no pointers.
        unsafe { libc::sync_file_range(self.file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }

    /// Gives the file its length; what was not written reads as zeros.
    pub(super) fn set_len(&self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(|error| write_error(self.path, &error))
    }

    /// Waits until everything is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|error| write_error(self.path, &error))
    }

    /// Length of the file in bytes.
    pub(super) fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|error| write_error(self.path, &error))?.len())
    }
}
