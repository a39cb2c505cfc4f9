//! A guest as it will be: a real one, which is only read, with changes laid over it in memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::paths::{self, Names, Place};
use crate::model::{Action, Applied, AppliedStatus, Change, RegistryEdit, RegistryValue, Storage};
use crate::{Entry, FileKind, Guest, PluginError, Result, Stat};

/// No file that a change replaces or copies is larger, in bytes.
const FILE_LIMIT: u64 = 1 << 30;
/// Permission bits of a new file.
const NEW_MODE: u32 = 0o644;

/// A guest with planned changes laid over it, so that who plans next sees what was planned before. Nothing is written anywhere.
///
/// A change is refused for the reasons for which a guest refuses it: another content than it was planned against, no file where one is
/// expected. The guest below must not change meanwhile: what was found there is kept.
pub struct Overlay<'a> {
    below: &'a dyn Guest,
    folds_case: bool,
    /// By key (see [`Overlay::key`]), with the path as it was given.
    nodes: Mutex<BTreeMap<String, (String, Node)>>,
    known: Mutex<BTreeMap<String, Option<Stat>>>,
    /// What registries will hold: by hive and key.
    registry: Mutex<BTreeMap<[String; 2], PlannedKey>>,
}

/// What changes leave at a path, which has no symlink in its folders.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File {
        content: Vec<u8>,
        mode: u32,
    },
    /// A file of this machine, which is not read here.
    CopyIn {
        from: String,
        sha256: String,
        bytes: u64,
        mode: u32,
    },
    Symlink(String),
    /// What was there is removed.
    Nothing,
    /// A folder in the place of what was removed: nothing of the guest below shows in it.
    Folder,
}

/// What changes leave of a key of a registry.
#[derive(Debug, Clone, Default)]
struct PlannedKey {
    is_removed: bool,
    /// By name.
    values: BTreeMap<String, Option<RegistryValue>>,
}

impl<'a> Overlay<'a> {
    /// The guest with nothing planned.
    pub fn new(below: &'a dyn Guest) -> Self {
        Self {
            below,
            folds_case: below.folds_case(),
            nodes: Mutex::default(),
            known: Mutex::default(),
            registry: Mutex::default(),
        }
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<String, (String, Node)>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Option<Stat>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, path: &str) -> Option<Node> {
        self.nodes().get(self.key(path).as_ref()).map(|(_, node)| node.clone())
    }

