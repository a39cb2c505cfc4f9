//! What was read from the guest, kept so that each fixer's look at the same files costs nothing.
//!
//! Keys are resolved paths (no symlink in any folder part), so that one change drops exactly what it touched, whatever name it
//! was read by. Contents are kept beyond a change of unknown reach (a package removal) and believed again only when the file's
//! device, inode, size and times are still the same.

use std::collections::HashMap;
use std::sync::Arc;

use vmdk2kvm_plugin_api::Entry;

use crate::binding::FileStat;

/// Most bytes of file contents that are kept.
const MAX_BYTES: usize = 256 << 20;

/// What is known about the guest's files.
#[derive(Default)]
pub struct Cache {
    stats: HashMap<String, Option<FileStat>>,
    links: HashMap<String, String>,
    folders: HashMap<String, Arc<Vec<Entry>>>,
    questions: HashMap<String, u32>,
    contents: HashMap<String, ([i64; 7], Arc<Vec<u8>>)>,
    bytes: usize,
}

/// After this many single questions about one folder, all of it is asked for at once.
const PATIENCE: u32 = 3;

impl Cache {
    /// What is at a resolved path; `None` when not known yet.
    pub fn stat(&self, path: &str) -> Option<Option<FileStat>> {
        self.stats.get(path).copied()
    }

    /// Remembers what is at a path.
    pub fn put_stat(&mut self, path: &str, found: Option<FileStat>) {
        self.stats.insert(path.to_owned(), found);
    }

    /// Counts a single question about a folder; true when it is time to read all of it.
    pub fn asked_about(&mut self, folder: &str) -> bool {
        let count = self.questions.entry(folder.to_owned()).or_default();
        *count += 1;
        *count == PATIENCE
    }

    /// Where a symlink points to.
    pub fn link(&self, path: &str) -> Option<&String> {
        self.links.get(path)
    }

    /// Remembers a symlink.
    pub fn put_link(&mut self, path: &str, to: &str) {
        self.links.insert(path.to_owned(), to.to_owned());
    }

    /// The entries of a folder.
    pub fn folder(&self, path: &str) -> Option<Arc<Vec<Entry>>> {
        self.folders.get(path).cloned()
    }

    /// Remembers a folder.
    pub fn put_folder(&mut self, path: &str, entries: Arc<Vec<Entry>>) {
        self.folders.insert(path.to_owned(), entries);
    }

    /// Whether a folder that was read has no such entry.
    pub fn absent(&self, folder: &str, name: &str) -> bool {
        self.folders
            .get(folder)
            .is_some_and(|entries| entries.binary_search_by(|one| one.name.as_str().cmp(name)).is_err())
    }

    /// The content of a file, when it is still the file it was read from.
    pub fn content(&self, path: &str, now: &FileStat) -> Option<Arc<Vec<u8>>> {
        self.contents.get(path).filter(|(identity, _)| *identity == now.identity).map(|(_, bytes)| bytes.clone())
    }

    /// Keeps a file's content, unless it is too large to keep.
    pub fn put_content(&mut self, path: &str, of: &FileStat, bytes: &Arc<Vec<u8>>) {
        self.drop_content(path);
        if bytes.len() > MAX_BYTES {
            return;
        }
        if self.bytes + bytes.len() > MAX_BYTES {
            self.contents.clear();
            self.bytes = 0;
        }
        self.bytes += bytes.len();
        self.contents.insert(path.to_owned(), (of.identity, bytes.clone()));
    }

    /// Forgets what is at a path, and what its folder holds.
    pub fn changed(&mut self, path: &str) {
        self.stats.remove(path);
        self.links.remove(path);
        self.folders.remove(path);
        self.folders.remove(vmdk2kvm_plugin_api::paths::parent(path));
        self.drop_content(path);
    }

    /// Forgets everything but contents, which are checked before they are believed.
    pub fn anything_changed(&mut self) {
        self.stats.clear();
        self.links.clear();
        self.folders.clear();
        self.questions.clear();
    }

    fn drop_content(&mut self, path: &str) {
        if let Some((_, old)) = self.contents.remove(path) {
            self.bytes -= old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmdk2kvm_plugin_api::{FileKind, Stat};

    fn stat(mtime: i64) -> FileStat {
        let stat = Stat::new(FileKind::File, 3, 0o644);
        FileStat { stat, identity: [1, 2, 3, mtime, 0, 0, 0] }
    }

    #[test]
    fn a_content_is_believed_only_for_the_same_file() {
        let mut cache = Cache::default();
        let bytes = Arc::new(b"abc".to_vec());
        cache.put_content("/a", &stat(1), &bytes);
        cache.anything_changed();
        assert_eq!(cache.content("/a", &stat(1)), Some(bytes));
        assert_eq!(cache.content("/a", &stat(2)), None);
    }

    #[test]
    fn a_change_drops_the_file_and_its_folder_only() {
        let mut cache = Cache::default();
        cache.put_stat("/etc/a", Some(stat(1)));
        cache.put_stat("/etc/b", Some(stat(1)));
        cache.put_folder("/etc", Arc::new(vec![Entry::new("a", FileKind::File)]));
        assert!(cache.absent("/etc", "c") && !cache.absent("/etc", "a") && !cache.absent("/usr", "c"));
        cache.changed("/etc/a");
        assert_eq!(cache.stat("/etc/a"), None);
        assert!(cache.stat("/etc/b").is_some() && cache.folder("/etc").is_none());
    }

    #[test]
    fn contents_are_bounded() {
        let mut cache = Cache::default();
        let half = Arc::new(vec![0u8; MAX_BYTES / 2 + 1]);
        cache.put_content("/a", &stat(1), &half);
        cache.put_content("/b", &stat(1), &half);
        assert_eq!(cache.content("/a", &stat(1)), None);
        assert!(cache.content("/b", &stat(1)).is_some());
        cache.put_content("/b", &stat(2), &Arc::new(Vec::new()));
        assert_eq!(cache.bytes, 0);
    }
}
