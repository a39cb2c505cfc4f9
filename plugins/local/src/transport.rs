//! The data plane: bytes of files beneath the source's folders.

use std::sync::{Arc, OnceLock};

use vmdk2kvm_plugin_api::model::{SourceRef, StatedDigest};
use vmdk2kvm_plugin_api::{BlockSource, Result, Transport};

use crate::container::shelf::Shelf;
use crate::content::{self, Content};
use crate::ovf::Package;
use crate::roots::Roots;

/// The transport of one source.
pub struct LocalTransport {
    roots: Roots,
    packages: OnceLock<Vec<String>>,
}

impl LocalTransport {
    /// Binds a transport to the folders of this source.
    pub fn open(source: &SourceRef, shelf: Arc<Shelf>) -> Result<Self> {
        Ok(Self { roots: Roots::open(source, shelf)?, packages: OnceLock::new() })
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
}

impl Transport for LocalTransport {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        Ok(Box::new(self.roots.source(object)?))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        self.roots.resolve(from, name)
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        self.roots.fingerprint(object)
    }

    fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        let mut stated = Vec::new();
        for package in self.packages()? {
            stated.extend(Package::new(&self.roots, package).stated_digests(object)?);
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
