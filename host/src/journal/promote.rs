//! Final names: a file gets its name only when it is complete and synced, and never takes another's place.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::steps::{self, DurableFile};

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
    made.of_kind(kind).hint(hint)
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
    steps::sync_names(folder)
        .map_err(|error| output_error(format_args!("{} cannot be synced", folder.display()), &error))
}

/// Syncs `part` and gives it its final name, which must be free.
pub fn promote(part: &Path, target: &Path) -> Result<()> {
    DurableFile::open(part)
        .and_then(|file| file.sync())
        .map_err(|error| output_error(format_args!("{} cannot be synced", part.display()), &error))?;
    steps::rename(part, target).map_err(|error| {
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
    let part = part_of(path);
    let write = || -> std::io::Result<()> {
        // What an earlier attempt may have left is of no use to anybody.
        steps::remove(&part)?;
        let file = DurableFile::create(&part)?;
        file.write(content, 0)?;
        file.sync()?;
        steps::replace(&part, path)
    };
    write().map_err(|error| {
        let _ = steps::remove(&part);
        output_error(path.display(), &error)
    })?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Where what will have this name grows.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Removes a file that may not be there; afterwards nothing may rely on it, a power cut or not.
pub fn remove_file(path: &Path) -> Result<()> {
    match steps::remove(path) {
        Ok(false) => Ok(()),
        Ok(true) => sync_folder(path.parent().unwrap_or(Path::new("/"))),
        Err(error) => Err(output_error(format_args!("{} cannot be removed", path.display()), &error)),
    }
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
