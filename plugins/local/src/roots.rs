//! The folders a source is bound to: that of the source itself, and that of each further disk.
//!
//! Owns the translation between object references (absolute paths as text) and files beneath one of these folders. Both
//! faces of the fetcher open files through it and in no other way.

use std::path::{Component, Path, PathBuf};

use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::beneath::Folder;
use crate::file_source::FileSource;
use crate::given::{self, Given};
use crate::names;

/// A source followed to the file system.
#[derive(Debug)]
pub struct Roots {
    /// What the source itself is.
    pub main: Given,
    /// Canonical paths of the further disks, in order.
    pub extra: Vec<PathBuf>,
    folders: Vec<Folder>,
}

impl Roots {
    /// Follows the user's words and opens their folders.
    pub fn open(source: &SourceRef) -> Result<Self> {
        let main = given::look(&source.uri)?;
        let mut folders = vec![Folder::open(main.root())?];
        let mut extra = Vec::new();
        for uri in &source.extra_disks {
            let given = given::look(uri)?;
            if !folders.iter().any(|folder| folder.path() == given.root()) {
                folders.push(Folder::open(given.root())?);
            }
            match given {
                Given::File(path) => extra.push(path),
                Given::Folder(path) => {
                    return Err(PluginError::unusable(format!(
                        "{}: a further disk must be a file, and this is a folder",
                        names::shown_path(&path)
                    ))
                    .hint("name the disk's file itself"));
                }
            }
        }
        Ok(Self { main, extra, folders })
    }

    /// Opens the object for reading.
    pub fn source(&self, object: &str) -> Result<FileSource> {
        let (folder, relative) = self.locate(object)?;
        let file = folder.open_file(relative)?;
        FileSource::new(file, names::shown(object))
    }

    /// The object that `name`, found inside the object `from`, means.
    pub fn resolve(&self, from: &str, name: &str) -> Result<String> {
        let (root, relative) = self.locate(from)?;
        let below = names::relative(name).map_err(|reason| names::refused(&names::shown(from), name, reason))?;
        let folder = relative.parent().unwrap_or(Path::new(""));
        names::object_of(&root.path().join(folder).join(below))
    }

    /// The folder an object lies in, the innermost of several, and the path below it.
    fn locate<'a>(&self, object: &'a str) -> Result<(&Folder, &'a Path)> {
        let path = Path::new(object);
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        self.folders
            .iter()
            .filter(|_| plain)
            .filter_map(|folder| Some((folder, path.strip_prefix(folder.path()).ok()?)))
            .filter(|(_, below)| !below.as_os_str().is_empty())
            .min_by_key(|(_, below)| below.components().count())
            .ok_or_else(|| {
                PluginError::unusable(format!("{}: the file is outside of the source's folder", names::shown(object)))
                    .hint("copy the file into the folder of the source")
            })
    }
}
