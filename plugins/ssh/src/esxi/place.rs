//! A file on a host's volumes, by its absolute path. Only what lies below `/vmfs/volumes/DATASTORE/` is one: no other path is ever sent to a host.

use std::fmt;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Where a host has its datastores.
const VOLUMES: &str = "/vmfs/volumes/";
/// The longest path, in bytes.
const LONGEST: usize = 4096;

/// A file on a host's volumes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(String);

impl Place {
    /// Reads an absolute path.
    pub fn parse(path: &str) -> Result<Self> {
        let inside = path.strip_prefix(VOLUMES).unwrap_or_default();
        let clean = inside.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0');
        if clean && inside.contains('/') && path.len() <= LONGEST {
            return Ok(Self(path.to_owned()));
        }
        Err(PluginError::unusable(format!("'{}' is not a file of a datastore: {VOLUMES}DATASTORE/...", escape(path)))
            .hint("name it by its path on the host, without . and .. in it"))
    }

    /// Reads `[DATASTORE] PATH`, as the host's own tools write it.
    pub fn of_datastore(text: &str) -> Option<Self> {
        let (datastore, path) = text.strip_prefix('[')?.split_once("] ")?;
        Self::parse(&format!("{VOLUMES}{datastore}/{path}")).ok().filter(|_| !datastore.contains('/'))
    }

    /// The whole path.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The last part without its extension.
    pub fn stem(&self) -> &str {
        self.name().rsplit_once('.').map_or(self.name(), |(stem, _)| stem)
    }

    /// The path without the last part.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The datastore, by its name or by its id: as the path has it.
    pub fn datastore(&self) -> &str {
        self.0.strip_prefix(VOLUMES).and_then(|inside| inside.split('/').next()).unwrap_or_default()
    }

    /// What comes behind the datastore.
    pub fn within(&self) -> &str {
        self.0.strip_prefix(VOLUMES).and_then(|inside| inside.split_once('/')).map_or("", |(_, path)| path)
    }

    /// The same file by another name of its datastore.
    pub fn on(&self, datastore: &str) -> Option<Self> {
        Self::parse(&format!("{VOLUMES}{datastore}/{}", self.within())).ok().filter(|_| !datastore.contains('/'))
    }

    /// A file of this name beside it, or below its folder. The name is hostile.
    pub fn beside(&self, name: &str) -> Result<Self> {
        let refused = |why: &str| {
            PluginError::unusable(format!("{self}: the name '{}' is refused: it is {why}", escape(name)))
                .hint("consolidate the VM's disks, or clone it, so that all its files lie in its folder")
        };
        match name {
            _ if name.is_empty() || name.len() > LONGEST => Err(refused("empty, or longer than 4096 bytes")),
            _ if name.starts_with('/') => Err(refused("an absolute path")),
            _ => Self::parse(&format!("{}/{name}", self.folder()))
                .map_err(|_| refused("a path that leads outside of its folder")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_datastores_are_places() {
        let place = Place::parse("/vmfs/volumes/ds 1/a 'b'/c%.vmx").unwrap();
        assert_eq!(
            [place.name(), place.stem(), place.datastore(), place.within()],
            ["c%.vmx", "c%", "ds 1", "a 'b'/c%.vmx"]
        );
        assert_eq!(place.on("5e00").unwrap().path(), "/vmfs/volumes/5e00/a 'b'/c%.vmx");
        assert_eq!(Place::of_datastore("[ds 1] a 'b'/c%.vmx").unwrap(), place);
        for wrong in
            ["", "/", "/etc/passwd", "/vmfs/volumes/", "/vmfs/volumes/ds", "/vmfs/volumes/ds/", "/vmfs/volumes/../x/y"]
        {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["/vmfs/volumes/ds/a/./b", "/vmfs/volumes/ds/a//b", "/vmfs/volumes/ds/a\0", "vmfs/volumes/ds/a"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["[a/b] c", "[..] c", "ds/c", "[ds] ../c", "[ds]c"] {
            assert_eq!(Place::of_datastore(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_stay_in_their_folder() {
        let place = Place::parse("/vmfs/volumes/ds/a/b.vmdk").unwrap();
        assert_eq!(place.beside("b-flat.vmdk").unwrap().path(), "/vmfs/volumes/ds/a/b-flat.vmdk");
        for (name, why) in [
            ("../x/y.vmdk", "a path that leads outside of its folder"),
            ("/vmfs/volumes/ds/x/y.vmdk", "an absolute path"),
            ("", "empty, or longer than 4096 bytes"),
        ] {
            let error = place.beside(name).unwrap_err();
            let sentence = format!("/vmfs/volumes/ds/a/b.vmdk: the name '{name}' is refused: it is {why}");
            assert_eq!(error.message, sentence);
        }
    }
}
