//! A guest in memory, made of a literal tree. Applies the changes that need no program of the guest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Action, Applied, AppliedStatus, Change};
use vmdk2kvm_plugin_api::paths::{self, Names};
use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, PluginError, Result, Stat};

/// A folder of the machine is read up to these limits: so many entries, and so many bytes in all.
const ENTRY_LIMIT: usize = 100_000;
const BYTES_LIMIT: u64 = 256 << 20;

/// What is at a path of a [`MemoryGuest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Its content.
        content: Vec<u8>,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder.
    Dir,
    /// A symlink and what it points to.
    Symlink(String),
    /// A device, a FIFO, a socket.
    Other,
}

impl Node {
    fn kind(&self) -> FileKind {
        match self {
            Self::File { .. } => FileKind::File,
            Self::Dir => FileKind::Dir,
            Self::Symlink(_) => FileKind::Symlink,
            Self::Other => FileKind::Other,
        }
    }
}

/// A guest for tests. Folders exist where something is in them.
///
/// ```
/// use vmdk2kvm_plugin_api::Guest;
/// use vmdk2kvm_conformance::MemoryGuest;
///
/// let guest = MemoryGuest::new(&[("/boot/grub2/grub.cfg", "set timeout=5\n")]).symlink("/etc/grub2.cfg", "../boot/grub2/grub.cfg");
/// assert_eq!(guest.read_text("/etc/grub2.cfg").unwrap().as_deref(), Some("set timeout=5\n"));
/// assert_eq!(guest.read_text("/etc/fstab").unwrap(), None);
/// ```
#[derive(Debug, Default)]
pub struct MemoryGuest {
    nodes: Mutex<BTreeMap<String, Node>>,
    asked: Mutex<Vec<Change>>,
}

impl Clone for MemoryGuest {
    /// Another guest with the same files, of which nothing was asked yet.
    fn clone(&self) -> Self {
        Self { nodes: Mutex::new(self.tree()), asked: Mutex::default() }
    }
}

impl MemoryGuest {
    /// A guest with these files of text, by absolute path, mode 0644.
    ///
    /// # Panics
    ///
    /// As every method that adds something: when a path is not absolute, or leads through something that is no folder.
    #[track_caller]
    pub fn new(files: &[(&str, &str)]) -> Self {
        files.iter().fold(Self::default(), |guest, (path, text)| guest.file(path, text))
    }