    /// What names the same file has the same key.
    fn key<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if self.folds_case { Cow::Owned(folded(path)) } else { Cow::Borrowed(path) }
    }

    /// What is at a path without symlinks in its folders.
    fn stat_at(&self, path: &str) -> Result<Option<Stat>> {
        let stat = |kind, size, mode| Some(Stat::new(kind, size, mode));
        Ok(match self.node(path) {
            Some(Node::File { content, mode }) => stat(FileKind::File, content.len() as u64, mode),
            Some(Node::CopyIn { bytes, mode, .. }) => stat(FileKind::File, bytes, mode),
            Some(Node::Symlink(to)) => stat(FileKind::Symlink, to.len() as u64, 0o777),
            Some(Node::Nothing) => None,
            Some(Node::Folder) => stat(FileKind::Dir, 0, 0o755),
            None => match self.stat_below(path)? {
                None if self.holds_new(path) => stat(FileKind::Dir, 0, 0o755),
                found => found,
            },
        })
    }

    fn stat_below(&self, path: &str) -> Result<Option<Stat>> {
        if self.is_covered(path) {
            return Ok(None);
        }
        let key = self.key(path);
        if let Some(known) = self.known().get(key.as_ref()) {
            return Ok(*known);
        }
        let found = self.below.stat(path)?;
        self.known().insert(key.into_owned(), found);
        Ok(found)
    }

    /// Asks the guest below about these paths and the folders on their way at once, where it is not known yet what is there.
    fn look_ahead(&self, paths: &[&str]) {
        let on_the_way = paths.iter().flat_map(|path| folders_of(path).skip(1).chain([*path]));
        let is_unknown = |path: &&str| !self.known().contains_key(self.key(path).as_ref());
        let unknown: BTreeSet<&str> = on_the_way.filter(is_unknown).collect();
        let unknown: Vec<&str> = unknown.into_iter().collect();
        for (path, found) in unknown.iter().zip(self.below.stat_many(&unknown)) {
            // An error is asked for again, by whom it concerns.
            if let Ok(found) = found {
                self.known().insert(self.key(path).into_owned(), found);
            }
        }
    }

    /// The path without symlinks of the regular file at a path; `None` when there is nothing.
    fn file_at(&self, path: &str) -> Result<Option<String>> {
        match paths::resolve(self, path, true)? {
            Place::Found { path, kind: FileKind::File } => Ok(Some(path)),
            Place::Found { .. } => Err(no_file(path)),
            Place::Vacant { .. } | Place::Nowhere { .. } => Ok(None),
        }
    }

    /// Whether it lies in a folder that is new in the place of something else.
    fn is_covered(&self, path: &str) -> bool {
        let (key, nodes) = (self.key(path), self.nodes());
        folders_of(&key).any(|folder| nodes.get(folder).is_some_and(|(_, node)| *node == Node::Folder))
    }

    /// Whether something new lies below a path.
    fn holds_new(&self, path: &str) -> bool {
        let prefix = prefix(&self.key(path));
        let nodes = self.nodes();
        let mut below = nodes.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        below.any(|(_, (_, node))| *node != Node::Nothing)
    }

    fn link_at(&self, path: &str) -> Result<String> {
        match self.node(path) {
            Some(Node::Symlink(to)) => Ok(to),
            Some(_) => Err(PluginError::unusable(format!("{path}: not a symlink"))),
            None => self.below.read_link(path),
        }
    }

    /// The content of the file at a path without symlinks.
    fn content_at(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        match self.node(path) {
            Some(Node::File { content, .. }) if content.len() as u64 > limit => Err(PluginError::unusable(format!(
                "{path}: {} bytes, more than the {limit} that are read",
                content.len()
            ))),
            Some(Node::File { content, .. }) => Ok(content),
            Some(Node::CopyIn { from, .. }) => Err(PluginError::unusable(format!(
                "{path}: it will be a copy of {from} on this machine, which is not read while it is planned"
            ))),
            _ => self.below.read(path, limit)?.ok_or_else(|| gone(path)),
        }
    }

    /// The digest of the file at a path without symlinks.
    fn digest_at(&self, path: &str) -> Result<String> {
        match self.node(path) {
            Some(Node::CopyIn { sha256, .. }) => Ok(sha256),
            _ => self.content_at(path, FILE_LIMIT).map(|content| sha256_hex(&content)),
        }
    }

    fn put(&self, path: String, node: Node) -> Result<()> {
        for folder in folders_of(&path).filter(|folder| *folder != "/") {
            match self.stat_at(folder)?.map(|stat| stat.kind) {
                Some(FileKind::Dir) | None => {}
                Some(_) => return Err(PluginError::unusable(format!("{path}: {folder} is not a folder"))),
            }
        }
        let key = self.key(&path).into_owned();
        let mut nodes = self.nodes();
        for folder in folders_of(&key) {
            if let Some((_, node @ Node::Nothing)) = nodes.get_mut(folder) {
                *node = Node::Folder;
            }
        }
        nodes.insert(key, (path, node));
        Ok(())
    }

    /// Puts a file of this content, of which `new` makes the node for a mode.
    fn write(
        &self,
        target: &str,
        sha256: &str,
        mode: Option<u32>,
        old: Option<&str>,
        new: impl FnOnce(u32) -> Node,
    ) -> Result<AppliedStatus> {
        let place = paths::resolve(self, target, true)?;
        let current = match &place {
            Place::Found { path, kind: FileKind::File } => Some(self.digest_at(path)?),
            Place::Found { .. } => return Err(no_file(target)),
            Place::Vacant { .. } | Place::Nowhere { .. } => None,
        };
        let path = place.into_path();
        let old_mode = self.stat_at(&path)?.map(|stat| stat.mode);
        let mode = mode.or(old_mode).unwrap_or(NEW_MODE);
        if current.as_deref() == Some(sha256) && old_mode == Some(mode) {
            return Ok(AppliedStatus::Unchanged);
        }
        planned_against(target, current.as_deref(), old)?;
        self.put(path, new(mode))?;
        Ok(AppliedStatus::Done)
    }

    /// What a hive will hold shows in no file, since nothing here knows hives; but no two edits may want different things.
    fn edit_registry(&self, target: &str, edits: &[RegistryEdit]) -> Result<AppliedStatus> {
        let hive = self.key(&self.file(target)?).into_owned();
        let mut planned = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = planned.clone();
        for edit in edits {
            let key = new.entry([hive.clone(), folded(&edit.key)]).or_default();
            if edit.old_key_sha256.is_some() {
                key.is_removed = true;
            } else if key.values.entry(folded(&edit.name)).or_insert_with(|| edit.new.clone()) != &edit.new {
                return Err(PluginError::unusable(format!(
                    "{target}: the value \"{}\" of {} is wanted to be two different things",
                    edit.name, edit.key
                )));
            }
        }
        for ([of, key], _) in new.iter().filter(|(_, planned)| planned.is_removed) {
            let is_within = |[hive, path]: &[String; 2]| {
                hive == of
                    && path.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
            };
            if new.iter().any(|(place, planned)| is_within(place) && planned.values.values().any(Option::is_some)) {
                return Err(PluginError::unusable(format!(
                    "{target}: the key {key} is wanted to be removed, and to hold values"
                )));
            }
        }
        *planned = new;
        Ok(AppliedStatus::Done)
    }

    /// The path of the file at a path.
    fn file(&self, target: &str) -> Result<String> {
        match paths::resolve(self, target, true)? {
            Place::Found { path, kind: FileKind::File } => Ok(path),
            Place::Found { .. } => Err(no_file(target)),
            Place::Vacant { .. } | Place::Nowhere { .. } => Err(changed(target)),
        }
    }

    fn remove(&self, target: &str, old: Option<&str>) -> Result<AppliedStatus> {
        let Place::Found { path, kind } = paths::resolve(self, target, false)? else {
            return Ok(AppliedStatus::Unchanged);
        };
        match (kind, old) {
            (FileKind::File, Some(_)) => planned_against(target, Some(&self.digest_at(&path)?), old)?,
            (FileKind::Symlink, None) => {}
            (FileKind::File | FileKind::Symlink, _) => return Err(changed(target)),
            _ => return Err(PluginError::unusable(format!("{target}: neither a file nor a symlink"))),
        }
        self.put(path, Node::Nothing)?;
        Ok(AppliedStatus::Done)
    }

    fn symlink(&self, target: &str, to: &str) -> Result<AppliedStatus> {
        let place = paths::resolve(self, target, false)?;
        match &place {
            Place::Found { path, kind: FileKind::Symlink } if self.link_at(path)? == to => {
                return Ok(AppliedStatus::Unchanged);
            }
            Place::Found { kind: FileKind::File | FileKind::Symlink, .. } => {}
            Place::Found { .. } => {
                return Err(PluginError::unusable(format!("{target}: neither a file nor a symlink")));
            }
            Place::Vacant { .. } | Place::Nowhere { .. } => {}
        }
        self.put(place.into_path(), Node::Symlink(to.to_owned()))?;
        Ok(AppliedStatus::Done)
    }

    fn carry_out(&self, change: &Change) -> Result<AppliedStatus> {
        let target = change.target.as_str();
        // Every kind is named here: whoever adds one decides what shows of it.
        match &change.action {
            Action::WriteFile { content, mode, old_sha256 } => {
                let content = content.to_bytes()?;
                let digest = sha256_hex(&content);
                self.write(target, &digest, *mode, old_sha256.as_deref(), |mode| Node::File { content, mode })
            }
            Action::CopyFile { from, source_sha256, old_sha256 } => {
                let content = self.content_at(&self.file(from)?, FILE_LIMIT)?;
                let digest = sha256_hex(&content);
                planned_against(from, Some(&digest), Some(source_sha256))?;
                self.write(target, &digest, None, old_sha256.as_deref(), |mode| Node::File { content, mode })
            }
            Action::CopyIn { from, sha256, bytes, old_sha256, .. } => {
                let sha256 = sha256.to_ascii_lowercase();
                let node = |mode| Node::CopyIn { from: from.clone(), sha256: sha256.clone(), bytes: *bytes, mode };
                self.write(target, &sha256, None, old_sha256.as_deref(), node)
            }
            Action::Remove { old_sha256 } => self.remove(target, old_sha256.as_deref()),
            Action::Symlink { to } => self.symlink(target, to),
            Action::EditRegistry { edits } => self.edit_registry(target, edits),
            // Who reads a hive does the same in memory.
            Action::ReplayLog { .. } => self.file(target).map(|_| AppliedStatus::Done),
            // What a tool of the guest does cannot be foreseen, and what is done to devices shows in no file.
            Action::RemovePackages { .. }
            | Action::RebuildInitramfs { .. }
            | Action::ExtendInitramfs { .. }
            | Action::Grow { .. }
            | Action::EditDevice { .. } => Ok(AppliedStatus::Done),
        }
    }
}

