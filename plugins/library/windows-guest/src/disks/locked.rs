//! What only a Windows makes and only a Windows opens: encrypted volumes, dynamic disks, storage pools.

use vmdk2kvm_plugin_api::model::{Finding, GuestBlockDevice, GuestDiskInfo, Severity};

/// Types of partitions of dynamic disks: an MBR's entry, metadata and data of a GPT.
const DYNAMIC: [&str; 3] = ["0x42", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "af9b60a0-1431-4f62-bc68-3311714a69ad"];
/// The type of a disk that is part of a storage pool.
const STORAGE_SPACES: &str = "e75caf8f-f680-4cee-afa3-b001e56efc2d";

/// Whether a Windows could be on these disks: what begins somewhere is NTFS, or something that only a Windows makes.
pub fn may_hold_windows(disks: &[GuestDiskInfo]) -> bool {
    let mut devices = disks.iter().flat_map(|disk| &disk.devices);
    devices.any(|device| device.fstype.as_deref() == Some("ntfs") || why(device).is_some())
}

/// A finding for each kind that is there, which stops the run.
pub fn find(disks: &[GuestDiskInfo]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for device in disks.iter().flat_map(|disk| &disk.devices) {
        let Some((code, what, hint)) = why(device) else { continue };
        match findings.iter_mut().find(|finding| finding.code == code) {
            Some(known) => known.message = format!("{}, {}", device.device, known.message),
            None => {
                findings.push(Finding::new(code, Severity::Block, format!("{} {what}", device.device)).hint(hint));
            }
        }
    }
    findings
}

fn why(device: &GuestBlockDevice) -> Option<(&'static str, &'static str, &'static str)> {
    let parttype = device.parttype.as_deref().unwrap_or_default();
    if device.fstype.as_deref() == Some("BitLocker") {
        Some((
            "bitlocker",
            "is encrypted by BitLocker, whose key this program cannot use",
            "decrypt it in the guest before (manage-bde -off C:), wait until it says that it is done, shut down, and migrate again",
        ))
    } else if DYNAMIC.contains(&parttype) {
        Some((
            "dynamic-disk",
            "belongs to a dynamic disk, whose volumes are not read",
            "convert it to a basic disk in the guest, or move its data to one, and migrate again",
        ))
    } else if parttype == STORAGE_SPACES {
        Some((
            "storage-spaces",
            "belongs to a storage pool (Storage Spaces), which is not read",
            "move its data to an ordinary volume, or take the disk out of the VM and copy the data over the network",
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(devices: &[(&str, &str, &str)]) -> GuestDiskInfo {
        GuestDiskInfo::new(0, 1 << 30, "gpt").with(|disk| {
            let device = |(device, fstype, parttype): &(&str, &str, &str)| {
                GuestBlockDevice::new(*device, 1).with(|it| {
                    it.fstype = Some((*fstype).to_owned()).filter(|word| !word.is_empty());
                    it.parttype = Some((*parttype).to_owned());
                })
            };
            disk.devices = devices.iter().map(device).collect();
        })
    }

    #[test]
    fn each_lock_is_told_once_with_all_its_devices() {
        let found = find(&[disk(&[
            ("/dev/sda1", "vfat", "0x0b"),
            ("/dev/sda2", "BitLocker", "0x07"),
            ("/dev/sda3", "BitLocker", "0x07"),
            ("/dev/sda4", "", "0x42"),
            ("/dev/sdb1", "", "e75caf8f-f680-4cee-afa3-b001e56efc2d"),
        ])]);
        let found: Vec<_> = found.iter().map(|it| (it.code.as_str(), it.message.split(' ').next().unwrap())).collect();
        assert_eq!(
            found,
            [("bitlocker", "/dev/sda3,"), ("dynamic-disk", "/dev/sda4"), ("storage-spaces", "/dev/sdb1")]
        );
    }

    #[test]
    fn a_guest_without_anything_of_windows_is_left_to_others() {
        let linux = disk(&[("/dev/sda1", "vfat", "0xef"), ("/dev/sda2", "ext4", "0x83")]);
        assert!(!may_hold_windows(&[linux]));
        assert!(may_hold_windows(&[disk(&[("/dev/sda1", "ntfs", "0x07")])]));
        assert!(may_hold_windows(&[disk(&[("/dev/sda1", "", "0x42")])]));
    }
}
