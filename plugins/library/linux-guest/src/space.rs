//! Whether there is room for what is planned, told before anything is written: bytes and inodes on each filesystem.
//!
//! Owns how much a change needs, from above: a file is made beside the old one, so the old one's room does not count.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::model::{Action, Change, Finding, MountInfo, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::careful::real_path;
use crate::initramfs::room;

/// A file's last block, and what its folder may need.
const SLACK: u64 = 8 << 10;

#[derive(Default)]
struct Need {
    bytes: u64,
    inodes: u64,
    critical: bool,
}

/// A finding for each filesystem on which these changes do not fit.
pub(crate) fn lacking(mounts: &[MountInfo], changes: &[Change], guest: &dyn Guest) -> Result<Vec<Finding>> {
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    for change in changes {
        let bytes = match &change.action {
            Action::WriteFile { content, .. } => content.to_bytes()?.len() as u64,
            Action::CopyFile { from, .. } => size(guest, from)?,
            Action::ExtendInitramfs { kernel, drivers, .. } => room(guest, kernel, drivers)?,
            // The new one is about as large as the old one, which stays until the new one was read.
            Action::RebuildInitramfs { .. } => size(guest, &change.target)?,
            Action::Symlink { .. } => 0,
            _ => continue,
        };
        let Some(mount) = mount_of(mounts, &real_path(guest, &change.target, true)?) else { continue };
        let need = needs.entry(&mount.mountpoint).or_default();
        need.bytes = need.bytes.saturating_add(bytes).saturating_add(SLACK);
        need.inodes += u64::from(!matches!(change.action, Action::ExtendInitramfs { .. }));
        need.critical |= change.critical;
    }
    let mut findings = Vec::new();
    for mount in mounts {
        let Some(need) = needs.get(mount.mountpoint.as_str()) else { continue };
        let severity = if need.critical { Severity::Block } else { Severity::Warn };
        let place = &mount.mountpoint;
        if let Some(free) = mount.free_bytes.filter(|free| *free < need.bytes) {
            let message =
                format!("{place} has {} KiB free, and the changes need {} KiB there", free >> 10, need.bytes >> 10);
            let hint = "free space in the VM, for example by removing an old kernel, or enlarge the disk with --resize";
            findings.push(Finding::new("no-space", severity, message).hint(hint));
        }
        if let Some(free) = mount.free_inodes.filter(|free| *free < need.inodes) {
            let message = format!("{place} has {free} inodes free, and the changes need {} there", need.inodes);
            findings.push(Finding::new("no-inodes", severity, message).hint("remove files in the VM"));
        }
    }
    Ok(findings)
}

fn size(guest: &dyn Guest, path: &str) -> Result<u64> {
    Ok(guest.stat(&real_path(guest, path, true)?)?.map_or(0, |stat| stat.size))
}

/// The filesystem at a path without symlinks.
fn mount_of<'a>(mounts: &'a [MountInfo], path: &str) -> Option<&'a MountInfo> {
    let holds = |mount: &&MountInfo| {
        let folder = mount.mountpoint.trim_end_matches('/');
        path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    mounts.iter().filter(holds).max_by_key(|mount| mount.mountpoint.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;
    use crate::textfile::{Why, create};

    fn mount(mountpoint: &str, free_bytes: Option<u64>, free_inodes: Option<u64>) -> MountInfo {
        MountInfo::default().with(|it| {
            it.mountpoint = mountpoint.to_owned();
            it.free_bytes = free_bytes;
            it.free_inodes = free_inodes;
        })
    }

    #[test]
    fn each_filesystem_is_asked() {
        const WHY: Why<'static> = Why { summary: "s", reason: "r", critical: false };
        let guest = MapGuest::new(&[
            ("/boot/initrd.img-6.1", "the old one"),
            ("/lib/modules/6.1/modules.dep", "kernel/virtio_blk.ko: kernel/virtio.ko\nkernel/virtio.ko:\n"),
            ("/lib/modules/6.1/kernel/virtio_blk.ko", &"x".repeat(60_000)),
            ("/lib/modules/6.1/kernel/virtio.ko", &"x".repeat(40_000)),
            ("/lib/modules/6.1/modules.alias", &"x".repeat(20_000)),
        ]);
        let extend = Action::ExtendInitramfs {
            kernel: "6.1".to_owned(),
            drivers: vec!["virtio_blk".to_owned()],
            files: Vec::new(),
        };
        let changes = [
            create("/etc/a", "text", WHY),
            create("/bootleg", "text", WHY),
            Why { critical: true, ..WHY }.change(extend, "/boot/initrd.img-6.1"),
        ];
        let found = |mounts: &[MountInfo]| -> Vec<(Severity, String)> {
            let findings = lacking(mounts, &changes, &guest).unwrap();
            findings.into_iter().map(|finding| (finding.severity, finding.message)).collect()
        };
        for (mounts, expected) in [
            (vec![mount("/", Some(1 << 20), Some(100)), mount("/boot", Some(1 << 20), None)], vec![]),
            (vec![mount("/", None, None)], vec![]),
            (
                vec![mount("/", Some(16 << 10), Some(1)), mount("/boot", Some(100_000), Some(0))],
                vec![
                    (Severity::Warn, "/ has 16 KiB free, and the changes need 16 KiB there"),
                    (Severity::Warn, "/ has 1 inodes free, and the changes need 2 there"),
                    (Severity::Block, "/boot has 97 KiB free, and the changes need 125 KiB there"),
                ],
            ),
        ] {
            let expected: Vec<(Severity, String)> =
                expected.into_iter().map(|(severity, message)| (severity, message.to_owned())).collect();
            assert_eq!(found(&mounts), expected);
        }
    }
}
