//! The data plane of one disk: its chain's files, opened by the names that they give each other.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::Way;
use vmdk2kvm_plugin_api::{BlockSource, Host, Result, Transport};
use vmdk2kvm_vsphere::datastore::{DATACENTER, File, PARENTS};

use crate::Server;
use crate::file::{RemoteFile, Told};
use crate::place;

/// The transport of one disk.
pub struct FolderTransport {
    host: Host,
    server: Arc<Server>,
    datacenter: String,
    /// The disk's topmost file and its parents, where these lie in other folders.
    chain: Vec<File>,
}

impl FolderTransport {
    pub(crate) fn new(host: Host, server: Arc<Server>, way: &Way) -> Result<Self> {
        let datacenter = way.extra.get(DATACENTER).cloned().unwrap_or_default();
        let parents = way.extra.get(PARENTS).map(String::as_str).unwrap_or_default();
        let chain =
            std::iter::once(way.object.as_str()).chain(parents.lines()).map(File::parse).collect::<Result<_>>()?;
        Ok(Self { host, server, datacenter, chain })
    }

    fn file(&self, object: &str) -> Result<(RemoteFile, Told)> {
        let place = place::folder(&File::parse(object)?, &self.datacenter, self.server.session.is_vcenter());
        let (host, server) = (self.host.clone(), Arc::clone(&self.server));
        let mut file = RemoteFile { host, server, place, name: object.to_owned(), size: 0 };
        let told = file.look()?;
        file.size = told.size;
        Ok((file, told))
    }
}

/// The file that `name`, written in `from`, means: the parent that the API states, or a file in the same folder.
fn resolve(chain: &[File], from: &str, name: &str) -> Result<File> {
    let from = File::parse(from)?;
    let last = name.rsplit('/').next().unwrap_or(name);
    let parent = chain.iter().position(|file| *file == from).and_then(|at| chain.get(at + 1));
    match parent {
        Some(parent) if parent.name() == last => Ok(parent.clone()),
        _ => from.beside(name),
    }
}

impl Transport for FolderTransport {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        Ok(Box::new(self.file(object)?.0))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        resolve(&self.chain, from, name).map(|file| file.to_string())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        let (_, told) = self.file(object)?;
        Ok(format!("{object} {} {}", told.size, told.modified))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_found_where_the_api_says_and_nowhere_else() {
        let chain = ["[d] a/b-000001.vmdk", "[e] base/b.vmdk"].map(|text| File::parse(text).unwrap());
        for (from, name, found) in [
            ("[d] a/b-000001.vmdk", "/vmfs/volumes/4f/base/b.vmdk", "[e] base/b.vmdk"),
            ("[d] a/b-000001.vmdk", "b.vmdk", "[e] base/b.vmdk"),
            ("[d] a/b-000001.vmdk", "b-000001-delta.vmdk", "[d] a/b-000001-delta.vmdk"),
            ("[e] base/b.vmdk", "b-flat.vmdk", "[e] base/b-flat.vmdk"),
        ] {
            assert_eq!(resolve(&chain, from, name).unwrap().to_string(), found, "{from} {name}");
        }
        for name in ["../x.vmdk", "/vmfs/volumes/4f/other/c.vmdk", ""] {
            assert!(resolve(&chain, "[d] a/b-000001.vmdk", name).is_err(), "{name}");
        }
    }
}
