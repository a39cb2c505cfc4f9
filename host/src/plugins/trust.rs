//! Who could have written a plugin? A library runs with all our rights, so its file and every folder above it must belong to root or to
//! the user and be writable by nobody else.
//!
//! The file is checked on an open descriptor, and that descriptor is what is loaded: nothing can be swapped in between.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use vmdk2kvm_plugin_api::{PluginError, Result};

/// Opens a plugin's file to read what it says of itself: a regular file, not through a symbolic link.
pub fn open(path: &Path) -> Result<File> {
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => PluginError::missing(format!("{} is a symbolic link", path.display()))
            .hint("install the plugin as a file of its own"),
        _ => PluginError::from_io(path.display(), &error),
    })?;
    let metadata = file.metadata().map_err(|error| PluginError::from_io(path.display(), &error))?;
    if !metadata.is_file() {
        return Err(PluginError::missing(format!("{} is not a regular file", path.display())));
    }
    Ok(file)
}

/// Checks an opened file and its folders. The folder of `path` must be canonical.
///
/// `single_link`: refuse a file that has a second name somewhere. Not asked of the folder of the program itself, whose writers
/// could replace the program, and where cargo links every library twice.
pub fn check(path: &Path, file: &File, single_link: bool) -> Result<()> {
    for folder in path.ancestors().skip(1) {
        let metadata = folder.metadata().map_err(|error| PluginError::from_io(folder.display(), &error))?;
        // A sticky folder such as /tmp lets others add files but not replace ours.
        check_owner(folder, &metadata, metadata.mode() & 0o1000 != 0 && folder != path.parent().unwrap_or(folder))?;
    }
    let metadata = file.metadata().map_err(|error| PluginError::from_io(path.display(), &error))?;
    check_owner(path, &metadata, false)?;
    if single_link && metadata.nlink() != 1 {
        return Err(PluginError::missing(format!("{} has {} names (hard links)", path.display(), metadata.nlink()))
            .hint("copy it, so that it is a file of its own"));
    }
    Ok(())
}

fn check_owner(path: &Path, metadata: &Metadata, others_may_write: bool) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != user {
        return Err(PluginError::missing(format!(
            "{} belongs to user {}, not to root or you",
            path.display(),
            metadata.uid()
        ))
        .hint(format!("chown root {}", path.display())));
    }
    if metadata.mode() & 0o022 != 0 && !others_may_write {
        return Err(PluginError::missing(format!(
            "{} can be written by others (mode {:o})",
            path.display(),
            metadata.mode() & 0o7777
        ))
        .hint(format!("chmod go-w {}", path.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = folder.path().canonicalize().unwrap().join("p.so");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        (folder, file)
    }

    fn trusted(path: &Path, single_link: bool) -> Result<()> {
        check(path, &open(path)?, single_link)
    }

    fn refused(path: &Path) -> String {
        trusted(path, true).unwrap_err().message
    }

    #[test]
    fn takes_a_file_that_only_we_can_write() {
        let (_folder, file) = folder();
        trusted(&file, true).unwrap();
    }

    #[test]
    fn refuses_a_file_or_folder_that_others_can_write() {
        let (folder, file) = folder();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(refused(&file).ends_with("p.so can be written by others (mode 646)"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(refused(&file).contains("can be written by others (mode 1777)"));
    }

    #[test]
    fn refuses_links_and_what_is_no_file() {
        let (folder, file) = folder();
        let second = folder.path().canonicalize().unwrap().join("second.so");
        fs::hard_link(&file, &second).unwrap();
        assert!(refused(&second).contains("has 2 names"));
        trusted(&second, false).unwrap();
        let link = folder.path().canonicalize().unwrap().join("link.so");
        symlink(&file, &link).unwrap();
        assert!(refused(&link).ends_with("link.so is a symbolic link"));
        let fifo = folder.path().canonicalize().unwrap().join("fifo.so");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refused(&fifo).contains("is not a regular file"));
    }
}
