//! The guest as it will be: a real guest, read only, with the changes planned so far laid over it in memory, so that a later fixer sees
//! what an earlier one wants. Nothing is written anywhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::{Action, Applied, AppliedStatus, Change, Storage};
use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, PluginError, Result, Stat};

/// No path has more symlinks than this (as in the kernel).
const SYMLINK_LIMIT: u32 = 40;

/// What a planned change leaves at a path.
#[derive(Clone)]
enum Node {
    File { content: Vec<u8>, mode: u32 },
    Symlink(String),
    Nothing,
}

/// A guest with planned changes laid over it.
pub(super) struct PlannedGuest<'a> {
    below: &'a dyn Guest,
    over: Mutex<Over>,
}

/// Keys are paths without symlinks, without a trailing slash.
#[derive(Default)]
struct Over {
    nodes: BTreeMap<String, Node>,
    /// Folders that were resolved, so that a path costs calls for its last part only.
    folders: BTreeMap<String, String>,
}

impl<'a> PlannedGuest<'a> {
    /// The guest with nothing planned.
    pub fn new(below: &'a dyn Guest) -> Self {
        Self { below, over: Mutex::default() }
    }

    fn node(&self, resolved: &str) -> Option<Node> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).nodes.get(resolved).cloned()
    }

    /// `path` with every symlink of its folders resolved, its last part as it is.
    fn resolve(&self, path: &str) -> Result<String> {
        let path = lexical(path)?;
        let Some((folder, name)) = path.rsplit_once('/') else { return Ok(path) };
        if name.is_empty() {
            return Ok("/".to_owned());
        }
        Ok(format!("{}/{name}", self.resolve_folder(folder, 0)?))
    }

    /// A folder without symlinks; the root is the empty text.
    fn resolve_folder(&self, folder: &str, depth: u32) -> Result<String> {
        if folder.is_empty() || folder == "/" {
            return Ok(String::new());
        }
        if depth > SYMLINK_LIMIT {
            return Err(PluginError::unusable(format!("{folder}: more than {SYMLINK_LIMIT} symbolic links")));
        }
        if let Some(known) = self.over.lock().unwrap_or_else(PoisonError::into_inner).folders.get(folder) {
            return Ok(known.clone());
        }
        let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        let plain = format!("{}/{name}", self.resolve_folder(above, depth)?);
        let resolved = match self.stat_resolved(&plain)? {
            Some(stat) if stat.kind == FileKind::Symlink => {
                let target = join(&plain, &self.read_link_resolved(&plain)?)?;
                self.resolve_folder(&target, depth + 1)?
            }
            _ => plain,
        };
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.folders.insert(folder.to_owned(), resolved.clone());
        Ok(resolved)
    }

    /// `path` with every symlink resolved, its last part's too.
    fn follow(&self, path: &str) -> Result<String> {
        let mut resolved = self.resolve(path)?;
        for _ in 0..SYMLINK_LIMIT {
            match self.stat_resolved(&resolved)? {
                Some(stat) if stat.kind == FileKind::Symlink => {
                    resolved = self.resolve(&join(&resolved, &self.read_link_resolved(&resolved)?)?)?;
                }
                _ => return Ok(resolved),
            }
        }
        Err(PluginError::unusable(format!("{path}: more than {SYMLINK_LIMIT} symbolic links")))
    }

    fn stat_resolved(&self, resolved: &str) -> Result<Option<Stat>> {
        let stat = |kind, size, mode| Stat::new(kind, size, mode);
        match self.node(resolved) {
            Some(Node::File { content, mode }) => Ok(Some(stat(FileKind::File, content.len() as u64, mode))),
            Some(Node::Symlink(to)) => Ok(Some(stat(FileKind::Symlink, to.len() as u64, 0o777))),
            Some(Node::Nothing) => Ok(None),
            None => match self.below.stat(resolved)? {
                Some(found) => Ok(Some(found)),
                None if self.has_children(resolved) => Ok(Some(stat(FileKind::Dir, 0, 0o755))),
                None => Ok(None),
            },
        }
    }

    fn has_children(&self, resolved: &str) -> bool {
        let prefix = format!("{resolved}/");
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.nodes
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .any(|(_, node)| !matches!(node, Node::Nothing))
    }

    fn read_link_resolved(&self, resolved: &str) -> Result<String> {
        match self.node(resolved) {
            Some(Node::Symlink(to)) => Ok(to),
            Some(_) => Err(PluginError::unusable(format!("{resolved} is not a symbolic link"))),
            None => self.below.read_link(resolved),
        }
    }

    fn put(&self, path: String, node: Node) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.nodes.insert(path, node);
        // A new symlink may change where folders lead.
        over.folders.clear();
    }
}

