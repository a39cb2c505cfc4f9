//! The source `dir:/path`: a machine around a tree of files. It has no disks; what nothing states is guessed and marked.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{Cpus, Firmware, Origin, SourceRef, VmSpec, VmSummary};
use vmdk2kvm_plugin_api::{Catalog, Guest, PluginError, Result};

use crate::guest::DirGuest;

/// A tree that exists.
#[derive(Debug)]
pub struct DirSource {
    path: String,
}

impl DirSource {
    /// The source that the user named.
    pub fn new(source: &SourceRef) -> Result<Self> {
        let path = path_of(&source.uri)?;
        if !source.extra_disks.is_empty() {
            return Err(PluginError::new(
                vmdk2kvm_plugin_api::ErrorKind::Usage,
                format!("{}: a directory takes no further disks", source.uri),
            )
            .hint("leave --disk out, or name the disks themselves as the source"));
        }
        if !Path::new(path).is_dir() {
            return Err(PluginError::unusable(format!("{path}: not a directory"))
                .hint("name the folder that holds /etc and /usr"));
        }
        Ok(Self { path: path.to_owned() })
    }
}

impl Catalog for DirSource {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(vec![VmSummary::new(self.describe()?)])
    }

    fn describe(&self) -> Result<VmSpec> {
        let guest = DirGuest::open(&self.path, false)?;
        let has_loaders = guest.list("/boot/efi/EFI")?.is_some() || guest.list("/efi/EFI")?.is_some();
        let name = Path::new(&self.path).file_name().map_or("guest".into(), |name| name.to_string_lossy());
        Ok(VmSpec::new(
            name.into_owned(),
            if has_loaders { Firmware::Uefi } else { Firmware::Bios },
            Cpus::new(1, 1),
            2 << 30,
        )
        .with(|it| {
            it.guessed = ["name", "firmware", "cpus", "memory_bytes", "nics"].map(str::to_owned).to_vec();
            it.origin = Some(Origin::new("dir".to_owned(), format!("dir:{}", self.path)));
        }))
    }
}

/// The absolute path of `dir:/path` or `dir:///path`.
pub fn path_of(uri: &str) -> Result<&str> {
    let rest = uri.strip_prefix("dir:").unwrap_or(uri);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(PluginError::new(vmdk2kvm_plugin_api::ErrorKind::Usage, format!("{uri}: does not name an absolute path"))
        .hint("write dir:/path or dir:///path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(path_of("dir:/srv/a b").unwrap(), "/srv/a b");
        assert_eq!(path_of("dir:///srv").unwrap(), "/srv");
        for bad in ["dir:srv", "dir://host/srv", "dir:"] {
            assert_eq!(path_of(bad).unwrap_err().message, format!("{bad}: does not name an absolute path"));
        }
    }

    #[test]
    fn a_tree_without_disks() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("boot/efi/EFI")).unwrap();
        let uri = format!("dir:{}", folder.path().display());
        let vm = DirSource::new(&SourceRef::new(uri.clone())).unwrap().describe().unwrap();
        assert_eq!(vm.firmware, Firmware::Uefi);
        assert!(vm.disks.is_empty() && vm.guessed.contains(&"firmware".to_owned()));
        assert_eq!(vm.origin.unwrap().uri, uri);
        let missing = SourceRef::new("dir:/nowhere/at/all".to_owned());
        assert_eq!(DirSource::new(&missing).unwrap_err().message, "/nowhere/at/all: not a directory");
    }
}
