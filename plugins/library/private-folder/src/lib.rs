//! Folders of our own on this machine: made private, and refused when somebody else could have put something there.
//!
//! What is kept in them (a probe's answer, an unpacked kernel) is run or believed by later runs.
#![warn(missing_docs)]

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Folder for what may be thrown away at any time: `$XDG_CACHE_HOME/vmdk2kvm/<name>`, else below `~/.cache`.
pub fn cache(name: &str) -> Option<PathBuf> {
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    make(&base.join("vmdk2kvm").join(name))
}

/// Folder for what is true until this machine restarts: `$XDG_RUNTIME_DIR/vmdk2kvm`, else the cache.
pub fn runtime() -> Option<PathBuf> {
    absolute("XDG_RUNTIME_DIR").and_then(|base| make(&base.join("vmdk2kvm"))).or_else(|| cache("runtime"))
}

/// Whether the folder or file is ours (or root's) and nobody else can write to it.
pub fn trusted(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|meta| (meta.uid() == me || meta.uid() == 0) && meta.mode() & 0o022 == 0)
}

fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn make(path: &Path) -> Option<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).ok()?;
    (path.is_dir() && trusted(path)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_can_write_is_not_trusted() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        assert_eq!(make(&path), Some(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(make(&path), None);
    }
}
