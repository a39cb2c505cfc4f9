//! A private folder for the length of a run: sockets, throw-away overlays. Removed with everything in it.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

/// The longest name of a base folder in which a socket's path still fits into the 108 bytes that the kernel allows.
const SOCKET_BASE_LIMIT: usize = 60;

/// A folder that goes when this is dropped.
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes a folder in the run's temporary place, with a name short enough for sockets.
    pub fn create() -> Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let base = [runtime, Some(std::env::temp_dir())]
            .into_iter()
            .flatten()
            .find(|path| path.is_absolute() && path.is_dir() && path.as_os_str().len() < SOCKET_BASE_LIMIT)
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        // The process's number and a counter make the name free, mkdir makes it ours.
        for attempt in 0..100 {
            let path = base.join(format!("vmdk2kvm-{}-{attempt}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(PluginError::from_io(path.display(), &error)),
            }
        }
        Err(PluginError::output(format!("no private folder can be made in {}", base.display())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // Nothing but our own files was put there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
