//! The disks of a VM in a running appliance, and what of them is mounted. The plugin says what: it looks at one filesystem after the
//! other, takes one as the root, mounts on it what belongs to it, and is given the guest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vmdk2kvm_offline_guest::{Mounter, Volume, Volumes};
use vmdk2kvm_plugin_api::model::{MountInfo, OpenGuest};
use vmdk2kvm_plugin_api::{FileKind, Guest, Host, PluginError, Result};

use crate::appliance::Appliance;
use crate::devices::{ApplianceDevices, disk_sizes};
use crate::files::{Files, Place};
use crate::guest::ApplianceGuest;
use crate::settings::Settings;

/// A mounted filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub device: String,
    pub mountpoint: String,
    pub fstype: String,
    pub uuid: Option<String>,
    pub options: String,
}

/// What is mounted where.
pub struct Mounts {
    files: Arc<Files>,
    mounts: Vec<Mount>,
    /// The device that is looked at: read-only at `/`, and not among the mounts.
    looked_at: Option<String>,
    writable: bool,
    discards: bool,
}

/// Starts an appliance with the request's disks and says what they hold. Nothing is mounted yet.
pub fn open(request: &OpenGuest, settings: &Settings, host: &Host) -> Result<(Mounts, Volumes)> {
    for disk in &request.disks {
        if !Path::new(&disk.path).is_file() {
            return Err(PluginError::unusable(format!("{}: not a file", disk.path)));
        }
    }
    // From now on, no bytes are counted.
    host.progress("launch", 0, 0);
    let appliance = Appliance::launch(request, settings, host)?;
    host.progress("disks", 0, 0);
    let devices = ApplianceDevices { appliance: &appliance, writable: request.writable };
    let volumes = vmdk2kvm_offline_guest::scan(&devices, &disk_sizes(&devices, request)?, request, host)?;
    let mounts = Mounts {
        files: Arc::new(Files::new(appliance, PathBuf::from(&request.work_dir))),
        mounts: Vec::new(),
        looked_at: None,
        writable: request.writable,
        discards: settings.discard_unused,
    };
    Ok((mounts, volumes))
}

impl Mounter for Mounts {
    fn look(&mut self, volume: &Volume, extra: &str) -> Result<()> {
        self.look_away()?;
        let options = options(volume, extra, false);
        self.files.appliance.transfer(|handle| handle.mount(&options, &volume.device, "/"))?;
        self.looked_at = Some(volume.device.clone());
        self.files.cache().anything_changed();
        Ok(())
    }

    fn look_away(&mut self) -> Result<()> {
        if self.looked_at.is_some() {
            self.files.appliance.transfer(|handle| handle.umount("/"))?;
            self.looked_at = None;
            self.files.cache().anything_changed();
        }
        Ok(())
    }

    /// For reading, everything is mounted read-only. For writing, a journal that has to be replayed is replayed into the overlay, as
    /// the guest's own kernel would have done at its next start.
    fn take_root(&mut self, volume: &Volume, extra: &str) -> Result<()> {
        if self.looked_at.as_deref() != Some(volume.device.as_str()) {
            self.look(volume, extra)?;
        }
        let options = options(volume, extra, self.writable);
        if self.writable {
            self.files.appliance.transfer(|handle| handle.mount(&format!("remount,{options}"), &volume.device, "/"))?;
        }
        self.looked_at = None;
        self.mounts.push(mount(volume, "/", options));
        Ok(())
    }

    fn mount(&mut self, volume: &Volume, mountpoint: &str, extra: &str) -> Result<()> {
        let options = options(volume, extra, self.writable);
        self.files.appliance.transfer(|handle| handle.mount(&options, &volume.device, mountpoint))?;
        self.mounts.push(mount(volume, mountpoint, options));
        self.files.cache().anything_changed();
        Ok(())
    }

