//! Paths and files of a run: removed, made private, and handed to plugins as text.

use std::path::Path;

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::journal::output_error;

/// Removes a file that may not be there.
pub(super) fn remove_if_there(path: &Path) -> Result<()> {
    ignore_missing(path, std::fs::remove_file(path))
}

/// Removes a folder of ours that may not be there, with all that is in it.
pub(super) fn remove_folder(path: &Path) -> Result<()> {
    ignore_missing(path, std::fs::remove_dir_all(path))
}

fn ignore_missing(path: &Path, removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(output_error(path.display(), &error)),
        _ => Ok(()),
    }
}

/// Makes a file readable and writable by its owner alone.
pub(super) fn set_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| output_error(path.display(), &error))
}

/// A path as the text that plugins take.
pub(super) fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        PluginError::output(format!("{} has a name that is not UTF-8", path.display()))
            .hint("use another output folder")
    })
}
