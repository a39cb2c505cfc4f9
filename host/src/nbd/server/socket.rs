//! The socket's file: private, and with a path that is short enough.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::nbd::Address;

/// Bytes of a socket's path: `sun_path` has 108, and the last is a NUL (unix(7)).
const MAX_PATH: usize = 107;

/// A socket in the file system, removed on drop.
pub(super) struct SocketFile {
    path: PathBuf,
}

impl SocketFile {
    /// Binds a socket that only this user can reach.
    pub(super) fn bind(path: &Path) -> Result<(Self, UnixListener)> {
        let name = path.display();
        let length = path.as_os_str().len();
        if length > MAX_PATH {
            return Err(PluginError::output(format!(
                "{name}: the path of a socket has at most {MAX_PATH} bytes, this has {length}"
            ))
            .hint("choose a work directory with a shorter path (--work-dir)"));
        }
        check_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        let failed = |error: std::io::Error| {
            PluginError::output(format!("{name}: cannot be bound: {error}"))
                .hint("remove the file if no other run uses it, or choose another work directory (--work-dir)")
        };
        let listener = UnixListener::bind(path).map_err(failed)?;
        let socket = Self { path: path.to_owned() };
        // The folder keeps others out even before this.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok((socket, listener))
    }

    /// The URI by which other programs know it.
    pub(super) fn uri(&self) -> String {
        Address::unix(&self.path).to_string()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Everybody who can connect can read the guest's disk.
fn check_folder(folder: &Path) -> Result<()> {
    let metadata = folder
        .metadata()
        .map_err(|error| PluginError::output(format!("{}: cannot be looked at: {error}", folder.display())))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_dir() || mode & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(PluginError::output(format!(
            "{}: a folder for sockets must be the user's own with mode 0700, this has mode {mode:04o} and owner {}",
            folder.display(),
            metadata.uid()
        ))
        .hint("choose another work directory (--work-dir), or make this one private with chmod 0700"));
    }
    Ok(())
}