    fn mount_beside(&mut self, volume: &Volume, mountpoint: &str) -> Result<()> {
        self.look_away()?;
        self.files.appliance.call(|handle| handle.mkmountpoint(mountpoint))?;
        self.mount(volume, mountpoint, "")
    }

    fn fold_case(&mut self) {
        self.files.fold_case();
    }

    fn head(&self, path: &str, bytes: u64) -> Result<Option<Vec<u8>>> {
        let Place::Found { path, stat } = self.files.resolve(path, true)? else { return Ok(None) };
        if stat.stat.kind != FileKind::File {
            return Err(PluginError::unusable(format!("{path}: not a regular file")));
        }
        self.files.fetch(&path, stat.stat.size.min(bytes)).map(Some)
    }

    fn read_only_subvolumes(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for mount in self.mounts.iter().filter(|mount| mount.fstype == "btrfs") {
            // The top of a filesystem of an old version cannot be shown.
            let shown = self.files.appliance.call(|handle| handle.subvolume(&mount.mountpoint)).unwrap_or_default();
            let flags = shown.chunks(2).find(|pair| pair[0] == "Flags").and_then(|pair| pair.get(1));
            if flags.is_some_and(|flags| flags.contains("readonly")) {
                found.push(mount.mountpoint.clone());
            }
        }
        Ok(found)
    }

    fn files(&self) -> Box<dyn Guest> {
        Box::new(ApplianceGuest {
            files: self.files.clone(),
            mounts: self.mounts.clone(),
            writable: false,
            disks: Vec::new(),
            opened: Vec::new(),
            has_volume_groups: false,
            discards: false,
        })
    }

    fn infos(&self) -> Result<Vec<MountInfo>> {
        self.mounts.iter().map(|mount| self.info(mount)).collect()
    }
}

impl Mounts {
    fn info(&self, mount: &Mount) -> Result<MountInfo> {
        let space = self.files.appliance.call(|handle| handle.space(&mount.mountpoint))?;
        Ok(MountInfo::new(mount.device.clone(), mount.mountpoint.clone(), mount.fstype.clone()).with(|it| {
            it.uuid = mount.uuid.clone();
            it.free_bytes = Some(space.free_bytes);
            it.used_bytes = Some(space.used_bytes);
            it.free_inodes = space.free_inodes;
        }))
    }

    /// The guest on these disks. Without a root it cannot be changed.
    pub fn into_guest(self, volumes: &Volumes) -> ApplianceGuest {
        ApplianceGuest {
            writable: self.writable && !self.mounts.is_empty(),
            disks: volumes.disks.iter().map(|disk| disk.size_bytes).collect(),
            opened: volumes.opened.clone(),
            discards: self.discards,
            has_volume_groups: volumes.volumes.iter().any(|volume| volume.fstype == "LVM2_member"),
            mounts: self.mounts,
            files: self.files,
        }
    }
}

fn mount(volume: &Volume, mountpoint: &str, options: String) -> Mount {
    Mount {
        device: volume.device.clone(),
        mountpoint: mountpoint.to_owned(),
        fstype: volume.fstype.clone(),
        uuid: volume.uuid.clone(),
        options,
    }
}

fn options(volume: &Volume, extra: &str, writable: bool) -> String {
    let mut options = if writable { "rw,noatime".to_owned() } else { "ro".to_owned() };
    if volume.fstype == "xfs" {
        // Two disks may be copies of each other.
        options.push_str(",nouuid");
    }
    if !extra.is_empty() {
        options.push(',');
        options.push_str(extra);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_an_xfs_can_be_mounted_together() {
        let mut volume =
            Volume { device: "/dev/sdb1".into(), fstype: "xfs".into(), uuid: None, label: None, length: 1, esp: false };
        assert_eq!(options(&volume, "", false), "ro,nouuid");
        volume.fstype = "btrfs".into();
        assert_eq!(options(&volume, "subvol=@", true), "rw,noatime,subvol=@");
    }
}
