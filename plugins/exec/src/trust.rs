//! Who could have written a program? It runs with all our rights, so the rules are those that the host has for plugins: its file and every
//! folder above it belong to root or to the user and can be written by nobody else.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

/// The program's path without symbolic links, when it may be run.
pub(crate) fn check(path: &Path) -> Result<PathBuf> {
    if !path.is_absolute() {
        return Err(PluginError::config(format!("{} is not an absolute path", path.display()))
            .hint("write the whole path: programs are not looked for on PATH"));
    }
    let canonical = path.canonicalize().map_err(|error| PluginError::config(format!("{}: {error}", path.display())))?;
    for folder in canonical.ancestors().skip(1) {
        // A sticky folder such as /tmp lets others add files but not replace ours.
        let may_be_sticky = folder != canonical.parent().unwrap_or(folder);
        check_owner(folder, &look(folder)?, may_be_sticky)?;
    }
    let file = look(&canonical)?;
    if !file.is_file() {
        return Err(PluginError::config(format!("{} is not a regular file", canonical.display())));
    }
    check_owner(&canonical, &file, false)?;
    if file.permissions().mode() & 0o111 == 0 {
        return Err(PluginError::config(format!("{} is not executable", canonical.display()))
            .hint(format!("chmod +x {}", canonical.display())));
    }
    Ok(canonical)
}

fn look(path: &Path) -> Result<Metadata> {
    path.metadata().map_err(|error| PluginError::from_io(path.display(), &error))
}

fn check_owner(path: &Path, found: &Metadata, may_be_sticky: bool) -> Result<()> {
    let (shown, user) = (path.display(), rustix::process::geteuid().as_raw());
    if found.uid() != 0 && found.uid() != user {
        let message = format!("{shown} belongs to user {}, not to root or you", found.uid());
        return Err(PluginError::config(message).hint(format!("chown root {shown}")));
    }
    let sticky = may_be_sticky && found.mode() & 0o1000 != 0;
    if found.mode() & 0o022 != 0 && !sticky {
        let message = format!("{shown} can be written by others (mode {:o})", found.mode() & 0o7777);
        return Err(PluginError::config(message).hint(format!("chmod go-w {shown}")));
    }
    Ok(())
}
