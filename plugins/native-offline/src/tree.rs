//! A filesystem of numbered nodes, looked up by path: what XFS, btrfs, FAT and NTFS have in common.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_offline_guest::{Filesystem, Free};
use vmdk2kvm_plugin_api::{Entry, FileKind, PluginError, Result, Stat};

/// Longest target of a symlink, in bytes: Linux's own limit.
pub const MAX_TARGET: u64 = 4096;
/// Most bytes of a file: more than any boot archive has, and any registry hive.
pub const MAX_FILE: u64 = 1 << 30;
/// Most entries of one folder.
pub const MAX_ENTRIES: usize = 1 << 20;
/// Most folders whose entries are kept.
pub const MAX_FOLDERS: usize = 4096;

/// A filesystem of nodes.
pub trait Nodes: Send + Sync {
    /// How a node is named.
    type Id: Copy + Send + Sync;

    /// The top folder.
    fn root(&self) -> Self::Id;

    /// What a node is.
    fn stat(&self, id: Self::Id) -> Result<Stat>;

    /// What is in a folder: names, nodes, kinds.
    fn list(&self, id: Self::Id) -> Result<Vec<Named<Self::Id>>>;

    /// The content of a regular file of at most [`MAX_FILE`] bytes.
    fn read(&self, id: Self::Id) -> Result<Vec<u8>>;

    /// The first bytes of a regular file, however large it is.
    fn head(&self, id: Self::Id, bytes: u64) -> Result<Vec<u8>> {
        let mut content = self.read(id)?;
        content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(content)
    }

    /// The target of a symlink of at most [`MAX_TARGET`] bytes.
    fn read_link(&self, id: Self::Id) -> Result<Vec<u8>>;

    /// The form of a name by which names are compared.
    fn key(&self, name: &[u8]) -> Vec<u8> {
        name.to_vec()
    }

    /// By which names the nodes in a folder are found.
    fn keys(&self, id: Self::Id) -> Result<Vec<(Vec<u8>, Self::Id)>> {
        Ok(self.list(id)?.into_iter().map(|entry| (self.key(&entry.name), entry.id)).collect())
    }

    /// The room that is left.
    fn free(&self) -> Free {
        Free::default()
    }

    /// Whether the filesystem itself forbids changes.
    fn is_read_only(&self) -> bool {
        false
    }
}

/// An entry of a folder.
pub struct Named<I> {
    /// Name.
    pub name: Vec<u8>,
    /// Node.
    pub id: I,
    /// Kind.
    pub kind: FileKind,
}

/// A folder's entries by the keys of their names.
type Folder<I> = Arc<HashMap<Vec<u8>, I>>;

/// The filesystem by path.
pub struct Tree<N: Nodes> {
    nodes: N,
    folders: Mutex<HashMap<String, Folder<N::Id>>>,
}

impl<N: Nodes> Tree<N> {
    /// That of these nodes.
    pub fn new(nodes: N) -> Self {
        Self { nodes, folders: Mutex::default() }
    }

    fn find(&self, path: &str) -> Result<Option<N::Id>> {
        if path == "/" {
            return Ok(Some(self.nodes.root()));
        }
        let (above, name) = path.rsplit_once('/').ok_or_else(|| PluginError::defect(format!("{path}: no path")))?;
        let above = if above.is_empty() { "/" } else { above };
        let known = self.folders.lock().unwrap_or_else(PoisonError::into_inner).get(above).cloned();
        let folder = match known {
            Some(folder) => folder,
            None => {
                let Some(id) = self.find(above)? else { return Ok(None) };
                if self.nodes.stat(id)?.kind != FileKind::Dir {
                    return Ok(None);
                }
                let folder: Folder<N::Id> = Arc::new(self.nodes.keys(id)?.into_iter().collect());
                let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
                if folders.len() >= MAX_FOLDERS {
                    folders.clear();
                }
                folders.insert(above.to_owned(), folder.clone());
                folder
            }
        };
        Ok(folder.get(&self.nodes.key(name.as_bytes())).copied())
    }

    fn need(&self, path: &str) -> Result<N::Id> {
        self.find(path)?.ok_or_else(|| PluginError::unusable("it has gone"))
    }
}

impl<N: Nodes> Filesystem for Tree<N> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.find(path)?.map(|id| self.nodes.stat(id)).transpose()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.nodes.read(self.need(path)?)
    }

    fn head(&self, path: &str, bytes: u64) -> Result<Vec<u8>> {
        self.nodes.head(self.need(path)?, bytes)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let entries = self.nodes.list(self.need(path)?)?;
        Ok(entries.into_iter().map(|entry| Entry::new(String::from_utf8_lossy(&entry.name), entry.kind)).collect())
    }

    fn read_link(&self, path: &str) -> Result<String> {
        let target = self.nodes.read_link(self.need(path)?)?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }

    fn free(&self) -> Free {
        self.nodes.free()
    }

    fn is_read_only(&self) -> bool {
        self.nodes.is_read_only()
    }
}

/// The kind in a Unix mode.
pub fn kind_of_mode(mode: u32) -> FileKind {
    match mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Dir,
        0o120_000 => FileKind::Symlink,
        _ => FileKind::Other,
    }
}
