//! INSPECT: what a Linux guest says about itself.
//!
//! Owns the order of the questions and what they add up to; each question has its own file.

mod boot_files;
mod bootloader;
mod kernels;
mod loader_entries;
mod menu;
pub(crate) mod network;
mod os;
mod peculiar;
pub(crate) mod tools;
mod unified;
mod weaknesses;

use vmdk2kvm_plugin_api::model::{Firmware, GuestDiskInfo, Inspection, KernelInfo, MountInfo, OsFamily, VmSpec};
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::careful::Careful;
use crate::devices::Devices;
use crate::fix::entries;
use crate::textfile::TextFile;

/// What an inspector knows about a guest from its disks, before any file is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskLayout {
    /// Firmware the disks are made for.
    pub firmware: Option<Firmware>,
    /// Device of the root filesystem, in the inspector's naming.
    pub root: Option<String>,
    /// What is mounted where, the root first.
    pub mounts: Vec<MountInfo>,
    /// Every disk of the VM with what it holds.
    pub disks: Vec<GuestDiskInfo>,
}

/// Reads the guest: system, kernels, boot loader, network, VMware Tools, and its weaknesses. A guest that is no Linux gives an
/// inspection of family `unknown` that says what is on the disks and nothing else.
pub fn inspect(guest: &dyn Guest, layout: &DiskLayout) -> Result<Inspection> {
    let careful = Careful::new(guest);
    let mut inspection = read(&careful, layout)?;
    inspection.findings.extend(careful.findings());
    Ok(inspection)
}

fn read(guest: &dyn Guest, layout: &DiskLayout) -> Result<Inspection> {
    let mut inspection = Inspection::new(os::read(guest)?).with(|it| {
        it.firmware = layout.firmware;
        it.root = layout.root.clone();
        it.mounts = layout.mounts.clone();
        it.disks = layout.disks.clone();
    });
    if inspection.os.family != OsFamily::Linux {
        return Ok(inspection);
    }
    if let Some((name, config)) = bootloader::find(guest, layout.firmware)? {
        inspection.bootloader = Some(name.to_owned());
        inspection.bootloader_config = Some(config);
    }
    inspection.findings.extend(bootloader::lilo(guest, layout.firmware, inspection.bootloader.as_deref())?);
    inspection.findings.extend(loader_entries::find(&inspection, guest)?);
    let loader = (inspection.bootloader.as_deref(), inspection.bootloader_config.as_deref());
    let menu = menu::Menu::read(loader.0, loader.1, &layout.mounts, guest)?;
    inspection.findings.extend(menu.findings());
    inspection.kernels = kernels::read(&menu, guest, &mut inspection.findings)?;
    inspection.drives = drives(&inspection.kernels, |kernel| &kernel.virtio.in_initramfs);
    let devices = Devices::new(&layout.disks, None).with_names_of(guest)?;
    let images = unified::read(inspection.kernels.is_empty(), &devices, guest)?;
    if inspection.kernels.is_empty() {
        inspection.drives = images.drives;
    }
    if images.found {
        // Its kernels are in these.
        inspection.findings.retain(|finding| finding.code != "no-kernel");
    }
    inspection.findings.extend(images.findings);
    peculiar::find(&mut inspection, &menu, images.found, guest)?;
    let network = network::Network::read(guest)?;
    inspection.network = network.graph.info();
    inspection.findings.extend(network.graph.findings.iter().cloned());
    inspection.vmware_tools = tools::Tools::find(guest)?.info();
    let more = weaknesses::find(&inspection, &network.graph, guest)?;
    inspection.findings.extend(more);
    Ok(inspection)
}

/// The drivers of virtual hardware that any of the kernels has, in the words of [`Inspection::drives`]. What only a disk needs must be there
/// before the root is; of everything else a module on the root is enough.
pub(crate) fn drives(kernels: &[KernelInfo], storage: impl Fn(&KernelInfo) -> &Vec<String>) -> Vec<String> {
    let is_storage = |driver: &&String| matches!(driver.as_str(), "virtio_blk" | "virtio_scsi");
    let of_kernel = |kernel: &KernelInfo| {
        let disks = storage(kernel).iter().filter(is_storage).cloned();
        let others = kernel.virtio.in_kernel.iter().filter(|driver| !is_storage(driver)).cloned();
        disks.chain(others).collect::<Vec<_>>()
    };
    let mut drives: Vec<String> = kernels.iter().flat_map(of_kernel).map(|driver| driver.replace('_', "-")).collect();
    drives.sort();
    drives.dedup();
    drives
}

/// What the guest's fstab mounts from block devices, in its order, swap and removable media left out.
///
/// Devices are given in the inspector's naming, resolved through the disk order of `vm` where the fstab names them by place. What
/// is on no disk's list (a filesystem inside of a logical volume named by UUID) is given as its `/dev/disk/by-...` link. Entries
/// that mean no device of this VM are left out.
pub fn fstab_mounts(guest: &dyn Guest, disks: &[GuestDiskInfo], vm: Option<&VmSpec>) -> Result<Vec<MountInfo>> {
    let Some(file) = TextFile::read(guest, "/etc/fstab", &mut Vec::new())? else { return Ok(Vec::new()) };
    let devices = Devices::new(disks, vm).with_names_of(guest)?;
    let mounts = entries(&file.text).filter(|entry| entry.mountpoint().starts_with('/') && entry.fstype() != "swap");
    Ok(mounts
        .filter_map(|entry| {
            let device = devices.resolve(&entry.spec())?;
            let known = devices.by_name(&device);
            let of_disk = known.and_then(|known| known.fstype.clone());
            Some(
                MountInfo::new(device, entry.mountpoint(), of_disk.unwrap_or_else(|| entry.fstype().to_owned()))
                    .with(|it| it.uuid = known.and_then(|known| known.uuid.clone())),
            )
        })
        .collect())
}

#[cfg(test)]
mod tests;
