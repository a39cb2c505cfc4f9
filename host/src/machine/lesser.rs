//! The machine that is tried when a guest does not come up on its best one.

use vmdk2kvm_plugin_api::model::{CardModel, Chipset, DiskBus, Machine, MachineDrive, Video};

/// The same machine with disks on SATA, cards that every system of today knows, and plain VGA; `None` when it is that already.
pub fn lesser(machine: &Machine) -> Option<Machine> {
    // A system that is given IDE knows nothing of SATA.
    if machine.disks.iter().any(|disk| disk.bus == DiskBus::Ide) {
        return None;
    }
    let lesser = machine.clone().with(|lesser| {
        lesser.chipset = Chipset::Q35;
        lesser.disks.iter_mut().for_each(|disk| disk.bus = DiskBus::Sata);
        lesser.drives = lesser.drives.iter().map(|drive| MachineDrive::new(drive.kind, DiskBus::Sata)).collect();
        lesser.cards.iter_mut().for_each(|card| card.model = CardModel::E1000e);
        lesser.video = Video::Vga;
    });
    (lesser != *machine).then_some(lesser)
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Card, Cpus, Firmware, MachineDisk};

    use super::*;

    #[test]
    fn only_a_machine_that_is_better_has_a_lesser_one() {
        let best = Machine::new("web", Firmware::Uefi, Cpus::new(1, 1), 1 << 30).with(|machine| {
            machine.disks = vec![MachineDisk::new("raw", 1, DiskBus::Virtio)];
            machine.cards = vec![Card::new(CardModel::Virtio)];
            machine.video = Video::Virtio;
        });
        let found = lesser(&best).unwrap();
        assert_eq!((found.disks[0].bus, found.cards[0].model), (DiskBus::Sata, CardModel::E1000e));
        assert_eq!((found.video, found.firmware), (Video::Vga, Firmware::Uefi));
        assert_eq!(lesser(&found), None);
    }
}
