//! qemu's words for a machine: pure functions from the model to parts of a command line. On which PCI bus a device lies, and how the line
//! is written, is the caller's.
#![warn(missing_docs)]

use vmdk2kvm_plugin_api::model::{CardModel, Chipset, DiskBus};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Drives of the older board.
const IDE_DRIVES: usize = 4;
/// Ports of an AHCI controller.
const SATA_PORTS: usize = 6;
/// Targets of a SCSI controller.
const SCSI_TARGETS: usize = 256;

/// Whether qemu opens disks of this format by its word.
pub fn opens(format: &str) -> bool {
    matches!(format, "qcow2" | "raw" | "vdi" | "vmdk" | "vhdx")
}

/// The device that is a card of this model.
pub fn card(model: CardModel) -> &'static str {
    match model {
        CardModel::Virtio => "virtio-net-pci",
        CardModel::E1000e => "e1000e",
        CardModel::Rtl8139 => "rtl8139",
        _ => "e1000",
    }
}

/// The properties of a disk on the SCSI controller `scsi`.
pub fn scsi_place(target: usize) -> Result<String> {
    if target >= SCSI_TARGETS {
        return Err(PluginError::unusable(format!("a SCSI controller takes {SCSI_TARGETS} disks, not more")));
    }
    Ok(format!("bus=scsi.0,channel=0,scsi-id={target},lun=0"))
}

/// Gives disks and drives of ATA their places, one after the other.
#[derive(Debug)]
pub struct AtaPlaces {
    chipset: Chipset,
    ide: usize,
    sata: usize,
}

/// Where an ATA disk or drive hangs.
#[derive(Debug, PartialEq, Eq)]
pub struct AtaPlace {
    /// The properties of its device.
    pub words: String,
    /// The id of an AHCI controller that has to be there first, and is not yet.
    pub new_controller: Option<String>,
}

impl AtaPlaces {
    /// All places of this board.
    pub fn new(chipset: Chipset) -> Self {
        Self { chipset, ide: 0, sata: 0 }
    }

    /// The next place on a bus. The newer board has no IDE: what was meant for it gets a port of SATA.
    pub fn next(&mut self, bus: DiskBus) -> Result<AtaPlace> {
        if self.chipset == Chipset::Pc && bus == DiskBus::Ide {
            return Ok(AtaPlace { words: self.next_on_ide()?, new_controller: None });
        }
        let (controller, port) = (self.sata / SATA_PORTS, self.sata % SATA_PORTS);
        self.sata += 1;
        // The newer board has the first controller built in, under the name of its buses alone.
        if controller == 0 && self.chipset != Chipset::Pc {
            return Ok(AtaPlace { words: format!("bus=ide.{port}"), new_controller: None });
        }
        let id = format!("ahci{controller}");
        Ok(AtaPlace { words: format!("bus={id}.{port}"), new_controller: (port == 0).then_some(id) })
    }

    fn next_on_ide(&mut self) -> Result<String> {
        let index = self.ide;
        if index == IDE_DRIVES {
            return Err(PluginError::unusable(format!("the older board takes {IDE_DRIVES} IDE drives, not more")));
        }
        self.ide += 1;
        Ok(format!("bus=ide.{},unit={}", index / 2, index % 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(chipset: Chipset, buses: &[DiskBus]) -> Vec<(String, Option<String>)> {
        let mut places = AtaPlaces::new(chipset);
        buses.iter().map(|bus| places.next(*bus).unwrap()).map(|place| (place.words, place.new_controller)).collect()
    }

    #[test]
    fn each_bus_of_a_board_is_counted_on_its_own() {
        use DiskBus::{Ide, Sata};
        let place = |words: &str, controller: Option<&str>| (words.to_owned(), controller.map(str::to_owned));
        assert_eq!(
            places(Chipset::Q35, &[Sata, Ide, Sata, Sata, Sata, Sata, Sata, Sata])[5..],
            [place("bus=ide.5", None), place("bus=ahci1.0", Some("ahci1")), place("bus=ahci1.1", None)]
        );
        assert_eq!(
            places(Chipset::Pc, &[Ide, Sata, Ide, Sata, Ide]),
            [
                place("bus=ide.0,unit=0", None),
                place("bus=ahci0.0", Some("ahci0")),
                place("bus=ide.0,unit=1", None),
                place("bus=ahci0.1", None),
                place("bus=ide.1,unit=0", None),
            ]
        );
    }

    #[test]
    fn what_has_no_place_is_said() {
        let mut places = AtaPlaces::new(Chipset::Pc);
        let last = (0..=IDE_DRIVES).map(|_| places.next(DiskBus::Ide)).last().unwrap();
        assert_eq!(last.unwrap_err().message, "the older board takes 4 IDE drives, not more");
        assert_eq!(scsi_place(255).unwrap(), "bus=scsi.0,channel=0,scsi-id=255,lun=0");
        assert_eq!(scsi_place(256).unwrap_err().message, "a SCSI controller takes 256 disks, not more");
    }
}