    /// The same guest with a file.
    #[must_use]
    #[track_caller]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, content, 0o644)
    }

    /// The same guest with a file that has these permission bits.
    #[must_use]
    #[track_caller]
    pub fn file_with_mode(self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        self.with(path, Node::File { content: content.as_ref().to_vec(), mode })
    }

    /// The same guest with a symlink.
    #[must_use]
    #[track_caller]
    pub fn symlink(self, path: &str, to: &str) -> Self {
        self.with(path, Node::Symlink(to.to_owned()))
    }

    /// The same guest with a folder.
    #[must_use]
    #[track_caller]
    pub fn dir(self, path: &str) -> Self {
        self.with(path, Node::Dir)
    }

    /// The same guest with whatever is at a path.
    #[must_use]
    #[track_caller]
    pub fn with(self, path: &str, node: Node) -> Self {
        let place = self.place(path).unwrap_or_else(|error| panic!("{error}"));
        self.put(&place, Some(node)).unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// The guest in a folder of this machine: an unpacked image, a chroot. Symlinks stay what they are; owners and empty files' times are
    /// not kept.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let guest = Self::default();
        let (mut queue, mut entries, mut bytes) = (vec![(folder.to_owned(), String::new())], 0, 0);
        while let Some((folder, above)) = queue.pop() {
            let failed = |error| PluginError::from_io(folder.display(), &error);
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let (path, metadata) = (entry.path(), entry.metadata().map_err(failed)?);
                let inside = format!("{above}/{}", entry.file_name().to_string_lossy());
                let failed = |error| PluginError::from_io(path.display(), &error);
                entries += 1;
                bytes += if metadata.is_file() { metadata.len() } else { 0 };
                if entries > ENTRY_LIMIT || bytes > BYTES_LIMIT {
                    let limits = format!("more than {ENTRY_LIMIT} files or {} MiB", BYTES_LIMIT >> 20);
                    return Err(PluginError::unusable(format!("{}: {limits}", path.display()))
                        .hint("keep only what the test is about"));
                }
                let node = if metadata.is_dir() {
                    queue.push((path.clone(), inside.clone()));
                    Node::Dir
                } else if metadata.is_symlink() {
                    Node::Symlink(std::fs::read_link(&path).map_err(failed)?.to_string_lossy().into_owned())
                } else if metadata.is_file() {
                    use std::os::unix::fs::PermissionsExt;
                    let mode = metadata.permissions().mode() & 0o7777;
                    Node::File { content: std::fs::read(&path).map_err(failed)?, mode }
                } else {
                    Node::Other
                };
                guest.lock().insert(inside, node);
            }
        }
        Ok(guest)
    }

    /// Another guest that has this at a path instead of what is there, if anything; `None` when the path leads through no folder.
    pub fn replaced(&self, path: &str, node: Node) -> Option<Self> {
        let other = self.clone();
        let place = other.place(path).ok()?;
        let below = format!("{place}/");
        other.lock().retain(|path, _| *path != place && !path.starts_with(&below));
        other.put(&place, Some(node)).ok()?;
        Some(other)
    }

    /// Everything in it, by absolute path.
    pub fn tree(&self) -> BTreeMap<String, Node> {
        self.lock().clone()
    }

    /// Every change that it was asked to apply, refused ones included.
    pub fn asked(&self) -> Vec<Change> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it can carry out a change: all that need no program of the guest.
    pub fn can_apply(action: &Action) -> bool {
        use Action as A;
        matches!(action, A::WriteFile { .. } | A::Remove { .. } | A::Symlink { .. } | A::CopyFile { .. })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path without symlinks in its folders; of its last part, too, when `follow`. The root is the empty text.
    fn resolve(&self, path: &str, follow: bool) -> Result<String> {
        let place = paths::resolve(self, path, follow)?.into_path();
        Ok(if place == "/" { String::new() } else { place })
    }

    /// Where a file of this path is, or would be made.
    fn place(&self, path: &str) -> Result<String> {
        let place = self.resolve(path, false)?;
        if place.is_empty() { Err(PluginError::unusable("/: it is the root folder")) } else { Ok(place) }
    }

    /// Puts something at a resolved path, with the folders above; `None` removes what is there.
    fn put(&self, place: &str, node: Option<Node>) -> Result<()> {
        let mut nodes = self.lock();
        let above: Vec<&str> = place.match_indices('/').skip(1).map(|(at, _)| &place[..at]).collect();
        if let Some(no_folder) = above.iter().find(|above| nodes.get(**above).is_some_and(|node| *node != Node::Dir)) {
            return Err(PluginError::unusable(format!("{place}: {no_folder} is not a folder")));
        }
        match node {
            Some(node) => {
                above.into_iter().for_each(|above| _ = nodes.insert(above.to_owned(), Node::Dir));
                nodes.insert(place.to_owned(), node);
            }
            None => _ = nodes.remove(place),
        }
        Ok(())
    }

    fn node(&self, path: &str, follow: bool) -> Result<Option<Node>> {
        let place = self.resolve(path, follow)?;
        Ok(if place.is_empty() { Some(Node::Dir) } else { self.lock().get(&place).cloned() })
    }

    fn file_at(&self, path: &str) -> Result<Option<(Vec<u8>, u32)>> {
        match self.node(path, true)? {
            None => Ok(None),
            Some(Node::File { content, mode }) => Ok(Some((content, mode))),
            Some(_) => Err(PluginError::unusable(format!("{path}: not a regular file"))),
        }
    }

    fn write(&self, path: &str, content: Vec<u8>, mode: Option<u32>, old: Option<&str>) -> Result<AppliedStatus> {
        let current = self.file_at(path)?;
        if current.as_ref().is_some_and(|(now, _)| *now == content) {
            return Ok(AppliedStatus::Unchanged);
        }
        planned_against(path, current.as_ref().map(|(now, _)| now.as_slice()), old)?;
        let mode = mode.or(current.map(|(_, mode)| mode)).unwrap_or(0o644);
        self.put(&self.resolve(path, true)?, Some(Node::File { content, mode }))?;
        Ok(AppliedStatus::Done)
    }

    fn carry_out(&self, change: &Change) -> Result<AppliedStatus> {
        let path = change.target.as_str();
        match &change.action {
            Action::WriteFile { content, mode, old_sha256 } => {
                self.write(path, content.to_bytes()?, *mode, old_sha256.as_deref())
            }
            Action::CopyFile { from, source_sha256, old_sha256 } => {
                let source = self.file_at(from)?.map(|(content, _)| content);
                planned_against(from, source.as_deref(), Some(source_sha256))?;
                self.write(path, source.unwrap_or_default(), None, old_sha256.as_deref())
            }
            Action::Remove { old_sha256 } => {
                match self.node(path, false)? {
                    None => return Ok(AppliedStatus::Unchanged),
                    Some(Node::Symlink(_)) if old_sha256.is_none() => {}
                    Some(Node::File { content, .. }) if old_sha256.is_some() => {
                        planned_against(path, Some(&content), old_sha256.as_deref())?;
                    }
                    Some(_) => return Err(changed(path)),
                }
                self.put(&self.place(path)?, None)?;
                Ok(AppliedStatus::Done)
            }
            Action::Symlink { to } => {
                let new = Node::Symlink(to.clone());
                match self.node(path, false)? {
                    Some(node) if node == new => return Ok(AppliedStatus::Unchanged),
                    None | Some(Node::File { .. } | Node::Symlink(_)) => {}
                    Some(_) => return Err(PluginError::unusable(format!("{path}: neither a file nor a symlink"))),
                }
                self.put(&self.place(path)?, Some(new))?;
                Ok(AppliedStatus::Done)
            }
            other => Err(PluginError::unusable(format!("{path}: a guest in memory cannot {}", other.kind()))),
        }
    }
}

