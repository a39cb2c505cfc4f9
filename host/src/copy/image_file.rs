//! The image's file: writes at an offset, errors with a name and a hint, and a disk that is kept busy.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::output_error::write_error;
use crate::journal::{DurableFile, Fence};

/// The kernel is told to begin writing to the disk each time this many bytes have been added. Left alone it begins when a tenth of the
/// memory is dirty, and the sync at the end waits for all of it.
const WRITE_BACK_EVERY: u64 = 64 << 20;

/// A file that an image is written to, from several threads.
pub(super) struct ImageFile {
    file: DurableFile,
    fence: Fence,
    written: AtomicU64,
    lost: AtomicBool,
}

impl ImageFile {
    /// A file that may be changed as long as `fence` holds.
    pub(super) fn new(file: DurableFile, fence: Fence) -> Self {
        Self { file, fence, written: AtomicU64::new(0), lost: AtomicBool::new(false) }
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.fence.check()?;
        self.file.write(bytes, offset).map_err(|error| self.failed(&error))?;
        let length = bytes.len() as u64;
        let before = self.written.fetch_add(length, Ordering::Relaxed);
        if before / WRITE_BACK_EVERY != (before + length) / WRITE_BACK_EVERY {
            self.write_back();
        }
        Ok(())
    }

    /// Begins to write what is dirty, and does not wait for it. Only advice: whether it is durable is for [`Self::sync`] to say.
    fn write_back(&self) {
        // SAFETY: the descriptor is open as long as `self`; the call takes no pointers.
        unsafe { libc::sync_file_range(self.file.file().as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }

    /// Gives the file its length; what was not written reads as zeros.
    pub(super) fn set_len(&self, length: u64) -> Result<()> {
        self.fence.check()?;
        self.file.set_length(length).map_err(|error| self.failed(&error))
    }

    /// Makes a range read as zeros without writing them: false where the device cannot do that.
    pub(super) fn discard(&self, offset: u64, length: u64) -> Result<bool> {
        self.fence.check()?;
        self.file.discard(offset, length).map_err(|error| self.failed(&error))
    }

    /// Makes a range read as zeros.
    pub(super) fn zero(&self, offset: u64, length: u64) -> Result<()> {
        self.fence.check()?;
        self.file.zero(offset, length).map_err(|error| self.failed(&error))
    }

    /// Waits until everything is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|error| {
            self.lost.store(true, Ordering::Relaxed);
            self.failed(&error)
        })
    }

    /// Whether a sync has failed since this was last asked. What was written since the sync before is lost then, even if the next one
    /// succeeds: the kernel drops what it could not write, and says so once.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }

    /// The file, for what changes nothing.
    pub(super) fn file(&self) -> &std::fs::File {
        self.file.file()
    }

    /// Length of the file in bytes.
    pub(super) fn length(&self) -> Result<u64> {
        Ok(self.file.file().metadata().map_err(|error| self.failed(&error))?.len())
    }

    /// The error of this file.
    pub(super) fn failed(&self, error: &std::io::Error) -> PluginError {
        write_error(self.file.path(), error)
    }
}
