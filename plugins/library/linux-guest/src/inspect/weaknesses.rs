//! What would keep the guest from coming up on KVM as it is: findings with stable codes, each of which a fixer knows.

use vmdk2kvm_plugin_api::model::{Finding, Firmware, Inspection, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::network::Graph;
use crate::devices::{Devices, Reference};
use crate::fix::{entries, has_fallback_loader, unstable_arguments};
use crate::textfile::TextFile;

/// Daemons of other hypervisors' tools.
const OTHER_TOOLS: [(&str, &str); 5] = [
    ("/usr/sbin/VBoxService", "VirtualBox's guest additions"),
    ("/usr/bin/prltoolsd", "Parallels Tools"),
    ("/usr/sbin/xe-daemon", "Xen's guest utilities"),
    ("/usr/sbin/hv_kvp_daemon", "Hyper-V's daemons"),
    ("/usr/sbin/hypervkvpd", "Hyper-V's daemons"),
];

/// Every weakness.
pub(super) fn find(inspection: &Inspection, network: &Graph, guest: &dyn Guest) -> Result<Vec<Finding>> {
    let mut out = Vec::new();
    let devices = Devices::new(&inspection.disks, None).with_names_of(guest)?;
    out.extend(devices.copies());
    for kernel in &inspection.kernels {
        let missing: Vec<&str> = ["virtio_pci", "virtio_blk", "virtio_scsi"]
            .into_iter()
            .filter(|driver| !kernel.virtio.in_initramfs.iter().any(|own| own == driver))
            .collect();
        if !missing.is_empty() {
            let message = format!("kernel {} starts without {}", kernel.version, missing.join(", "));
            out.push(warn("initramfs-without-virtio", message, "the fix adds the drivers to its initramfs"));
        }
    }
    if let Some(file) = TextFile::read(guest, "/etc/fstab", &mut out)? {
        for entry in entries(&file.text) {
            if matches!(devices.refer(&entry.spec()), Reference::Place(_) | Reference::Unknown) {
                let message = format!("/etc/fstab {}, a name that the move changes", entry.what());
                out.push(warn("fstab-unstable-device", message, "the fix names the filesystem by UUID"));
            }
        }
    }
    if let Some(path) = &inspection.bootloader_config {
        if let Some(file) = TextFile::read(guest, path, &mut out)? {
            for argument in unstable_arguments(&file.text, &devices) {
                let message = format!("{path} has {argument}, a name that the move changes");
                out.push(warn("cmdline-unstable-device", message, "the fix names the device by UUID"));
            }
        }
    }
    for card in network.cards().filter(|card| card.active) {
        let pinned = network.pins.iter().any(|pin| pin.name == card.name && !pin.bound);
        let by_slot = ["ens", "enp", "eno", "enx"].iter().any(|prefix| card.name.starts_with(prefix));
        if !pinned && by_slot {
            let message =
                format!("the interface name {} comes from the card's slot, which the move changes", card.name);
            out.push(warn("nic-name-unpinned", message, "the fix binds the name to the card's MAC address"));
        }
    }
    if inspection.vmware_tools.installed {
        let message = "VMware Tools are installed and do nothing on KVM".to_owned();
        out.push(Finding::new("vmware-tools-installed", Severity::Info, message).hint("the fix removes them"));
    }
    for (path, name) in OTHER_TOOLS {
        if guest.stat(path)?.is_some() {
            let message = format!("{name} are installed and do nothing on KVM");
            let hint = "the fix disables their services; remove them in the guest unless it may go back";
            out.push(Finding::new("other-hypervisor-tools", Severity::Info, message).hint(hint));
        }
    }
    if inspection.firmware == Some(Firmware::Uefi) && has_fallback_loader(&inspection.os.arch, guest)? == Some(false) {
        let message =
            "the EFI system partition has no fallback loader, and the boot entries stay in the old machine's NVRAM";
        out.push(warn(
            "uefi-no-fallback-loader",
            message.to_owned(),
            "the fix copies the vendor's loader to \\EFI\\BOOT",
        ));
    }
    Ok(out)
}

fn warn(code: &str, message: String, hint: &str) -> Finding {
    Finding::new(code, Severity::Warn, message).hint(hint)
}
