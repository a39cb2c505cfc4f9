//! What a failed write to an image means: which kind, and what the user can do.

use std::io;
use std::path::Path;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

/// The image could not be created.
pub(super) fn create_error(path: &Path, error: &io::Error) -> PluginError {
    let failed = PluginError::output(format!("{}: cannot be created: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            failed.hint("remove the file, or let the run that is writing it finish, and run the command again")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failed.hint(space_hint(path)),
        _ => failed.hint("choose an output folder that exists and that you may write to"),
    }
}

/// Writing to, or syncing, the image failed.
pub(super) fn write_error(path: &Path, error: &io::Error) -> PluginError {
    let message = format!("{}: cannot be written: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            PluginError::new(ErrorKind::Output, message).hint(space_hint(path))
        }
        io::ErrorKind::FileTooLarge => PluginError::new(ErrorKind::Output, message).hint(
            "the file system or a limit (ulimit -f) does not allow a file of this size; choose another output folder",
        ),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            PluginError::new(ErrorKind::Output, message).hint("choose an output folder that you may write to")
        }
        _ => PluginError::new(ErrorKind::Io, message).hint("look at the kernel log for errors of the output's disk"),
    }
}

fn space_hint(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    format!("free space in {} or choose another output folder, and run the command again", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_an_output_error_that_names_the_folder() {
        let error = write_error(Path::new("/srv/out/web.part"), &io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(error.kind, ErrorKind::Output);
        assert_eq!(error.message, "/srv/out/web.part: cannot be written: No space left on device (os error 28)");
        assert_eq!(
            error.hint.as_deref(),
            Some("free space in /srv/out or choose another output folder, and run the command again")
        );
    }

    #[test]
    fn a_failing_disk_is_not_the_users_fault() {
        let error = write_error(Path::new("web.part"), &io::Error::from_raw_os_error(libc::EIO));
        assert_eq!(error.kind, ErrorKind::Io);
    }

    #[test]
    fn a_missing_folder_is_an_output_error() {
        let error = create_error(Path::new("/srv/nowhere/web.part"), &io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(error.kind, ErrorKind::Output);
        assert_eq!(error.hint.as_deref(), Some("choose an output folder that exists and that you may write to"));
    }
}
