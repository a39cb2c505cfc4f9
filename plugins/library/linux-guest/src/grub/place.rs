//! Where in the guest a path of GRUB is: GRUB knows filesystems, each from its own root, and the guest has them mounted.

use vmdk2kvm_plugin_api::model::MountInfo;
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

/// The guest's path of what a script calls so; `None` when it is on nothing that is mounted.
pub(crate) fn place(path: &str, mounts: &[MountInfo], guest: &dyn Guest) -> Result<Option<String>> {
    // The device in front is GRUB's root, or found by a UUID.
    let path = path.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(path, |(_, rest)| rest);
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    // A folder that stands for a guest has nothing mounted, and its boot partition in place.
    let whole = [("/", ""), ("/boot", "")];
    let mounted = mounts.iter().map(|mount| (mount.mountpoint.as_str(), mount.fstype.as_str()));
    for (mountpoint, fstype) in whole.into_iter().chain(mounted) {
        // GRUB sees the subvolume or dataset that the guest has mounted from the top of them all.
        let above = if matches!(fstype, "btrfs" | "zfs" | "zfs_member") { parts.len().saturating_sub(1) } else { 0 };
        for skipped in 0..=above {
            let candidate = format!("{}/{}", mountpoint.trim_end_matches('/'), parts[skipped..].join("/"));
            if !parts.is_empty() && guest.stat(&candidate)?.is_some_and(|found| found.kind != FileKind::Dir) {
                return Ok(Some(candidate));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    #[test]
    fn paths_of_filesystems() {
        let guest = MapGuest::new(&[("/boot/vmlinuz", "x"), ("/efi/a/linux", "x"), ("/boot/kernels/k", "x")]);
        let mounts = [("/", "btrfs"), ("/boot", "ext4"), ("/efi", "vfat")]
            .map(|(at, fstype)| MountInfo::new("/dev/x".to_owned(), at.to_owned(), fstype.to_owned()));
        for (path, want) in [
            ("/vmlinuz", Some("/boot/vmlinuz")),
            ("/boot/vmlinuz", Some("/boot/vmlinuz")),
            ("(hd0,1)/vmlinuz", Some("/boot/vmlinuz")),
            ("(x)//kernels/k", Some("/boot/kernels/k")),
            ("/@/boot/vmlinuz", Some("/boot/vmlinuz")),
            ("/@/.snapshots/1/snapshot/boot/vmlinuz", Some("/boot/vmlinuz")),
            ("/a/linux", Some("/efi/a/linux")),
            ("/boot", None),
            ("/x/linux", None),
            ("", None),
        ] {
            assert_eq!(place(path, &mounts, &guest).unwrap().as_deref(), want, "{path}");
        }
    }
}
