//! Stage records: small JSON documents in the work folder, each under the key of the stage that wrote it.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::fence::Fence;
use super::promote::{remove_file, write_file};

/// Version of what records mean: a record of another version is as if it were not there.
const VERSION: u32 = 1;

/// Identifies a stage's work: its inputs, the options that matter, and the plugins that do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageKey(String);

impl StageKey {
    /// The key over these parts, in this order.
    pub fn new(parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        Self(format!("{:x}", digest.finalize()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The records of a work folder.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
    fence: Fence,
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    version: u32,
    key: StageKey,
    record: T,
}

impl Records {
    /// The records in a folder that exists, which is this run's as long as `fence` holds.
    pub fn in_folder(folder: &Path, fence: Fence) -> Self {
        Self { folder: folder.to_path_buf(), fence }
    }

    /// Tells whether the folder is still this run's.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// The record of this name if it was written under this key; anything else counts as not there.
    pub fn read<T: DeserializeOwned>(&self, name: &str, key: &StageKey) -> Option<T> {
        let text = std::fs::read(self.path(name)).ok()?;
        let stored: Stored<T> = serde_json::from_slice(&text).ok()?;
        (stored.version == VERSION && stored.key == *key).then_some(stored.record)
    }

    /// Whether there is a record of this name, under whatever key.
    pub fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The names of the records that begin like this, under whatever key, sorted.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned));
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }

    /// Writes a record, synced. What it says is done must be synced before.
    pub fn write<T: Serialize>(&self, name: &str, key: &StageKey, record: &T) -> Result<()> {
        self.fence.check()?;
        let stored = Stored { version: VERSION, key: key.clone(), record };
        let text = serde_json::to_vec(&stored).map_err(|error| PluginError::defect(error.to_string()))?;
        write_file(&self.path(name), &text)
    }

    /// Removes a record, synced: what follows may no longer rely on it.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.fence.check()?;
        remove_file(&self.path(name))
    }

    /// Where the log of this name lies, for a step that can be continued.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_under_its_own_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::in_folder(folder.path(), Fence::default());
        let (key, other) = (StageKey::new(&["copy", "a", "b"]), StageKey::new(&["copy", "ab", ""]));
        assert_ne!(key, other);
        records.write("copy-1", &key, &7u32).unwrap();
        assert_eq!(records.read::<u32>("copy-1", &key), Some(7));
        assert_eq!(records.read::<u32>("copy-1", &other), None);
        assert_eq!(records.read::<String>("copy-1", &key), None);
        records.remove("copy-1").unwrap();
        records.remove("copy-1").unwrap();
        assert_eq!(records.read::<u32>("copy-1", &key), None);
    }
}