impl Guest for PlannedGuest<'_> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.stat_resolved(&self.resolve(path)?)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let resolved = self.follow(path)?;
        match self.node(&resolved) {
            Some(Node::File { content, .. }) if content.len() as u64 > limit => {
                Err(PluginError::unusable(format!("{path} is larger than {limit} bytes")))
            }
            Some(Node::File { content, .. }) => Ok(Some(content)),
            Some(_) => Ok(None),
            None => self.below.read(&resolved, limit),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let resolved = self.follow(path)?;
        let folder = if resolved == "/" { "" } else { resolved.as_str() };
        let below = self.below.list(&resolved)?;
        if below.is_none() && !self.has_children(folder) {
            return Ok(None);
        }
        let mut entries: BTreeMap<String, FileKind> =
            below.unwrap_or_default().into_iter().map(|entry| (entry.name, entry.kind)).collect();
        let prefix = format!("{folder}/");
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, node) in over.nodes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)) {
            let rest = &path[prefix.len()..];
            match (rest.split_once('/'), node) {
                (Some((child, _)), Node::File { .. } | Node::Symlink(_)) => {
                    entries.entry(child.to_owned()).or_insert(FileKind::Dir);
                }
                (None, Node::File { .. }) => {
                    entries.insert(rest.to_owned(), FileKind::File);
                }
                (None, Node::Symlink(_)) => {
                    entries.insert(rest.to_owned(), FileKind::Symlink);
                }
                (None, Node::Nothing) => {
                    entries.remove(rest);
                }
                (Some(_), Node::Nothing) => {}
            }
        }
        Ok(Some(entries.into_iter().map(|(name, kind)| Entry::new(name, kind)).collect()))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.read_link_resolved(&self.resolve(path)?)
    }

    fn storage(&self) -> Result<Storage> {
        self.below.storage()
    }

    /// Lays a change over the guest. What runs a tool of the guest cannot be foreseen and leaves no trace here, nor do larger devices.
    fn apply(&self, change: &Change) -> Result<Applied> {
        let target = &change.target;
        match &change.action {
            Action::WriteFile { content, mode, .. } => {
                let resolved = self.follow(target)?;
                let old = self.stat_resolved(&resolved)?.map(|stat| stat.mode);
                let mode = mode.or(old).unwrap_or(0o644);
                self.put(resolved, Node::File { content: content.to_bytes()?, mode });
            }
            Action::CopyFile { from, .. } => {
                let content = self.read(from, u64::MAX)?;
                let content = content.ok_or_else(|| PluginError::unusable(format!("{from} does not exist")))?;
                self.put(self.follow(target)?, Node::File { content, mode: 0o644 });
            }
            Action::Remove { .. } => self.put(self.resolve(target)?, Node::Nothing),
            Action::Symlink { to } => self.put(self.resolve(target)?, Node::Symlink(to.clone())),
            _ => {}
        }
        Ok(Applied::new(AppliedStatus::Done))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// An absolute path without `.`, `..` and double slashes.
fn lexical(path: &str) -> Result<String> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(PluginError::defect(format!("{path:?} is not an absolute path")));
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Where a symlink at `path` leads.
fn join(path: &str, to: &str) -> Result<String> {
    if to.starts_with('/') {
        return lexical(to);
    }
    let (folder, _) = path.rsplit_once('/').unwrap_or(("", path));
    lexical(&format!("{folder}/{to}"))
}
