//! The data plane: bytes of files beneath the source's folders.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use vmdk2kvm_plugin_api::model::{SourceRef, StatedDigest};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use crate::container::shelf::Shelf;
use crate::content::{self, Content};
use crate::ovf::{Choices, Package};
use crate::references;
use crate::roots::Roots;

/// The transport of one source.
pub struct LocalTransport {
    roots: Roots,
    choices: Arc<Choices>,
    packages: OnceLock<Vec<String>>,
    parents: OnceLock<BTreeMap<String, String>>,
}

impl LocalTransport {
    /// Binds a transport to the folders of this source.
    pub fn open(source: &SourceRef, shelf: Arc<Shelf>, choices: Arc<Choices>) -> Result<Self> {
        let roots = Roots::open(source, shelf)?;
        Ok(Self { roots, choices, packages: OnceLock::new(), parents: OnceLock::new() })
    }

    fn package<'a>(&'a self, object: &'a str) -> Package<'a> {
        Package::new(&self.roots, object, &self.choices)
    }

    /// The OVF files of the source.
    fn packages(&self) -> Result<&[String]> {
        if let Some(packages) = self.packages.get() {
            return Ok(packages);
        }
        let packages = match content::content(&self.roots)? {
            Content::Packages(packages) => packages,
            Content::Machines(_) | Content::Disks(_) => Vec::new(),
        };
        Ok(self.packages.get_or_init(|| packages))
    }

    /// The disk that the object is a delta on, as its package says.
    fn parent(&self, object: &str) -> Result<Option<&str>> {
        if self.parents.get().is_none() {
            let mut parents = BTreeMap::new();
            // A source that cannot be described has no packages here; the catalog says what is wrong with it.
            for package in self.packages().unwrap_or_default() {
                parents.extend(self.package(package).parents()?);
            }
            let _ = self.parents.set(parents);
        }
        Ok(self.parents.get().and_then(|parents| parents.get(object)).map(String::as_str))
    }
}

impl Transport for LocalTransport {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let source = self.roots.source(object)?;
        if self.parent(object)?.is_some() && !references::is_delta(&source)? {
            return Err(PluginError::unusable(format!(
                "{}: the OVF says that it is a delta on another disk, and the file itself that it is none",
                source.name()
            ))
            .hint("export the virtual machine again; when the file is a whole disk, remove the parentRef of its Disk from the OVF"));
        }
        Ok(Box::new(source))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        // The package knows where the parent is; what a delta itself calls it is the name it had elsewhere. Extents are found by name.
        if let Some(parent) = self.parent(from)? {
            if !references::has_extent(&self.roots.source(from)?, name)? {
                return Ok(parent.to_owned());
            }
        }
        self.roots.resolve(from, name)
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        self.roots.fingerprint(object)
    }

    fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        let mut stated = Vec::new();
        for package in self.packages()? {
            stated.extend(self.package(package).stated_digests(object)?);
        }
        Ok(stated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(uri: &std::path::Path, extra: &[&std::path::Path]) -> LocalTransport {
        LocalTransport::open(
            &SourceRef::new(uri.to_str().unwrap())
                .with(|it| it.extra_disks = extra.iter().map(|path| path.to_str().unwrap().into()).collect()),
            Arc::default(),
            Arc::default(),
        )
        .unwrap()
    }

    #[test]
    fn names_resolve_beside_the_file_that_says_them_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("vm/sub")).unwrap();
        std::fs::create_dir_all(root.join("other")).unwrap();
        for name in ["vm/a.vmdk", "vm/sub/b.vmdk", "vm/nbd:x", "other/d.raw", "secret"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        let text = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let transport = transport(&root.join("vm/a.vmdk"), &[&root.join("other/d.raw")]);

        assert_eq!(transport.resolve(&text("vm/a.vmdk"), "sub/b.vmdk").unwrap(), text("vm/sub/b.vmdk"));
        assert_eq!(transport.resolve(&text("vm/sub/b.vmdk"), "c.vmdk").unwrap(), text("vm/sub/c.vmdk"));
        assert_eq!(transport.resolve(&text("other/d.raw"), "e").unwrap(), text("other/e"));
        let protocol = transport.resolve(&text("vm/a.vmdk"), "nbd:x").unwrap();
        assert_eq!(transport.open(&protocol).unwrap().size(), 8);
        assert_eq!(transport.open(&text("other/d.raw")).unwrap().size(), 11);
        assert_eq!(transport.fingerprint(&text("vm/a.vmdk")).unwrap().len(), 64);

        let error = transport.resolve(&text("vm/a.vmdk"), "../secret").unwrap_err();
        assert_eq!(
            error.message,
            format!(
                "{}: the name '../secret' is refused: it is a path that leads outside of its folder",
                text("vm/a.vmdk")
            )
        );
        assert!(error.hint.is_some());
        for outside in [text("secret"), text("vm/../secret"), "relative".into(), text("vm"), "/etc/passwd".into()] {
            let error = transport.open(&outside).err().unwrap();
            assert_eq!(error.message, format!("{outside}: the file is outside of the source's folder"));
            assert!(transport.resolve(&outside, "x").is_err());
            assert!(transport.fingerprint(&outside).is_err());
        }
    }

    #[test]
    fn a_symlink_inside_the_folder_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::write(root.join("a.vmdk"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("b.vmdk")).unwrap();
        let transport = transport(&root.join("a.vmdk"), &[]);
        for name in ["b.vmdk", "etc/passwd"] {
            let object = transport.resolve(root.join("a.vmdk").to_str().unwrap(), name).unwrap();
            let error = transport.open(&object).err().unwrap();
            assert!(error.message.contains("symbolic link"), "{error}");
        }
    }
}
