//! References to files of datastores, on which catalogs and transports agree.
//!
//! A way of the scheme [`SCHEME`] has the object `[DATASTORE] FOLDER/FILE.vmdk` as the API writes it, and two further words: [`DATACENTER`], the
//! inventory path of its datacenter, and, of a disk whose parents lie in other folders, [`PARENTS`]: their objects, nearest first, a line each.

use std::fmt;

use vmdk2kvm_plugin_api::model::Way;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The scheme of a file on a datastore.
pub const SCHEME: &str = "datastore-file";
/// The word for the datacenter.
pub const DATACENTER: &str = "datacenter";
/// The word for parents.
pub const PARENTS: &str = "parents";
/// The member of a hold's notes that names the secret by which the session is lent.
pub const SESSION_NOTE: &str = "session";

/// A file on a datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The datastore.
    pub datastore: String,
    /// The path on it, without a slash at its beginning.
    pub path: String,
}

impl File {
    /// Reads `[DATASTORE] PATH`.
    pub fn parse(object: &str) -> Result<Self> {
        let parts = object.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let inside = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0');
        match parts {
            Some((datastore, path)) if !datastore.is_empty() && inside(path) => {
                Ok(Self { datastore: datastore.to_owned(), path: path.to_owned() })
            }
            _ => Err(PluginError::unusable(format!("'{}' is not a file of a datastore", escape(object)))),
        }
    }

    /// Its folder; empty for what lies at the datastore's root.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Its last part.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// A file of this name beside it, or below its folder. The name is hostile.
    pub fn beside(&self, name: &str) -> Result<Self> {
        let refused = |why: &str| {
            PluginError::unusable(format!("{self}: the name '{}' is refused: it is {why}", escape(name)))
                .hint("consolidate the VM's disks, or clone it, so that all its files lie in its folder")
        };
        if name.is_empty() || name.len() > 4096 {
            return Err(refused("empty, or longer than 4096 bytes"));
        }
        if name.starts_with('/') {
            return Err(refused("an absolute path"));
        }
        let path = if self.folder().is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder()) };
        Self::parse(&format!("[{}] {path}", self.datastore))
            .map_err(|_| refused("a path that leads outside of its folder"))
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.datastore, self.path)
    }
}

/// The way to the topmost file of a chain, `parents` nearest first.
pub fn way(file: &File, datacenter: &str, parents: &[File]) -> Way {
    let elsewhere = parents.iter().any(|parent| parent.datastore != file.datastore || parent.folder() != file.folder());
    Way::new(SCHEME, file.to_string(), "vmdk").with(|way| {
        way.extra.insert(DATACENTER.to_owned(), datacenter.to_owned());
        if elsewhere {
            let lines: Vec<String> = parents.iter().map(File::to_string).collect();
            way.extra.insert(PARENTS.to_owned(), lines.join("\n"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_stay_in_their_folders() {
        let file = File::parse("[ds 1] a & b/c%.vmdk").unwrap();
        assert_eq!(
            (file.datastore.as_str(), file.path.as_str(), file.folder(), file.name()),
            ("ds 1", "a & b/c%.vmdk", "a & b", "c%.vmdk")
        );
        for (name, found) in [("c-flat.vmdk", "[ds 1] a & b/c-flat.vmdk"), ("sub/d.vmdk", "[ds 1] a & b/sub/d.vmdk")] {
            assert_eq!(file.beside(name).unwrap().to_string(), found);
        }
        for (name, why) in [
            ("../x/y.vmdk", "a path that leads outside of its folder"),
            ("/vmfs/volumes/x/y.vmdk", "an absolute path"),
            ("a//b", "a path that leads outside of its folder"),
            ("", "empty, or longer than 4096 bytes"),
        ] {
            let error = file.beside(name).unwrap_err();
            assert_eq!(error.message, format!("[ds 1] a & b/c%.vmdk: the name '{name}' is refused: it is {why}"));
        }
        assert_eq!(File::parse("[d] x.vmdk").unwrap().beside("y").unwrap().to_string(), "[d] y");
        for wrong in ["", "x", "[] x", "[ds]x", "[ds] ", "[ds] /x", "[ds] a/../b", "[ds] a\0"] {
            assert!(File::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parents_in_other_folders_are_named() {
        let file = |text: &str| File::parse(text).unwrap();
        let here = way(&file("[d] a/b-000001.vmdk"), "DC", &[file("[d] a/b.vmdk")]);
        assert_eq!((here.object.as_str(), here.extra.len()), ("[d] a/b-000001.vmdk", 1));
        let linked = way(&file("[d] a/b-000001.vmdk"), "DC", &[file("[d] a/b.vmdk"), file("[e] x/y.vmdk")]);
        assert_eq!(linked.extra[PARENTS], "[d] a/b.vmdk\n[e] x/y.vmdk");
    }
}
