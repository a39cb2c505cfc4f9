//! Reads guests offline without an appliance: filesystems parsed in Rust alone, over block sources, for reading only.
//!
//! Owns the readers of filesystems and what they refuse. What the guest on these filesystems is say `vmdk2kvm-offline-guest` and
//! `vmdk2kvm-windows-guest`, as for every other reader. Whatever is not understood for sure is "cannot": an appliance reads that guest then, from the start.
#![forbid(unsafe_code)]

mod btrfs;
mod bytes;
mod cache;
mod ext;
mod fat;
mod ntfs;
mod tree;
mod xfs;

use std::sync::Arc;

use vmdk2kvm_offline_guest::{Filesystem, Found, OfflineGuest, Reader, Sources, Volume, scan, storage};
use vmdk2kvm_plugin_api::model::{Inspection, OpenGuest, OsFamily, Storage};
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Guest, Host, Inspector, Opened, Plugin, PluginError, Result};

use vmdk2kvm_windows_guest::{self as windows, may_hold_windows};

use cache::Cache;

/// The plugin.
#[derive(Clone)]
pub struct NativeOffline {
    host: Host,
}

impl Plugin for NativeOffline {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(self.clone()))
    }
}

impl Inspector for NativeOffline {
    /// It opens no images: it reads what they are made from.
    fn accepts(&self, _: &OpenGuest) -> Result<u32> {
        Ok(0)
    }

    fn open(&self, _: &OpenGuest) -> Result<Opened> {
        Err(bytes::cannot("images are not opened without an appliance; plan and inspect read the disks themselves"))
    }

    fn open_sources(&self, request: &OpenGuest, disks: Vec<Arc<dyn BlockSource>>) -> Result<Opened> {
        open(request, disks, &self.host).map_err(|mut error| {
            // No verdict on the guest: another one may read it.
            if error.kind != ErrorKind::Interrupted {
                error.kind = ErrorKind::Cannot;
            }
            error
        })
    }
}

fn open(request: &OpenGuest, disks: Vec<Arc<dyn BlockSource>>, host: &Host) -> Result<Opened> {
    let cache = Cache::new(host.clone());
    let disks: Vec<Arc<dyn BlockSource>> =
        disks.into_iter().enumerate().map(|(number, disk)| cache.disk(number, disk)).collect();
    host.progress("disks", 0, 0);
    let sizes: Vec<u64> = disks.iter().map(|disk| disk.size()).collect();
    let sources = Arc::new(Sources::new(&disks)?);
    let volumes = scan(sources.as_ref(), &sizes, request, host)?;
    if let Some(locked) = volumes.volumes.iter().find(|volume| volume.fstype == "crypto_LUKS") {
        return Err(bytes::cannot(format!("{} is encrypted", locked.device)));
    }
    let storage = storage(sources.as_ref(), &sizes, &[], host)?;
    // As of inspectors that are given images, that of Windows goes first where one may be there.
    if may_hold_windows(&volumes.disks) {
        let mut reader = reader(&sources);
        let found = windows::Found::mount(&mut reader, volumes.clone(), request, host);
        let opened = inspected(&reader, storage.clone(), host, |guest| found?.inspect(guest, request))?;
        if opened.inspection.os.family != OsFamily::Unknown {
            return Ok(opened);
        }
    }
    host.progress("mount", 0, 0);
    let mut reader = reader(&sources);
    let found = Found::mount(&mut reader, volumes, request, host);
    inspected(&reader, storage, host, |guest| {
        let found = found?;
        if found.mounts.is_empty() {
            return Err(bytes::cannot("no system that is known here was found on the disks"));
        }
        found.inspect(guest, request)
    })
}

fn reader(sources: &Arc<Sources>) -> Reader {
    let devices = sources.clone();
    Reader::new(Box::new(move |volume: &Volume, subvolume: Option<&str>| {
        open_filesystem(&volume.fstype, devices.get(&volume.device)?, subvolume)
    }))
}

/// The guest of what was mounted. Of what failed because something could not be read, that is the reason.
fn inspected(
    reader: &Reader,
    storage: Storage,
    host: &Host,
    inspect: impl FnOnce(&dyn Guest) -> Result<Inspection>,
) -> Result<Opened> {
    reader.view().check()?;
    host.progress("inspect", 0, 0);
    let guest = OfflineGuest::new(reader.view(), storage);
    let inspection = inspect(&guest);
    guest.close()?;
    Ok(Opened::new(guest, inspection?))
}

/// Opens the filesystem of a type on a device; of a btrfs the subvolume at a path. `None`: there is no such subvolume.
pub fn open_filesystem(
    fstype: &str,
    source: Arc<dyn BlockSource>,
    subvolume: Option<&str>,
) -> Result<Option<Arc<dyn Filesystem>>> {
    Ok(Some(match fstype {
        "ext2" | "ext3" | "ext4" => Arc::new(ext::Ext::open(source)?),
        "xfs" => Arc::new(tree::Tree::new(xfs::Xfs::open(source)?)),
        "ntfs" => Arc::new(tree::Tree::new(ntfs::Ntfs::open(source)?)),
        "vfat" => Arc::new(tree::Tree::new(fat::Fat::open(source)?)),
        "btrfs" => {
            let Some(opened) = btrfs::Btrfs::open(source, subvolume)? else { return Ok(None) };
            Arc::new(tree::Tree::new(opened))
        }
        other => return Err(refused(other)),
    }))
}

fn refused(fstype: &str) -> PluginError {
    bytes::cannot(format!("filesystems of type {fstype} are not read without an appliance"))
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: NativeOffline,
    name: "native-offline",
    summary: "Linux and Windows guests read offline in a moment, without an appliance",
    kinds: ["inspector"],
    guests: ["linux", "windows"],
    capabilities: ["sources", "lvm", "md", "btrfs", "ntfs"],
}
