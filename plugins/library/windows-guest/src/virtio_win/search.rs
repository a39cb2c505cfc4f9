//! Where distributions keep the drivers.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

/// Where a package or a user puts them, best first.
const PLACES: [&str; 5] = [
    "/usr/share/virtio-win/virtio-win.iso",
    "/usr/share/virtio-win",
    "/usr/local/share/virtio-win/virtio-win.iso",
    "/usr/local/share/virtio-win",
    "/var/lib/libvirt/images/virtio-win.iso",
];

/// The drivers that this machine has. The error says where to get some: nothing is ever fetched.
pub fn find() -> Result<PathBuf> {
    find_in(&PLACES)
}

fn find_in(places: &[&str]) -> Result<PathBuf> {
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.map(Path::to_owned).ok_or_else(|| {
        PluginError::missing(format!(
            "no virtio drivers for Windows on this machine: {} is not there",
            places.join(", ")
        ))
        .hint("install the package virtio-win, or take virtio-win.iso from the virtio-win project and name it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_is_there_or_where_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().to_str().unwrap();
        assert_eq!(find_in(&["/nowhere/a.iso", there]).unwrap(), folder.path());
        let error = find_in(&["/nowhere/a.iso", "/nowhere/b"]).unwrap_err();
        let message = "no virtio drivers for Windows on this machine: /nowhere/a.iso, /nowhere/b is not there";
        assert_eq!(error.message, message);
        assert!(error.hint.unwrap().contains("install the package virtio-win"));
    }
}
