//! `plugins.lock`: which plugins may be loaded, by digest. Where no such file is, every plugin that [`super::trust`] accepts may.
//!
//! One line for each plugin as sha256sum(1) writes it, so that `sha256sum -c` checks it: 64 hex digits, two spaces, a path. The digest
//! decides and the path is for people. Both files count, the machine's and the user's. What is digested is the open file that is loaded.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::trust;
use crate::config::settings_folders;

/// Name of the file, in the folders of the settings.
const NAME: &str = "plugins.lock";
/// No lock file is larger, in bytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// A plugin that may be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    /// Where it was when it was trusted.
    pub path: PathBuf,
}

/// The digests that are enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock(Vec<Locked>);

impl Lock {
    /// The lock files of this machine and this user together; `None` when there is none.
    pub fn read() -> Result<Option<Self>> {
        let mut all = None;
        for file in lock_files() {
            if let Some(lines) = read(&file)? {
                all.get_or_insert_with(|| Self(Vec::new())).0.extend(lines);
            }
        }
        Ok(all)
    }

    /// The digest of an open file, when the lock has it.
    pub fn check(&self, path: &Path, file: &mut File) -> Result<String> {
        let sha256 = digest(path, file)?;
        if self.0.iter().any(|locked| locked.sha256 == sha256) {
            return Ok(sha256);
        }
        let known = self.0.iter().any(|locked| locked.path == path);
        let why = if known { "it is not the file that was trusted" } else { "it was not trusted" };
        Err(PluginError::missing(format!("{why}: its digest is in no {NAME}"))
            .hint(format!("if it belongs there: vmdk2kvm plugin trust {}", path.display())))
    }
}

/// Where lock files would be: that of this machine, then that of the user, when there can be one.
pub fn lock_files() -> Vec<PathBuf> {
    settings_folders().into_iter().map(|folder| folder.join(NAME)).collect()
}

/// The SHA-256 of an open file in hex.
pub(super) fn digest(path: &Path, file: &mut File) -> Result<String> {
    let failed = |error| PluginError::from_io(path.display(), &error);
    let mut hash = Sha256::new();
    file.rewind().map_err(failed)?;
    std::io::copy(file, &mut hash).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// That of the user.
pub(super) fn user_file() -> Result<PathBuf> {
    lock_files().into_iter().nth(1).ok_or_else(|| {
        PluginError::config("there is no folder for the user's settings").hint("set HOME or XDG_CONFIG_HOME")
    })
}

/// What a lock file holds; `None` when it is not there. Who may write to it decides what is loaded: the same rule as for plugins.
pub(super) fn read(path: &Path) -> Result<Option<Vec<Locked>>> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(None);
    }
    let unsafe_lock = |error: PluginError| {
        PluginError::config(error.message).hint(error.hint.unwrap_or_else(|| format!("mend {}", path.display())))
    };
    let file = trust::open(path).map_err(unsafe_lock)?;
    let canonical = path.canonicalize().map_err(|error| PluginError::from_io(path.display(), &error))?;
    trust::check(&canonical, &file, true).map_err(unsafe_lock)?;
    let mut text = String::new();
    file.take(SIZE_LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(|error| PluginError::config(format!("{}: {error}", path.display())))?;
    if text.len() as u64 > SIZE_LIMIT {
        return Err(PluginError::config(format!("{} is larger than {} KiB", path.display(), SIZE_LIMIT >> 10)));
    }
    parse(&text).map(Some).map_err(|line| {
        PluginError::config(format!("{}: line {line} is not a digest, two spaces and a path", path.display()))
            .hint("each line is as sha256sum writes it")
    })
}

/// The lines of a lock file, or the number of the first that is none.
fn parse(text: &str) -> Result<Vec<Locked>, usize> {
    let line = |(number, line): (usize, &str)| {
        let (digest, path) = line.split_once("  ").ok_or(number + 1)?;
        let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !is_digest || path.is_empty() {
            return Err(number + 1);
        }
        Ok(Locked { sha256: digest.to_owned(), path: path.into() })
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(line).collect()
}

/// Writes a lock file anew, all of it or nothing.
pub(super) fn write(path: &Path, lines: &BTreeMap<PathBuf, String>) -> Result<()> {
    let failed = |error: std::io::Error| PluginError::output(format!("{}: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    for (path, digest) in lines {
        let path = path.to_str().filter(|path| !path.contains(['\n', '\r']));
        let path = path.ok_or_else(|| PluginError::unusable("a plugin's path has a line feed or is not UTF-8"))?;
        writeln!(file, "{digest}  {path}").map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_what_sha256sum_writes() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let locked = Locked { sha256: digest.to_owned(), path: "/usr/lib/p  q.so".into() };
        assert_eq!(parse(&format!("{digest}  /usr/lib/p  q.so\n\n")), Ok(vec![locked]));
        for bad in ["x  /p", &format!("{digest} /p"), &format!("{}  /p", digest.to_uppercase()), &format!("{digest}  ")]
        {
            assert_eq!(parse(&format!("\n{bad}\n")), Err(2), "{bad}");
        }
    }

    #[test]
    fn the_digest_decides_and_the_path_explains() {
        let (mut file, digest) =
            (tempfile::tempfile().unwrap(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let lock = |path: &str, sha256: &str| Lock(vec![Locked { sha256: sha256.to_owned(), path: path.into() }]);
        assert_eq!(lock("/elsewhere.so", digest).check(Path::new("/p.so"), &mut file), Ok(digest.to_owned()));
        let mut refused = |path: &str| lock(path, "00").check(Path::new("/p.so"), &mut file).unwrap_err().message;
        assert_eq!(refused("/p.so"), "it is not the file that was trusted: its digest is in no plugins.lock");
        assert_eq!(refused("/q.so"), "it was not trusted: its digest is in no plugins.lock");
    }
}
