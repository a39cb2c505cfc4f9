//! The private folder of a run: sockets, throw-away overlays. The supervisor makes it and takes it away, so that nothing is left of a
//! worker that was killed; a worker whose supervisor was killed takes it away itself.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::journal::create_private_folder;

/// The longest name of a base folder with which a socket's path still fits into the 107 bytes that unix(7) allows: plugins and their
/// libraries add up to three parts to it.
const BASE_LIMIT: usize = 50;

/// Makes the folder, mode 0700, with a name short enough for sockets. It goes when this is dropped.
pub(super) fn create() -> Result<tempfile::TempDir> {
    let base = [runtime(), Some(std::env::temp_dir())]
        .into_iter()
        .flatten()
        .find(|path| path.is_absolute() && path.is_dir() && path.as_os_str().len() <= BASE_LIMIT)
        .unwrap_or_else(|| PathBuf::from("/tmp"));
    tempfile::Builder::new()
        .prefix("vmdk2kvm-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(&base)
        .map_err(|error| {
            PluginError::output(format!("no folder can be made in {}: {error}", base.display()))
                .hint("set TMPDIR to a folder that you may write to")
        })
}

/// `$XDG_RUNTIME_DIR/vmdk2kvm`, for what is true until this machine restarts. Others keep their keys and sockets beside it: a contained
/// worker gets this folder alone.
pub(super) fn runtime() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
    let folder = Some(base).filter(|base| base.is_absolute() && base.is_dir())?.join("vmdk2kvm");
    create_private_folder(&folder).ok().map(|()| folder)
}
