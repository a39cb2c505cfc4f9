//! qemu's words for the devices of a machine.
//!
//! On both boards everything hangs on the root bus, where a virtio device speaks both versions of its protocol: a guest of any age
//! finds it. There is room for so many devices that the host has taken one SCSI controller for the disks long before.

use vmdk2kvm_plugin_api::model::{Card, CardModel, Chipset, DiskBus, Machine, MachineDisk, RemovableKind, Video};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::quote::quote;

/// Slots of the root bus that are left for disks, controllers and cards.
const SLOTS: usize = 24;
/// Drives of the older board.
const IDE_DRIVES: usize = 4;
/// Ports of an AHCI controller.
const SATA_PORTS: usize = 6;
/// Targets of a SCSI controller.
const SCSI_TARGETS: usize = 256;
/// What qemu opens by these words.
const FORMATS: [&str; 5] = ["qcow2", "raw", "vdi", "vmdk", "vhdx"];

/// Lines of the script that add the devices, and how many slots they take.
#[derive(Default)]
struct Lines {
    text: String,
    slots: usize,
    ata: usize,
    scsi: usize,
}

/// The lines that add disks, drives and cards to the array `words`.
pub fn lines(machine: &Machine) -> Result<String> {
    let mut lines = Lines::default();
    for (index, disk) in machine.disks.iter().enumerate() {
        lines.disk(machine.chipset, index, disk)?;
    }
    for drive in machine.drives.iter().filter(|drive| drive.kind == RemovableKind::Cdrom) {
        let place = lines.ata(machine.chipset, drive.bus)?;
        lines.add(&format!("-device ide-cd,{place}"));
    }
    for (index, card) in machine.cards.iter().enumerate() {
        lines.card(index, card);
    }
    let video = if machine.video == Video::Virtio { "virtio-vga" } else { "VGA" };
    lines.add(&format!("-device {video} -usb -device usb-tablet"));
    if machine.paravirtual {
        lines.add("-object rng-random,id=entropy,filename=/dev/urandom -device virtio-rng-pci,rng=entropy");
        lines.add("-device virtio-balloon-pci");
    }
    if lines.slots > SLOTS {
        return Err(PluginError::unusable(format!(
            "the machine has {} controllers, disks and cards, more than the {SLOTS} that the target qemu attaches",
            lines.slots
        ))
        .hint("give the disks one controller with --set machine.disk_bus=virtio-scsi"));
    }
    Ok(lines.text)
}

impl Lines {
    fn add(&mut self, words: &str) {
        self.text.push_str(&format!("words+=({words})\n"));
    }

    fn disk(&mut self, chipset: Chipset, index: usize, disk: &MachineDisk) -> Result<()> {
        if disk.image.contains('\0') || !disk.image.starts_with('/') {
            return Err(PluginError::output(format!("{:?}: the path of an image cannot be written", disk.image)));
        }
        if !FORMATS.contains(&disk.format.as_str()) {
            return Err(PluginError::unusable(format!("qemu opens no disks of the format {:?}", disk.format)));
        }
        self.text.push_str(&format!("disk disk{index} {} {}\n", disk.format, quote(&disk.image)));
        let device = match disk.bus {
            DiskBus::Virtio => {
                self.slots += 1;
                "virtio-blk-pci".to_owned()
            }
            DiskBus::VirtioScsi => format!("scsi-hd,{}", self.scsi()?),
            bus => format!("ide-hd,{}", self.ata(chipset, bus)?),
        };
        let plain = |serial: &&String| {
            !serial.is_empty() && serial.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter))
        };
        let serial = disk.serial.as_ref().filter(plain).map(|serial| format!(",serial={serial}")).unwrap_or_default();
        // qemu counts from 0, but only the order matters.
        let boot = disk.boot_order.map(|order| format!(",bootindex={order}")).unwrap_or_default();
        self.add(&format!("-device {device},drive=disk{index}{serial}{boot}"));
        Ok(())
    }

    /// The next place on the SCSI controller.
    fn scsi(&mut self) -> Result<String> {
        let target = self.scsi;
        if target == SCSI_TARGETS {
            return Err(PluginError::unusable(format!("a SCSI controller takes {SCSI_TARGETS} disks, not more")));
        }
        if target == 0 {
            self.slots += 1;
            self.add("-device virtio-scsi-pci,id=scsi");
        }
        self.scsi += 1;
        Ok(format!("bus=scsi.0,channel=0,scsi-id={target},lun=0"))
    }

    /// The next place on an IDE channel or an AHCI port.
    fn ata(&mut self, chipset: Chipset, bus: DiskBus) -> Result<String> {
        let index = self.ata;
        self.ata += 1;
        if chipset == Chipset::Pc && bus == DiskBus::Ide {
            return match index {
                0..IDE_DRIVES => Ok(format!("bus=ide.{},unit={}", index / 2, index % 2)),
                _ => Err(PluginError::unusable(format!("the older board takes {IDE_DRIVES} IDE drives, not more"))),
            };
        }
        // The newer board has the first controller built in; a drive that was meant for IDE goes there, too.
        let (controller, port) = (index / SATA_PORTS, index % SATA_PORTS);
        if controller == 0 && chipset != Chipset::Pc {
            return Ok(format!("bus=ide.{port}"));
        }
        if port == 0 {
            self.slots += 1;
            self.add(&format!("-device ahci,id=ahci{controller}"));
        }
        Ok(format!("bus=ahci{controller}.{port}"))
    }

    fn card(&mut self, index: usize, card: &Card) {
        self.slots += 1;
        let model = match card.model {
            CardModel::Virtio => "virtio-net-pci",
            CardModel::E1000e => "e1000e",
            CardModel::Rtl8139 => "rtl8139",
            _ => "e1000",
        };
        let mac = card.mac.as_deref().filter(|mac| is_of_one_card(mac)).map(|mac| format!(",mac={mac}"));
        let mac = mac.unwrap_or_default();
        self.add(&format!("-netdev \"$netdev,id=net{index}\" -device {model},netdev=net{index}{mac}"));
    }
}

/// Six pairs of hexadecimal digits, and no address of a group, which qemu refuses.
fn is_of_one_card(mac: &str) -> bool {
    let octets = mac.split(':').map(|octet| match octet.len() {
        2 if octet.bytes().all(|byte| byte.is_ascii_hexdigit()) => u8::from_str_radix(octet, 16).ok(),
        _ => None,
    });
    let octets: Option<Vec<u8>> = octets.collect();
    octets.is_some_and(|octets| octets.len() == 6 && octets[0] & 1 == 0)
}
