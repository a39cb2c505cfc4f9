//! A filesystem that somebody reads without mounting it.

use vmdk2kvm_plugin_api::{Entry, Result, Stat};

/// A filesystem. Its paths are absolute in it, and have no symlink in their folders, no `.` and no `..`.
///
/// An error is one of reading: what is damaged, or not understood. Of a file that is not there nothing but `None` is said.
pub trait Filesystem: Send + Sync {
    /// What is at a path, a symlink not followed.
    fn stat(&self, path: &str) -> Result<Option<Stat>>;

    /// The content of a regular file, whose size the caller has looked at.
    fn read(&self, path: &str) -> Result<Vec<u8>>;

    /// The first bytes of a regular file, however large it is.
    fn head(&self, path: &str, bytes: u64) -> Result<Vec<u8>> {
        let mut content = self.read(path)?;
        content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(content)
    }

    /// What is in a folder, without `.` and `..`, in any order.
    fn list(&self, path: &str) -> Result<Vec<Entry>>;

    /// Where a symlink points to, as stored.
    fn read_link(&self, path: &str) -> Result<String>;

    /// The room that is left.
    fn free(&self) -> Free {
        Free::default()
    }

    /// Whether the filesystem itself forbids changes in what is shown of it, whatever a mount says.
    fn is_read_only(&self) -> bool {
        false
    }
}

/// The room that is left in a filesystem for what is written by the guest's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Free {
    /// Bytes, where they are known.
    pub bytes: Option<u64>,
    /// Files, where they are known and have a limit.
    pub inodes: Option<u64>,
}
