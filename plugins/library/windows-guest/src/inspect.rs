//! What a Windows guest says about itself.

mod boot;
mod hives;
mod letters;
pub(crate) mod storage;
pub(crate) mod system;
pub(crate) mod tools;
mod weaknesses;

use vmdk2kvm_plugin_api::model::{
    Finding, Firmware, GuestDiskInfo, Inspection, InterfaceInfo, MountInfo, NetworkInfo, Severity, VmSpec,
};
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::network::{self, Interface};
use crate::places::System;
use crate::registry::Hives;

/// What the inspector knows of the disks.
pub struct Layout {
    /// The system and where it is mounted.
    pub system: System,
    /// Firmware that the disks are made for.
    pub firmware: Firmware,
    /// Whether the system sleeps.
    pub hibernation: Hibernation,
    /// The device of its drive.
    pub root: String,
    /// What is mounted where, the system's drive first.
    pub mounts: Vec<MountInfo>,
    /// Every disk.
    pub disks: Vec<GuestDiskInfo>,
    /// The machine.
    pub vm: VmSpec,
}

/// What the file says that a hibernated system keeps its memory in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hibernation {
    /// It runs or was shut down.
    No,
    /// It sleeps: its filesystems are in use by what is in the file.
    Yes,
}

impl Hibernation {
    /// By the first bytes of the file. `wake`, `rstr` and zeros are left behind by a system that woke up.
    pub fn of(head: Option<&[u8]>) -> Self {
        match head.and_then(|head| head.get(..4)) {
            Some(magic) if magic.eq_ignore_ascii_case(b"hibr") => Self::Yes,
            _ => Self::No,
        }
    }
}

/// Reads the guest.
pub fn inspect(guest: &dyn Guest, layout: &Layout) -> Result<Inspection> {
    let hives = Hives::read(guest, &layout.system)?;
    let interfaces = network::read(&hives)?;
    let mut inspection = Inspection::new(system::read(&hives)?);
    inspection.firmware = Some(layout.firmware);
    inspection.root = Some(layout.root.clone());
    inspection.mounts.clone_from(&layout.mounts);
    inspection.disks.clone_from(&layout.disks);
    let letters = letters::read(&hives, &layout.disks)?;
    letters::note(&mut inspection.disks, &letters);
    inspection.network = shown(&interfaces, &layout.vm);
    inspection.vmware_tools = tools::read(&hives)?;
    inspection.drives = storage::drives(&hives)?;
    let boot = boot::read(guest, layout)?;
    inspection.bootloader = boot.loader.map(str::to_owned);
    inspection.bootloader_config = boot.config;
    inspection.findings = weaknesses::find(guest, &hives, layout)?;
    inspection.findings.extend(hives::find(&hives));
    inspection.findings.extend(boot.findings);
    inspection.findings.extend(letters.iter().filter_map(letters::without_disk));
    inspection.findings.extend(contradiction(layout));
    Ok(inspection)
}

/// The cards that the system knows; those that are no card of the VM are left out where any is.
fn shown(interfaces: &[Interface], vm: &VmSpec) -> NetworkInfo {
    let pairs = network::paired(interfaces, &vm.nics);
    let any = pairs.iter().any(Option::is_some);
    let info = |(interface, mac): (&Interface, &Option<String>)| {
        InterfaceInfo::new(if interface.name.is_empty() { &interface.guid } else { &interface.name }).with(|it| {
            it.mac = mac.clone().or_else(|| interface.mac.clone());
            it.dhcp = interface.dhcp;
            it.addresses = interface.with_prefixes();
        })
    };
    let present = interfaces.iter().zip(&pairs).filter(|(_, mac)| !any || mac.is_some());
    let mut network = NetworkInfo::default();
    network.interfaces = present.map(info).collect();
    network
}

fn contradiction(layout: &Layout) -> Option<Finding> {
    let vm = &layout.vm;
    if vm.firmware == layout.firmware || vm.guessed.iter().any(|member| member == "firmware") {
        return None;
    }
    let name = |firmware| if firmware == Firmware::Uefi { "UEFI" } else { "BIOS" };
    let message = format!(
        "the VM's description says {}, but its disks are made for {}",
        name(vm.firmware),
        name(layout.firmware)
    );
    Some(Finding::new("firmware-differs", Severity::Warn, message).hint("the new VM gets what its disks are made for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_memory_that_is_still_wanted_counts() {
        for (head, wanted) in [
            (Some(&b"hibr\0\0"[..]), Hibernation::Yes),
            (Some(b"HIBR"), Hibernation::Yes),
            (Some(b"wake"), Hibernation::No),
            (Some(b"rstr"), Hibernation::No),
            (Some(b"\0\0\0\0"), Hibernation::No),
            (Some(b"hi"), Hibernation::No),
            (None, Hibernation::No),
        ] {
            assert_eq!(Hibernation::of(head), wanted, "{head:?}");
        }
    }
}
