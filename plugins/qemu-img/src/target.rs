//! The file that a run creates: new, private, synced, or gone.
//!
//! qemu-img itself would overwrite whatever bears the name, follow a symlink, and leave half a file behind.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

/// A new file of mode 0600 that is removed again unless it is kept. qemu-img opens it by name and does not replace it.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    kept: bool,
}

impl Target {
    /// Creates the file; an error when anything bears this name.
    pub fn create(path: &Path) -> Result<Self> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::AlreadyExists => "remove it, or choose another output directory",
                _ => "choose an output directory that exists and can be written to",
            };
            PluginError::new(ErrorKind::Output, format!("{}: cannot be created: {error}", path.display())).hint(hint)
        })?;
        Ok(Self { path: path.to_owned(), kept: false })
    }

    /// Syncs the file and keeps it.
    pub fn keep(mut self) -> Result<()> {
        sync(&self.path)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing can be done about a failure, and the error that led here is the one to report.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Waits until the file's bytes are on the storage. qemu-img flushes at its end, but does not fail when that fails.
pub fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| PluginError::io(format!("{}: the data could not be synced: {error}", path.display())))
}