impl Names for MemoryGuest {
    fn kind(&self, path: &str) -> Result<Option<FileKind>> {
        Ok(self.lock().get(path).map(Node::kind))
    }

    fn link(&self, path: &str) -> Result<String> {
        match self.lock().get(path) {
            Some(Node::Symlink(to)) => Ok(to.clone()),
            _ => Err(PluginError::unusable(format!("{path}: not a symlink"))),
        }
    }
}

impl Guest for MemoryGuest {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let stat = |kind, size, mode| Stat::new(kind, size, mode);
        Ok(self.node(path, false)?.map(|node| match node {
            Node::File { content, mode } => stat(FileKind::File, content.len() as u64, mode),
            Node::Dir => stat(FileKind::Dir, 0, 0o755),
            Node::Symlink(_) => stat(FileKind::Symlink, 0, 0o777),
            Node::Other => stat(FileKind::Other, 0, 0o600),
        }))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.file_at(path)? {
            Some((content, _)) if content.len() as u64 > limit => {
                Err(PluginError::unusable(format!("{path}: it has {} bytes, the limit is {limit}", content.len())))
            }
            found => Ok(found.map(|(content, _)| content)),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let place = self.resolve(path, true)?;
        let nodes = self.lock();
        match nodes.get(&place) {
            Some(Node::Dir) => {}
            None if place.is_empty() => {}
            None => return Ok(None),
            Some(_) => return Err(PluginError::unusable(format!("{path}: not a folder"))),
        }
        let prefix = format!("{place}/");
        let below = nodes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let inside = below.filter(|(path, _)| !path[prefix.len()..].contains('/'));
        let entries = inside.map(|(path, node)| Entry::new(&path[prefix.len()..], node.kind()));
        Ok(Some(entries.collect()))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        match self.node(path, false)? {
            Some(Node::Symlink(to)) => Ok(to),
            _ => Err(PluginError::unusable(format!("{path}: not a symlink"))),
        }
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(change.clone());
        Ok(Applied::new(self.carry_out(change)?))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// The content is what the plan was made against.
fn planned_against(path: &str, current: Option<&[u8]>, old: Option<&str>) -> Result<()> {
    let current = current.map(|bytes| format!("{:x}", Sha256::digest(bytes)));
    if current.as_deref() == old { Ok(()) } else { Err(changed(path)) }
}

fn changed(path: &str) -> PluginError {
    PluginError::unusable(format!("{path}: not what it was when the change was planned"))
}

#[cfg(test)]
#[path = "guest_tests.rs"]
mod tests;
