//! Files in one folder of ours, by their names: what a plugin has brought. Nothing in them leads out of it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use crate::copy::FileSource;
use crate::events::escape;

/// A folder whose files are read by their plain names.
pub(in crate::pipeline) struct Folder(PathBuf);

impl Folder {
    /// The files of this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The path of a regular file in the folder; links are none.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let refused = |why: &str| PluginError::unusable(format!("the name '{}' is refused: {why}", escape(name)));
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(refused("it is no plain name"));
        }
        let path = self.0.join(name);
        let found = path.symlink_metadata().map_err(|error| PluginError::from_io(path.display(), &error))?;
        if found.is_file() { Ok(path) } else { Err(refused("it is no regular file")) }
    }
}

impl Transport for Folder {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        Ok(Box::new(FileSource::open(&self.path(object)?)?))
    }

    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        self.path(name).map(|_| name.to_owned())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        let path = self.path(object)?;
        let found = path.metadata().map_err(|error| PluginError::from_io(path.display(), &error))?;
        let (changed, nanoseconds) = (found.mtime(), found.mtime_nsec());
        Ok(format!("{} {} {} {changed}.{nanoseconds}", found.dev(), found.ino(), found.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("disk1");
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir(folder.join("deeper")).unwrap();
        std::fs::write(base.path().join("secret"), "x").unwrap();
        std::fs::write(folder.join("disk.vmdk"), "disk").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        let files = Folder::new(folder);
        assert_eq!(files.open("disk.vmdk").unwrap().size(), 4);
        assert_eq!(files.resolve("disk.vmdk", "disk.vmdk").unwrap(), "disk.vmdk");
        for name in ["../secret", "/etc/passwd", "..", ".", "", "a\0b", "./disk.vmdk"] {
            let error = files.resolve("disk.vmdk", name).unwrap_err();
            assert!(error.message.ends_with("is refused: it is no plain name"), "{error}");
        }
        for name in ["link", "deeper"] {
            let Err(error) = files.open(name) else { panic!("{name} was opened") };
            assert_eq!(error.message, format!("the name '{name}' is refused: it is no regular file"));
        }
    }
}
