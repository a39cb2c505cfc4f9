//! Systems that nobody can change from outside: their root is an image that is compressed, or whose every block is signed.

use vmdk2kvm_plugin_api::model::{Finding, Severity};

use crate::volumes::Volume;

/// Filesystems that are made once and never written to.
const IMAGES: [&str; 2] = ["squashfs", "erofs"];
/// What holds the digests of all blocks of a filesystem.
const SIGNED: &str = "DM_verity_hash";

/// A finding that says what the system is made of, when these volumes, of which none is a root, have such an image.
pub fn find(volumes: &[Volume]) -> Option<Finding> {
    let image = volumes.iter().find(|volume| IMAGES.contains(&volume.fstype.as_str()));
    let signed = volumes.iter().find(|volume| volume.fstype == SIGNED);
    let what = match (image, signed) {
        (Some(image), _) => {
            format!("{} is of type {}, a compressed image that cannot be changed", image.device, image.fstype)
        }
        (None, Some(signed)) => format!(
            "{} holds the digests of a system (dm-verity), which would no longer start if it were changed",
            signed.device
        ),
        (None, None) => return None,
    };
    Some(
        Finding::new("sealed-system", Severity::Warn, what)
            .hint("drivers and names cannot be added; the system must bring its own for the new machine"),
    )
}

/// A finding on a subvolume that btrfs keeps read-only. Only such are mounted as fixers write to, and the first write would fail.
pub fn read_only_subvolume(mountpoint: &str) -> Finding {
    let message = format!(
        "{mountpoint} is a subvolume that btrfs keeps read-only (a snapshot, or a transactional system): no file in it can be changed"
    );
    Finding::new("read-only-subvolume", Severity::Block, message)
        .hint("make it writable in the guest before (btrfs property set -ts / ro false), or move the guest as it is with --skip fix")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_that_nobody_can_change() {
        let volume = |device: &str, fstype: &str| Volume {
            device: device.to_owned(),
            fstype: fstype.to_owned(),
            uuid: None,
            label: None,
            length: 1,
            esp: false,
        };
        for (fstypes, wanted) in [
            (&["ext4", "vfat"][..], None),
            (&["squashfs", "ext4"], Some("/dev/sda1 is of type squashfs")),
            (&["vfat", "erofs", "DM_verity_hash"], Some("/dev/sda2 is of type erofs")),
            (&["ext4", "DM_verity_hash"], Some("/dev/sda2 holds the digests")),
        ] {
            let volumes: Vec<_> =
                (1..).zip(fstypes).map(|(number, fstype)| volume(&format!("/dev/sda{number}"), fstype)).collect();
            let found = find(&volumes).map(|finding| finding.message);
            assert_eq!(found.is_some(), wanted.is_some(), "{fstypes:?}");
            assert!(found.is_none_or(|found| found.starts_with(wanted.unwrap_or_default())));
        }
    }
}
