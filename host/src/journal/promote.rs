//! Final names: a file gets its name only when it is complete and synced, and never takes another's place.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

/// The error of a file of ours: what would be bad input, or missing rights, in a source is here an output that cannot be created.
pub fn output_error(what: impl std::fmt::Display, error: &std::io::Error) -> PluginError {
    let made = PluginError::from_io(what, error);
    let (kind, hint) = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Output, "free some space, and run the same command again")
        }
        std::io::ErrorKind::FileTooLarge => {
            (ErrorKind::Output, "the file system or a limit (ulimit -f) allows no file of this size")
        }
        _ if matches!(made.kind, ErrorKind::Auth | ErrorKind::Unusable | ErrorKind::Output) => {
            (ErrorKind::Output, "use an output folder that you may write to")
        }
        _ => return made,
    };
    PluginError { kind, ..made }.hint(hint)
}

/// Makes a folder and its parents, readable by the user alone. One that exists is taken as it is.
pub fn create_private_folder(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| output_error(format_args!("the folder {} cannot be made", path.display()), &error))
}

/// Syncs a folder, so that the names in it survive a power cut.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| output_error(format_args!("{} cannot be synced", folder.display()), &error))
}

/// Syncs `part` and gives it its final name, which must be free.
pub fn promote(part: &Path, target: &Path) -> Result<()> {
    File::open(part)
        .and_then(|file| file.sync_all())
        .map_err(|error| output_error(format_args!("{} cannot be synced", part.display()), &error))?;
    let renamed = match renameat_with(CWD, part, CWD, target, RenameFlags::NOREPLACE) {
        // File systems without that flag: link is as exclusive.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(part, target).and_then(|()| std::fs::remove_file(part))
        }
        other => other.map_err(std::io::Error::from),
    };
    renamed.map_err(|error| {
        let failed = output_error(format_args!("{} cannot get its name", target.display()), &error);
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                failed.hint("move the file of that name away, or use another output folder")
            }
            _ => failed,
        }
    })?;
    sync_folder(target.parent().unwrap_or(Path::new("/")))
}

/// Writes a small file whole, synced, mode 0600, in place of one that may be there.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|error| {
        // What is left of a failed attempt is of no use to anybody.
        let _ = std::fs::remove_file(&part);
        output_error(path.display(), &error)
    })?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_name_is_never_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let (part, target) = (folder.path().join("a.part"), folder.path().join("a"));
        std::fs::write(&part, b"new").unwrap();
        std::fs::write(&target, b"old").unwrap();
        let error = promote(&part, &target).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Output);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        std::fs::remove_file(&target).unwrap();
        promote(&part, &target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert!(!part.exists());
    }
}
