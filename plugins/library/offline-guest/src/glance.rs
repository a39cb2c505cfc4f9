//! A glance at flat views of disks, before anything is attached: what their tables say, and what begins where.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::GuestDiskInfo;
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Result, read_exact_at};

use crate::layout::{ReadDevice, disk_name, scan_disk};

/// What the disks hold. One whose table is damaged holds nothing.
pub fn glance(disks: &[Arc<dyn BlockSource>]) -> Result<Vec<GuestDiskInfo>> {
    let mut found = Vec::new();
    for (index, disk) in disks.iter().enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        match scan_disk(number, &disk_name(index), disk.size(), &mut Source(disk.as_ref())) {
            Ok(scan) => found.push(scan.info),
            Err(error) if error.kind == ErrorKind::Unusable => {
                found.push(GuestDiskInfo::new(number, disk.size(), "none"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

struct Source<'a>(&'a dyn BlockSource);

impl ReadDevice for Source<'_> {
    fn read(&mut self, offset: u64, length: u32) -> Result<Vec<u8>> {
        let length = u64::from(length).min(self.0.size().saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        read_exact_at(self.0, offset, &mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::MemorySource;

    use super::*;

    #[test]
    fn a_partition_is_seen_with_what_begins_there() {
        let mut disk = vec![0u8; 2 << 20];
        disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 7, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk[(1 << 20) + 3..][..8].copy_from_slice(b"-FVE-FS-");
        let disks: [Arc<dyn BlockSource>; 2] = [Arc::new(MemorySource::new(disk)), Arc::new(MemorySource::new([]))];
        let found = glance(&disks).unwrap();
        let device = &found[0].devices[1];
        assert_eq!((device.device.as_str(), device.fstype.as_deref()), ("/dev/sda1", Some("BitLocker")));
        assert_eq!((device.parttype.as_deref(), device.start_bytes), (Some("0x07"), Some(1 << 20)));
        assert_eq!(found[1].table, "none");
    }
}
