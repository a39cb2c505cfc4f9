//! A VM, its disks and a guest made of a map, for the unit tests of this crate.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::model::{
    Applied, Change, Controller, Disk, GuestBlockDevice, GuestDiskInfo, Nic, NicKind, OsFamily, OsInfo, PlanContext,
    VmSpec,
};
use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, PluginError, Result, Stat};
use vmdk2kvm_plugin_testing::sample;

/// Disk `index` with these partitions; UUIDs are `uuid-DISK-PART`, partition UUIDs `part-DISK-PART`.
pub(crate) fn disk(index: u32, partitions: &[(u32, &str)]) -> GuestDiskInfo {
    let letter = char::from(b'a' + index as u8);
    let mut devices = vec![GuestBlockDevice::default().with(|it| it.device = format!("/dev/sd{letter}"))];
    devices.extend(partitions.iter().map(|(partition, fstype)| {
        GuestBlockDevice::new(format!("/dev/sd{letter}{partition}"), *partition).with(|it| {
            it.fstype = Some((*fstype).to_owned());
            it.uuid = Some(format!("uuid-{index}-{partition}"));
            it.partuuid = Some(format!("part-{index}-{partition}"));
        })
    }));
    GuestDiskInfo::new(index, 4 << 30, "mbr".to_owned()).with(|it| it.devices = devices)
}

/// A VM with this many SCSI disks at units 0, 1, ... and one card.
pub(crate) fn vm(disks: u32) -> VmSpec {
    let disk =
        |unit| Disk::new(format!("web_{unit}.vmdk"), Controller::Scsi, 0, unit).with(|it| it.capacity_bytes = 4 << 30);
    sample::vm("web").with(|it| it.disks = (0..disks).map(disk).collect())
}

/// A card with this MAC.
pub(crate) fn nic(mac: &str) -> Nic {
    Nic::new(NicKind::Network).with(|it| {
        it.mac = Some(mac.to_owned());
        it.model = Some("vmxnet3".to_owned());
    })
}

/// A context with one disk: root on partition 1, swap on 5.
pub(crate) fn context() -> PlanContext {
    let disks = vec![disk(0, &[(1, "ext4"), (5, "swap")])];
    PlanContext::new(
        vm(1),
        sample::inspection(OsInfo::new(OsFamily::Linux).with(|it| it.distro = "debian".to_owned())).with(|it| {
            it.root = Some("/dev/sda1".to_owned());
            it.disks = disks;
        }),
    )
}

/// A guest made of files by path; folders exist where files are.
#[derive(Default)]
pub(crate) struct MapGuest(pub BTreeMap<String, Vec<u8>>);

impl MapGuest {
    pub fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
    }
}

impl Guest for MapGuest {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        let kind = match (self.0.get(path), self.list(path)?) {
            (Some(_), _) => FileKind::File,
            (None, Some(_)) => FileKind::Dir,
            _ => return Ok(None),
        };
        Ok(Some(Stat::new(kind, self.0.get(path).map_or(0, |b| b.len() as u64), 0o644)))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.0.get(path) {
            Some(bytes) if bytes.len() as u64 > limit => Err(PluginError::unusable(format!("{path}: too large"))),
            found => Ok(found.cloned()),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let mut names: BTreeMap<String, FileKind> = BTreeMap::new();
        for file in self.0.keys().filter_map(|file| file.strip_prefix(&prefix)) {
            match file.split_once('/') {
                Some((folder, _)) => names.insert(folder.to_owned(), FileKind::Dir),
                None => names.insert(file.to_owned(), FileKind::File),
            };
        }
        let entries: Vec<Entry> = names.into_iter().map(|(name, kind)| Entry::new(name, kind)).collect();
        Ok((!entries.is_empty()).then_some(entries))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{path} is no symlink")))
    }

    fn apply(&self, _change: &Change) -> Result<Applied> {
        Err(PluginError::defect("this guest is only read"))
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}
