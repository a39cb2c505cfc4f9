//! qemu's words for the devices of a machine.
//!
//! On both boards everything hangs on the root bus, where a virtio device speaks both versions of its protocol: a guest of any age
//! finds it. There is room for so many devices that the host has taken one SCSI controller for the disks long before.

use vmdk2kvm_plugin_api::model::{Card, DiskBus, Machine, MachineDisk, RemovableKind, Video, unicast_mac};
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_qemu_words::{AtaPlaces, opens, scsi_place};
use vmdk2kvm_target_words::quote;

/// Slots of the root bus that are left for disks, controllers and cards.
const SLOTS: usize = 24;
/// Lines of the script that add the devices, and how many slots they take.
struct Lines {
    text: String,
    slots: usize,
    ata: AtaPlaces,
    scsi: usize,
}

/// The lines that add disks, drives and cards to the array `words`.
pub fn lines(machine: &Machine) -> Result<String> {
    let mut lines = Lines { text: String::new(), slots: 0, ata: AtaPlaces::new(machine.chipset), scsi: 0 };
    for (index, disk) in machine.disks.iter().enumerate() {
        lines.disk(index, disk)?;
    }
    for drive in machine.drives.iter().filter(|drive| drive.kind == RemovableKind::Cdrom) {
        let place = lines.ata(drive.bus)?;
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

    fn disk(&mut self, index: usize, disk: &MachineDisk) -> Result<()> {
        if disk.image.contains('\0') || !disk.image.starts_with('/') {
            return Err(PluginError::output(format!("{:?}: the path of an image cannot be written", disk.image)));
        }
        if !opens(&disk.format) {
            return Err(PluginError::unusable(format!("qemu opens no disks of the format {:?}", disk.format)));
        }
        self.text.push_str(&format!("disk disk{index} {} {}\n", disk.format, quote(&disk.image)));
        let device = match disk.bus {
            DiskBus::Virtio => {
                self.slots += 1;
                "virtio-blk-pci".to_owned()
            }
            DiskBus::VirtioScsi => format!("scsi-hd,{}", self.scsi()?),
            bus => format!("ide-hd,{}", self.ata(bus)?),
        };
        let serial = disk.plain_serial().map(|serial| format!(",serial={serial}")).unwrap_or_default();
        // qemu counts from 0, but only the order matters.
        let boot = disk.boot_order.map(|order| format!(",bootindex={order}")).unwrap_or_default();
        self.add(&format!("-device {device},drive=disk{index}{serial}{boot}"));
        Ok(())
    }

    /// The next place on the SCSI controller.
    fn scsi(&mut self) -> Result<String> {
        let place = scsi_place(self.scsi)?;
        if self.scsi == 0 {
            self.slots += 1;
            self.add("-device virtio-scsi-pci,id=scsi");
        }
        self.scsi += 1;
        Ok(place)
    }

    /// The next place on an IDE channel or an AHCI port.
    fn ata(&mut self, bus: DiskBus) -> Result<String> {
        let place = self.ata.next(bus)?;
        if let Some(id) = place.new_controller {
            self.slots += 1;
            self.add(&format!("-device ahci,id={id}"));
        }
        Ok(place.words)
    }

    fn card(&mut self, index: usize, card: &Card) {
        self.slots += 1;
        let model = vmdk2kvm_qemu_words::card(card.model);
        let mac = card.mac.as_deref().and_then(unicast_mac).map(|mac| format!(",mac={mac}")).unwrap_or_default();
        self.add(&format!("-netdev \"$netdev,id=net{index}\" -device {model},netdev=net{index}{mac}"));
    }
}
