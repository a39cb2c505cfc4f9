//! Where secrets are, by name. A value is read when it is asked for and never kept here; no message holds one.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::config::{Job, SecretSource};

/// No secret is longer than this, in bytes.
const LIMIT: u64 = 1 << 20;
/// Names the folder of credentials that a service manager hands to a service (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The secrets that a job names.
#[derive(Debug, Clone, Default)]
pub struct SecretStore {
    sources: BTreeMap<String, SecretSource>,
}

/// A secret, and a warning about the place where it lies.
#[derive(PartialEq, Eq)]
pub(super) struct Found {
    pub bytes: Vec<u8>,
    pub warning: Option<String>,
}

impl SecretStore {
    /// Those of `[secrets.NAME]`, and the keys of encrypted volumes, each under `key:SELECTOR`.
    pub fn of_job(job: &Job) -> Self {
        let keys = job.settings.keys.iter().map(|key| {
            let file = SecretSource::File(key.file.clone());
            (Self::key_name(&key.selector), file)
        });
        Self { sources: job.settings.secrets.clone().into_iter().chain(keys).collect() }
    }

    /// The name of the secret for the key of an encrypted volume.
    pub fn key_name(selector: &str) -> String {
        format!("key:{selector}")
    }

    /// Secrets in files.
    #[cfg(test)]
    pub(super) fn of_files<const N: usize>(files: [(&str, PathBuf); N]) -> Self {
        Self { sources: files.map(|(name, path)| (name.to_owned(), SecretSource::File(path))).into() }
    }

    /// The files that are read, for whoever shuts the worker in.
    pub fn files(&self) -> Vec<PathBuf> {
        self.sources.values().filter_map(|source| file(source).ok().flatten()).collect()
    }

    /// Whether each of them is where it is said to be, and can be read.
    pub fn check(&self) -> Result<()> {
        self.sources.keys().try_for_each(|name| self.read(name).map(drop))
    }

    /// The secret of this name; `None`: the job names none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Found>> {
        let Some(source) = self.sources.get(name) else { return Ok(None) };
        if let SecretSource::Env(variable) = source {
            let value = std::env::var_os(variable).ok_or_else(|| {
                PluginError::config(format!("the secret {name} is in the variable {variable}, which is not set"))
                    .hint("set it, or name a file in [secrets]")
            })?;
            return Ok(Some(Found { bytes: value.into_encoded_bytes(), warning: None }));
        }
        let Some(path) = file(source)? else { return Ok(None) };
        let bytes = read(&path)?;
        // A service manager has its own rules for what lies in its folder.
        let warning = matches!(source, SecretSource::File(_)).then(|| readable_by_others(&path)).flatten();
        Ok(Some(Found { bytes, warning }))
    }
}

/// The file that a secret lies in.
fn file(source: &SecretSource) -> Result<Option<PathBuf>> {
    match source {
        SecretSource::File(path) => Ok(Some(path.clone())),
        SecretSource::Env(_) => Ok(None),
        SecretSource::Credential(name) => match std::env::var_os(CREDENTIALS).map(PathBuf::from) {
            Some(folder) if folder.is_absolute() => Ok(Some(folder.join(name))),
            _ => Err(PluginError::config(format!("the credential {name} is asked for, and {CREDENTIALS} is not set"))
                .hint("start the program from a service that has LoadCredential=, or name a file in [secrets]")),
        },
    }
}

/// The content of a file, but a last line feed.
fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| PluginError::from_io(format_args!("the secret file {}", path.display()), &error);
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(PluginError::config(format!("the secret file {} is longer than {LIMIT} bytes", path.display())));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    Ok(bytes)
}

fn readable_by_others(path: &Path) -> Option<String> {
    let mode = path.metadata().ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        let path = path.display();
        format!("the secret file {path} can be read by others than its owner: chmod 600 {path}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(source: SecretSource) -> SecretStore {
        SecretStore { sources: BTreeMap::from([("password".to_owned(), source)]) }
    }

    #[test]
    fn a_file_that_others_may_read_is_told_of_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        std::fs::write(&path, "hunter2\n\n").unwrap();
        let store = store(SecretSource::File(path.clone()));
        for (mode, told) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let Found { bytes, warning } = store.read("password").unwrap().unwrap();
            assert_eq!(bytes, b"hunter2\n");
            assert_eq!(warning.is_some(), told, "{mode:o}");
            assert!(!warning.unwrap_or_default().contains("hunter2"));
        }
        assert!(store.read("other").unwrap().is_none());
        assert_eq!(store.files(), std::slice::from_ref(&path));
        std::fs::write(&path, vec![b'x'; LIMIT as usize + 1]).unwrap();
        let Err(error) = store.read("password") else { panic!("too long") };
        assert_eq!(error.message, format!("the secret file {} is longer than 1048576 bytes", path.display()));
    }

    #[test]
    fn what_is_not_there_is_a_matter_of_the_configuration() {
        let Err(error) = store(SecretSource::Env("VMDK2KVM_NO_SUCH".into())).read("password") else { panic!() };
        assert_eq!(error.message, "the secret password is in the variable VMDK2KVM_NO_SUCH, which is not set");
        let path = store(SecretSource::Env("PATH".into())).read("password").unwrap().unwrap();
        assert_eq!(path.bytes, std::env::var("PATH").unwrap().into_bytes());
        if std::env::var_os(CREDENTIALS).is_none() {
            let Err(error) = store(SecretSource::Credential("vc".into())).read("password") else { panic!() };
            assert_eq!(error.message, "the credential vc is asked for, and CREDENTIALS_DIRECTORY is not set");
        }
    }
}
