//! The data plane of one disk: the files of its chain, opened by the names that they give each other.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::Way;
use vmdk2kvm_plugin_api::{BlockSource, Result, Transport};

use super::file::RemoteFile;
use super::place::Place;
use super::server::{Server, Told, absent};

/// The scheme of a file that is read through a host's shell.
pub const SCHEME: &str = "ssh-file";
/// The word for a disk's parents where they lie in other folders: their paths, nearest first, a line each.
const PARENTS: &str = "parents";

/// The way to the topmost file of a chain, `parents` nearest first.
pub fn way(top: &Place, parents: &[Place], reason: &str) -> Way {
    let elsewhere = parents.iter().any(|parent| parent.folder() != top.folder());
    Way::new(SCHEME, top.path(), "vmdk").with(|way| {
        reason.clone_into(&mut way.reason);
        if elsewhere {
            let lines: Vec<&str> = parents.iter().map(Place::path).collect();
            way.extra.insert(PARENTS.to_owned(), lines.join("\n"));
        }
    })
}

/// The transport of one disk.
pub struct ShellTransport {
    server: Arc<Server>,
    /// The disk's topmost file and its parents, where these lie in other folders.
    chain: Vec<Place>,
}

impl ShellTransport {
    /// The transport of a way.
    pub fn new(server: Arc<Server>, way: &Way) -> Result<Self> {
        let parents = way.extra.get(PARENTS).map(String::as_str).unwrap_or_default();
        let chain =
            std::iter::once(way.object.as_str()).chain(parents.lines()).map(Place::parse).collect::<Result<_>>()?;
        Ok(Self { server, chain })
    }

    fn told(&self, place: &Place) -> Result<Told> {
        self.server.look(place)?.ok_or_else(|| absent(place))
    }
}

/// The file that `name`, written in `from`, means: the parent that was found when the VM was described, or a file in the same folder.
fn resolve(chain: &[Place], from: &str, name: &str) -> Result<Place> {
    let from = Place::parse(from)?;
    let parent = chain.iter().position(|place| *place == from).and_then(|at| chain.get(at + 1));
    match parent {
        Some(parent) if parent.name() == name.rsplit('/').next().unwrap_or(name) => Ok(parent.clone()),
        _ => from.beside(name),
    }
}

impl Transport for ShellTransport {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let place = Place::parse(object)?;
        let size = self.told(&place)?.size;
        Ok(Box::new(RemoteFile::new(Arc::clone(&self.server), place, size)))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        resolve(&self.chain, from, name).map(|place| place.path().to_owned())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        let told = self.told(&Place::parse(object)?)?;
        Ok(format!("{object} {} {}", told.size, told.modified))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_found_where_they_were_seen_and_nowhere_else() {
        let chain =
            ["/vmfs/volumes/d/a/b-000001.vmdk", "/vmfs/volumes/4f/base/b.vmdk"].map(|it| Place::parse(it).unwrap());
        for (from, name, found) in [
            (0, "/vmfs/volumes/4f/base/b.vmdk", "/vmfs/volumes/4f/base/b.vmdk"),
            (0, "b.vmdk", "/vmfs/volumes/4f/base/b.vmdk"),
            (0, "b-000001-delta.vmdk", "/vmfs/volumes/d/a/b-000001-delta.vmdk"),
            (1, "b-flat.vmdk", "/vmfs/volumes/4f/base/b-flat.vmdk"),
        ] {
            assert_eq!(resolve(&chain, chain[from].path(), name).unwrap().path(), found, "{from} {name}");
        }
        for name in ["../x.vmdk", "/vmfs/volumes/4f/other/c.vmdk", "/etc/passwd", ""] {
            assert!(resolve(&chain, chain[0].path(), name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_chains_that_leave_their_folder_are_named() {
        let place = |path: &str| Place::parse(path).unwrap();
        let (top, near, far) =
            (place("/vmfs/volumes/d/a/b-1.vmdk"), place("/vmfs/volumes/d/a/b.vmdk"), place("/vmfs/volumes/e/x/y.vmdk"));
        assert!(way(&top, std::slice::from_ref(&near), "").extra.is_empty());
        let linked = way(&top, &[near, far], "slow");
        assert_eq!(linked.extra[PARENTS], "/vmfs/volumes/d/a/b.vmdk\n/vmfs/volumes/e/x/y.vmdk");
        assert_eq!((linked.scheme.as_str(), linked.reason.as_str()), (SCHEME, "slow"));
    }
}
