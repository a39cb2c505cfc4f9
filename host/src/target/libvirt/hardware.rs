//! Which hardware the guest gets: decided from what its disks say, before any XML is written.

use vmdk2kvm_plugin_api::model::{Firmware, Inspection, OsFamily, RemovableKind, VmSpec};

use crate::config::DiskBus;

/// Above this many disks virtio-blk runs out of PCI slots on a machine without extra bridges.
const MOST_VIRTIO_DISKS: usize = 20;

/// An IDE machine has two channels with two drives each.
const MOST_IDE_DRIVES: usize = 4;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hardware {
    /// Machine type.
    pub(super) machine: Machine,
    /// Boot firmware.
    pub(super) firmware: Firmware,
    /// Secure Boot enforced.
    pub(super) secure_boot: bool,
    /// Bus of the disks.
    pub(super) disks: Bus,
    /// Network cards are virtio; otherwise Intel's e1000, which every older system knows.
    pub(super) virtio_net: bool,
    /// The guest can drive other virtio devices.
    pub(super) virtio: bool,
    /// The guest can drive virtio's graphics card.
    pub(super) virtio_gpu: bool,
    /// A Windows guest: its clock runs in local time, and it likes to know what it runs on.
    pub(super) windows: bool,
}

/// Machine type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// PCI Express: what current systems expect.
    Q35,
    /// The older PC with IDE, for systems that know nothing of virtio.
    Pc,
}

/// Bus of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bus {
    Virtio,
    VirtioScsi,
    Sata,
    Ide,
}

/// Whether the guest has a driver. A guest that was not inspected, or whose kernels are not known, is given the benefit
/// of the doubt; Windows brings no virtio driver of its own and is not.
fn has(inspection: Option<&Inspection>, drivers: &[&str]) -> bool {
    let Some(inspection) = inspection else { return true };
    match inspection.os.family {
        OsFamily::Unknown => return true,
        OsFamily::Linux if inspection.kernels.is_empty() => return true,
        OsFamily::Linux | OsFamily::Windows => {}
    }
    inspection.kernels.iter().any(|kernel| kernel.virtio.in_kernel.iter().any(|name| drivers.contains(&name.as_str())))
}

impl Hardware {
    /// Decides.
    pub(super) fn of(vm: &VmSpec, inspection: Option<&Inspection>, disks: usize, asked: Option<DiskBus>) -> Self {
        // The disks know better than the description: a guest installed for UEFI does not boot by BIOS.
        let firmware = inspection.and_then(|inspection| inspection.firmware).unwrap_or(vm.firmware);
        let block = has(inspection, &["virtio_blk"]);
        let scsi = has(inspection, &["virtio_scsi"]);
        let virtio_net = has(inspection, &["virtio_net"]);
        let drives = disks + vm.removable.iter().filter(|drive| drive.kind == RemovableKind::Cdrom).count();
        let old = !block && !scsi && firmware == Firmware::Bios;
        let bus = match asked {
            Some(DiskBus::Virtio) => Bus::Virtio,
            Some(DiskBus::VirtioScsi) => Bus::VirtioScsi,
            None if block && (disks <= MOST_VIRTIO_DISKS || !scsi) => Bus::Virtio,
            None if scsi => Bus::VirtioScsi,
            None if old && drives <= MOST_IDE_DRIVES => Bus::Ide,
            None => Bus::Sata,
        };
        Self {
            machine: if bus == Bus::Ide { Machine::Pc } else { Machine::Q35 },
            firmware,
            secure_boot: vm.secure_boot && firmware == Firmware::Uefi,
            disks: bus,
            virtio_net,
            virtio: block || scsi || virtio_net,
            // Unlike for the others there is always something that works in its place.
            virtio_gpu: inspection
                .is_some_and(|inspection| !inspection.kernels.is_empty() && has(Some(inspection), &["virtio_gpu"])),
            windows: inspection.is_some_and(|inspection| inspection.os.family == OsFamily::Windows),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vm(firmware: &str) -> VmSpec {
        serde_json::from_value(json!({"schema": 1, "name": "x", "firmware": firmware, "secure_boot": true,
            "cpus": {"count": 1, "sockets": 1, "cores_per_socket": 1}, "memory_bytes": 1,
            "removable": [{"kind": "cdrom", "controller": "ide"}]}))
        .unwrap()
    }

    fn guest(family: &str, drivers: &[&str]) -> Inspection {
        serde_json::from_value(json!({"schema": 1, "os": {"family": family},
            "kernels": [{"version": "6", "virtio": {"in_kernel": drivers, "in_initramfs": []}}]}))
        .unwrap()
    }

    #[test]
    fn the_bus_is_one_that_the_guest_can_drive() {
        let all = ["virtio_blk", "virtio_scsi", "virtio_net"];
        for (firmware, family, drivers, disks, asked, machine, bus) in [
            ("bios", "linux", &all[..], 1, None, Machine::Q35, Bus::Virtio),
            ("bios", "linux", &all[..], 21, None, Machine::Q35, Bus::VirtioScsi),
            ("bios", "linux", &all[..1], 21, None, Machine::Q35, Bus::Virtio),
            ("bios", "linux", &all[1..], 1, None, Machine::Q35, Bus::VirtioScsi),
            ("bios", "linux", &all[..], 1, Some(DiskBus::VirtioScsi), Machine::Q35, Bus::VirtioScsi),
            ("bios", "linux", &[], 3, None, Machine::Pc, Bus::Ide),
            ("bios", "linux", &[], 4, None, Machine::Q35, Bus::Sata),
            ("uefi", "linux", &[], 1, None, Machine::Q35, Bus::Sata),
            ("uefi", "windows", &[], 1, None, Machine::Q35, Bus::Sata),
            ("uefi", "unknown", &[], 1, None, Machine::Q35, Bus::Virtio),
        ] {
            let hardware = Hardware::of(&vm(firmware), Some(&guest(family, drivers)), disks, asked);
            assert_eq!((hardware.machine, hardware.disks), (machine, bus), "{firmware} {family} {drivers:?} {disks}");
        }
        assert_eq!(Hardware::of(&vm("bios"), None, 1, None).disks, Bus::Virtio);
    }

    #[test]
    fn firmware_is_what_the_disks_are_made_for() {
        let mut inspection = guest("linux", &[]);
        inspection.firmware = Some(Firmware::Bios);
        let hardware = Hardware::of(&vm("uefi"), Some(&inspection), 1, None);
        assert_eq!((hardware.firmware, hardware.secure_boot), (Firmware::Bios, false));
        assert!(Hardware::of(&vm("uefi"), None, 1, None).secure_boot);
    }
}
