//! A Windows drive in memory: names without case, and every change carried out that a plan for a Windows holds, by the library's own hives.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, MutexGuard};

use vmdk2kvm_plugin_api::model::{Action, Applied, AppliedStatus, Change, from_hex};
use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, PluginError, Result, Stat};

use crate::hive::{self, Replayed};
use crate::registry::logs_of;
use crate::sha256;

/// The file that begins with the boot sector.
pub const BOOT: &str = "/C:/$Boot";

/// Files by their paths in upper case, with the paths as they are spelled.
#[derive(Default)]
pub struct Drive(Mutex<BTreeMap<String, (String, Vec<u8>)>>);

impl Drive {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, (String, Vec<u8>)>> {
        self.0.lock().unwrap()
    }

    /// Puts a file there.
    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        let key = path.to_uppercase();
        let mut files = self.files();
        let spelled = files.get(&key).map_or_else(|| path.to_owned(), |(spelled, _)| spelled.clone());
        files.insert(key, (spelled, content.into()));
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        self.files().remove(&path.to_uppercase());
    }

    /// The content of a file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.files().get(&path.to_uppercase()).map(|(_, content)| content.clone())
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> String {
        let content = self.content(path).unwrap_or_else(|| panic!("{path} is not there"));
        String::from_utf8(content).unwrap()
    }

    fn replace(&self, target: &str, new: Vec<u8>, old: Option<&str>) -> Result<()> {
        same(target, self.content(target).as_deref(), old)?;
        self.put(target, new);
        Ok(())
    }

    fn must(&self, path: &str) -> Result<Vec<u8>> {
        self.content(path).ok_or_else(|| PluginError::unusable(format!("{path}: it is not there")))
    }
}

fn same(path: &str, found: Option<&[u8]>, planned: Option<&str>) -> Result<()> {
    if found.map(sha256).as_deref() == planned {
        return Ok(());
    }
    Err(PluginError::unusable(format!("{path}: not what it was when the change was planned")))
}

impl Guest for Drive {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let key = path.to_uppercase();
        let files = self.files();
        if let Some((_, content)) = files.get(&key) {
            return Ok(Some(Stat::new(FileKind::File, content.len() as u64, 0o777)));
        }
        let inside = format!("{}/", key.trim_end_matches('/'));
        let is_folder = files.range(inside.clone()..).next().is_some_and(|(path, _)| path.starts_with(&inside));
        Ok(is_folder.then(|| Stat::new(FileKind::Dir, 0, 0o777)))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let found = self.content(path);
        assert!(found.as_ref().is_none_or(|content| content.len() as u64 <= limit), "{path}");
        Ok(found)
    }

    fn folds_case(&self) -> bool {
        true
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let inside = format!("{}/", path.to_uppercase().trim_end_matches('/'));
        let files = self.files();
        let mut entries: BTreeMap<String, FileKind> = BTreeMap::new();
        for (_, (spelled, _)) in files.range(inside.clone()..).take_while(|(key, _)| key.starts_with(&inside)) {
            match spelled[inside.len()..].split_once('/') {
                Some((folder, _)) => entries.insert(folder.to_owned(), FileKind::Dir),
                None => entries.insert(spelled[inside.len()..].to_owned(), FileKind::File),
            };
        }
        let entries: Vec<Entry> = entries.into_iter().map(|(name, kind)| Entry::new(name, kind)).collect();
        Ok((!entries.is_empty()).then_some(entries))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{path}: not a symlink")))
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        let target = change.target.as_str();
        match &change.action {
            Action::WriteFile { content, old_sha256, .. } => {
                self.replace(target, content.to_bytes()?, old_sha256.as_deref())?;
            }
            Action::CopyFile { from, source_sha256, old_sha256 } => {
                let content = self.must(from)?;
                same(from, Some(&content), Some(source_sha256))?;
                self.replace(target, content, old_sha256.as_deref())?;
            }
            Action::CopyIn { from, offset, sha256, bytes, old_sha256 } => {
                let from_there = usize::try_from(*offset).unwrap()..usize::try_from(offset + bytes).unwrap();
                let content = fs::read(from).unwrap()[from_there].to_vec();
                same(from, Some(&content), Some(sha256))?;
                self.replace(target, content, old_sha256.as_deref())?;
            }
            Action::EditRegistry { edits } => self.put(target, hive::edit(self.must(target)?, edits)?),
            Action::ReplayLog { old_sha256 } => {
                let old = self.must(target)?;
                same(target, Some(&old), Some(old_sha256))?;
                let logs: Vec<Vec<u8>> = logs_of(target).iter().filter_map(|log| self.content(log)).collect();
                let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
                match hive::replay(&old, &logs)? {
                    Replayed::Whole => panic!("{target}: there was nothing to replay"),
                    Replayed::Applied { hive, .. } | Replayed::Settled { hive } => self.put(target, hive),
                }
            }
            Action::EditDevice { offset, old, new } => {
                // The boot sector is the beginning of a file; its copy is in none.
                let (mut bytes, old, new) = (self.must(BOOT)?, from_hex(old, "old")?, from_hex(new, "new")?);
                let range = usize::try_from(*offset).unwrap()..usize::try_from(*offset).unwrap() + old.len();
                if let Some(place) = bytes.get_mut(range) {
                    assert_eq!(place, old, "{target}: other bytes");
                    place.copy_from_slice(&new);
                    self.put(BOOT, bytes);
                }
            }
            other => panic!("{target}: a plan for a Windows has no {}", other.kind()),
        }
        Ok(Applied::new(AppliedStatus::Done))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}
