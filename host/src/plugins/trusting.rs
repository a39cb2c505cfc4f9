//! `plugin trust` and `plugin untrust`: plugins into the user's lock file, and out of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::discovery::{Candidate, discover_unlocked, examine_file, search_folders};
use super::lock::{Locked, digest, read, user_file, write};
use super::trust;
use crate::config::PluginOptions;

/// Adds plugins to the user's lock file, and makes it: those named, or all that could be used now.
pub fn trust_plugins(
    files: &[PathBuf],
    options: &PluginOptions,
    warn: &mut dyn FnMut(String),
) -> Result<(PathBuf, Vec<Locked>)> {
    let candidates = match files {
        [] => {
            let found = discover_unlocked(&search_folders(&options.dirs, warn))?;
            found.into_iter().filter(|candidate| candidate.refused.is_none()).collect()
        }
        files => files.iter().map(|file| named(file)).collect::<Result<Vec<_>>>()?,
    };
    let added = candidates.iter().map(|candidate| {
        let path = candidate.path.clone();
        Ok(Locked { sha256: digest(&path, &mut trust::open(&path)?)?, path })
    });
    let added = added.collect::<Result<Vec<_>>>()?;
    let lock = user_file()?;
    let mut lines: BTreeMap<PathBuf, String> =
        read(&lock)?.into_iter().flatten().map(|locked| (locked.path, locked.sha256)).collect();
    lines.extend(added.iter().map(|locked| (locked.path.clone(), locked.sha256.clone())));
    write(&lock, &lines)?;
    Ok((lock, added))
}

/// Takes plugins out of the user's lock file.
pub fn untrust_plugins(files: &[PathBuf]) -> Result<(PathBuf, Vec<Locked>)> {
    let lock = user_file()?;
    let mut lines: BTreeMap<PathBuf, String> =
        read(&lock)?.into_iter().flatten().map(|locked| (locked.path, locked.sha256)).collect();
    let mut removed = Vec::new();
    for file in files {
        // A file that is gone can be taken out as well.
        let path = file.canonicalize().unwrap_or_else(|_| file.clone());
        let Some(sha256) = lines.remove(&path) else {
            return Err(PluginError::config(format!("{} is not in {}", path.display(), lock.display()))
                .hint("name the file by its full path, as it stands there"));
        };
        removed.push(Locked { sha256, path });
    }
    write(&lock, &lines)?;
    Ok((lock, removed))
}

fn named(file: &Path) -> Result<Candidate> {
    let path = file.canonicalize().map_err(|error| PluginError::from_io(file.display(), &error))?;
    let candidate = examine_file(path).filter(|candidate| candidate.manifest.is_some() || candidate.refused.is_some());
    let candidate = candidate.ok_or_else(|| PluginError::missing(format!("{} is not a plugin", file.display())))?;
    match &candidate.refused {
        Some(refused) => Err(refused.clone().context(format_args!("{} cannot be trusted", file.display()))),
        None => Ok(candidate),
    }
}