impl Names for Overlay<'_> {
    fn kind(&self, path: &str) -> Result<Option<FileKind>> {
        Ok(self.stat_at(path)?.map(|stat| stat.kind))
    }

    fn link(&self, path: &str) -> Result<String> {
        self.link_at(path)
    }
}

impl Guest for Overlay<'_> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        match paths::resolve(self, path, false)? {
            Place::Found { path, .. } => self.stat_at(&path),
            Place::Vacant { .. } | Place::Nowhere { .. } => Ok(None),
        }
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file_at(path)? else { return Ok(None) };
        self.content_at(&file, limit).map(Some)
    }

    fn stat_many(&self, paths: &[&str]) -> Vec<Result<Option<Stat>>> {
        self.look_ahead(paths);
        paths.iter().map(|path| self.stat(path)).collect()
    }

    fn read_many(&self, paths: &[&str], limit: u64) -> Vec<Result<Option<Vec<u8>>>> {
        self.look_ahead(paths);
        let files: Vec<Result<Option<String>>> = paths.iter().map(|path| self.file_at(path)).collect();
        let is_below = |file: &&str| self.node(file).is_none();
        let below: BTreeSet<&str> = files.iter().flatten().flatten().map(String::as_str).filter(is_below).collect();
        let below: Vec<&str> = below.into_iter().collect();
        let read: BTreeMap<&str, Result<Vec<u8>>> = below
            .iter()
            .zip(self.below.read_many(&below, limit))
            .map(|(file, found)| (*file, found.and_then(|found| found.ok_or_else(|| gone(file)))))
            .collect();
        let content = |file: &String| match read.get(file.as_str()) {
            Some(content) => content.clone(),
            None => self.content_at(file, limit),
        };
        files.iter().map(|file| file.clone()?.as_ref().map(content).transpose()).collect()
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let Place::Found { path, kind: FileKind::Dir } = paths::resolve(self, path, true)? else { return Ok(None) };
        let is_new = self.is_covered(&path) || self.node(&path) == Some(Node::Folder);
        let below = if is_new { None } else { self.below.list(&path)? };
        let mut entries: BTreeMap<String, Entry> =
            below.unwrap_or_default().into_iter().map(|entry| (self.key(&entry.name).into_owned(), entry)).collect();
        let prefix = prefix(&self.key(&path));
        for (key, (path, node)) in self.nodes().range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix))
        {
            let (child, below) = match key[prefix.len()..].split_once('/') {
                Some((child, _)) => (child, true),
                None => (&key[prefix.len()..], false),
            };
            let kind = match node {
                Node::Nothing if below => continue,
                Node::Nothing => {
                    entries.remove(child);
                    continue;
                }
                _ if below => FileKind::Dir,
                Node::File { .. } | Node::CopyIn { .. } => FileKind::File,
                Node::Symlink(_) => FileKind::Symlink,
                Node::Folder => FileKind::Dir,
            };
            // A part has the same place in the path and in its key.
            let name = path.split('/').nth(prefix.matches('/').count()).unwrap_or(child);
            let entry = entries.entry(child.to_owned()).or_insert_with(|| Entry::new(name, kind));
            if !below {
                entry.kind = kind;
            }
        }
        let mut entries: Vec<Entry> = entries.into_values().collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    fn folds_case(&self) -> bool {
        self.folds_case
    }

    fn read_link(&self, path: &str) -> Result<String> {
        match paths::resolve(self, path, false)? {
            Place::Found { path, kind: FileKind::Symlink } => self.link_at(&path),
            _ => Err(PluginError::unusable(format!("{path}: not a symlink"))),
        }
    }

    fn storage(&self) -> Result<Storage> {
        self.below.storage()
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        Ok(Applied::new(self.carry_out(change)?))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// The folders of a path, the root first.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| if at == 0 { "/" } else { &path[..at] })
}

fn prefix(folder: &str) -> String {
    paths::join(folder, "")
}

fn gone(path: &str) -> PluginError {
    PluginError::unusable(format!("{path}: it has gone while it was read"))
}

fn no_file(path: &str) -> PluginError {
    PluginError::unusable(format!("{path}: not a regular file"))
}

/// The content is what the change was planned against.
fn planned_against(path: &str, current: Option<&str>, old: Option<&str>) -> Result<()> {
    match (current, old) {
        (None, None) => Ok(()),
        (Some(current), Some(old)) if current.eq_ignore_ascii_case(old) => Ok(()),
        _ => Err(changed(path)),
    }
}

/// As filesystems fold the case of names: letter by letter.
fn folded(name: &str) -> String {
    let upper = |letter: char| {
        let mut upper = letter.to_uppercase();
        if upper.len() == 1 { upper.next().unwrap_or(letter) } else { letter }
    };
    name.chars().map(upper).collect()
}

fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

fn changed(path: &str) -> PluginError {
    PluginError::unusable(format!("{path}: not what it was when the change was planned"))
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
