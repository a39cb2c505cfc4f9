//! The files of a source, in memory: what a flattener is given.

use std::collections::BTreeMap;
use std::path::Path;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use super::MemorySource;

/// A folder of this machine is read up to so many bytes in all.
const BYTES_LIMIT: u64 = 256 << 20;

/// A `Transport` over disks in memory, as strict about names as a real one: a name is plain, relative, and of a file that is there.
///
/// ```
/// use vmdk2kvm_plugin_api::Transport;
/// use vmdk2kvm_conformance::{MemoryFiles, MemorySource};
///
/// let files = MemoryFiles::default().with("web.img", b"content").with_source("base.img", MemorySource::new([0; 512]));
/// assert_eq!(files.open("web.img").unwrap().size(), 7);
/// assert!(files.resolve("web.img", "../../etc/passwd").is_err());
/// ```
#[derive(Clone, Default)]
pub struct MemoryFiles(BTreeMap<String, MemorySource>);

impl MemoryFiles {
    /// The same files and one more.
    #[must_use]
    pub fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.with_source(name, MemorySource::new(bytes.as_ref()))
    }

    /// The same files and one more, which may have holes and faults.
    #[must_use]
    pub fn with_source(mut self, name: &str, source: MemorySource) -> Self {
        self.0.insert(name.to_owned(), source);
        self
    }

    /// The regular files directly in a folder of this machine.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let failed = |error| PluginError::from_io(folder.display(), &error);
        let (mut files, mut bytes) = (Self::default(), 0);
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, metadata) = (entry.path(), entry.metadata().map_err(failed)?);
            if !metadata.is_file() {
                continue;
            }
            bytes += metadata.len();
            if bytes > BYTES_LIMIT {
                let limit = format!("{}: its files have more than {} MiB", folder.display(), BYTES_LIMIT >> 20);
                return Err(PluginError::unusable(limit).hint("use a small sample in a folder of its own"));
            }
            let content = std::fs::read(&path).map_err(|error| PluginError::from_io(path.display(), &error))?;
            files = files.with_source(&entry.file_name().to_string_lossy(), MemorySource::new(content));
        }
        Ok(files)
    }

    /// A file, to ask how often it was read.
    pub fn get(&self, name: &str) -> Option<&MemorySource> {
        self.0.get(name)
    }
}

impl Transport for MemoryFiles {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        match self.0.get(object) {
            Some(source) => Ok(Box::new(source.clone())),
            None => Err(PluginError::unusable(format!("{object}: there is no such file"))),
        }
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        let name = name.replace('\\', "/");
        if name.starts_with('/') || name.contains(':') || name.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(PluginError::unusable(format!("{from}: the name '{name}' is refused")));
        }
        Ok(name)
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        use sha2::{Digest, Sha256};
        let missing = || PluginError::unusable(format!("{object}: there is no such file"));
        self.0.get(object).map(|source| format!("{:x}", Sha256::digest(source.bytes()))).ok_or_else(missing)
    }
}
