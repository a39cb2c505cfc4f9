//! What a machine has and a platform has no word for: a warning with a code, never silence.

use vmdk2kvm_plugin_api::model::{CardModel, Chipset, Clock, DiskBus, Finding, Firmware, Machine, Severity, Video};

/// Something of a machine that not every platform can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// The UUID that the firmware shows.
    Uuid,
    /// The generation id.
    Genid,
    /// The older board.
    OldBoard,
    /// A hardware clock that shows local time.
    LocalClock,
    /// The interfaces by which a guest knows that it is virtual.
    Enlightenments,
    /// Disks that are block devices of this machine.
    BlockDevices,
    /// Serial numbers of disks.
    Serials,
    /// Disks on ATA.
    Ata,
    /// Disks on IDE alone: there is SATA.
    Ide,
    /// Cards that are not virtio's.
    CardModels,
    /// Cards of several models in one machine.
    MixedCards,
    /// Drives without a medium.
    EmptyDrives,
    /// Graphics by virtio.
    VirtioVideo,
    /// A machine without a serial console.
    NoConsole,
    /// A machine without a channel for the agent, a random number generator and a balloon.
    NoParavirtual,
    /// Variables of the UEFI that are kept when the machine is off.
    KeptVariables,
}

/// The warnings for those features that the machine has.
pub fn losses(target: &str, machine: &Machine, cannot: &[Feature]) -> Vec<Finding> {
    let found = cannot.iter().filter(|feature| feature.is_in(machine));
    found.map(|feature| feature.words()).map(|(code, message)| lost(target, code, message)).collect()
}

/// A warning that a target leaves something out. The code is `target-lost-` and the word.
pub fn lost(target: &str, word: &str, message: &str) -> Finding {
    Finding::new(format!("target-lost-{word}"), Severity::Warn, format!("the target {target} {message}"))
}

impl Feature {
    fn is_in(self, machine: &Machine) -> bool {
        let on = |buses: &[DiskBus]| machine.disks.iter().any(|disk| buses.contains(&disk.bus));
        match self {
            Self::Uuid => machine.uuid.is_some(),
            Self::Genid => machine.genid.is_some(),
            Self::OldBoard => machine.chipset == Chipset::Pc,
            Self::LocalClock => machine.clock == Clock::Local,
            Self::Enlightenments => machine.enlightenments,
            Self::BlockDevices => machine.disks.iter().any(|disk| disk.block_device),
            Self::Serials => machine.disks.iter().any(|disk| disk.serial.is_some()),
            Self::Ata => on(&[DiskBus::Ide, DiskBus::Sata]),
            Self::Ide => on(&[DiskBus::Ide]),
            Self::CardModels => machine.cards.iter().any(|card| card.model != CardModel::Virtio),
            Self::MixedCards => machine.cards.windows(2).any(|two| two[0].model != two[1].model),
            Self::EmptyDrives => !machine.drives.is_empty(),
            Self::VirtioVideo => machine.video == Video::Virtio,
            Self::NoConsole => !machine.serial_console,
            Self::NoParavirtual => !machine.paravirtual,
            Self::KeptVariables => machine.firmware == Firmware::Uefi,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Uuid => {
                ("uuid", "chooses the machine's UUID itself: licences and agents that look at it see another")
            }
            Self::Genid => ("genid", "has no word for a generation id: the guest does not learn that it was copied"),
            Self::OldBoard => ("board", "gives every machine the newer board, which a very old guest may not start on"),
            Self::LocalClock => ("clock", "lets the hardware clock show universal time: the guest expects local time"),
            Self::Enlightenments => {
                ("enlightenments", "cannot tell the guest that it is virtual: it runs slower than it could")
            }
            Self::BlockDevices => (
                "device",
                "takes copies of disks: the script reads the whole block device that a disk was written onto",
            ),
            Self::Serials => ("serial", "chooses the serial numbers of disks itself: /dev/disk/by-id is another"),
            Self::Ata => ("bus", "has no IDE and no SATA: the disks are on virtio, which the guest may not drive"),
            Self::Ide => ("bus", "has no IDE: the disks are on SATA, which the guest may not drive"),
            Self::CardModels => ("card-model", "has cards of virtio alone, which the guest may not drive"),
            Self::MixedCards => ("card-model", "has one model of card for all: they are of the first card's"),
            Self::EmptyDrives => ("drive", "has no drive without a medium: the empty ones are left out"),
            Self::VirtioVideo => ("video", "chooses the graphics card itself: it is not virtio's"),
            Self::NoConsole => ("no-console", "gives every machine a serial console"),
            Self::NoParavirtual => (
                "no-paravirtual",
                "gives every machine a channel for an agent, and other devices that the guest has no drivers for",
            ),
            Self::KeptVariables => (
                "uefi-variables",
                "forgets the variables of the UEFI when the machine is off: it starts by the order of its disks",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Card, Cpus, MachineDisk, MachineDrive, RemovableKind};

    use super::*;

    type Change = (Feature, fn(&mut Machine));

    #[test]
    fn only_what_the_machine_has_is_lost() {
        let plain = Machine::new("x", Firmware::Bios, Cpus::new(1, 1), 1).with(|machine| {
            machine.paravirtual = true;
            machine.cards = vec![Card::new(CardModel::Virtio); 2];
            machine.disks = vec![MachineDisk::new("raw", 1, DiskBus::Virtio).with(|disk| disk.boot_order = Some(1)); 1];
        });
        let all = [
            Feature::Uuid,
            Feature::Genid,
            Feature::OldBoard,
            Feature::LocalClock,
            Feature::Enlightenments,
            Feature::BlockDevices,
            Feature::Serials,
            Feature::Ata,
            Feature::Ide,
            Feature::CardModels,
            Feature::MixedCards,
            Feature::EmptyDrives,
            Feature::VirtioVideo,
            Feature::NoConsole,
            Feature::NoParavirtual,
            Feature::KeptVariables,
        ];
        assert_eq!(losses("lab", &plain, &all), []);
        let changes: [Change; 16] = [
            (Feature::Uuid, |machine| machine.uuid = Some("u".to_owned())),
            (Feature::Genid, |machine| machine.genid = Some("g".to_owned())),
            (Feature::OldBoard, |machine| machine.chipset = Chipset::Pc),
            (Feature::LocalClock, |machine| machine.clock = Clock::Local),
            (Feature::Enlightenments, |machine| machine.enlightenments = true),
            (Feature::BlockDevices, |machine| machine.disks[0].block_device = true),
            (Feature::Serials, |machine| machine.disks[0].serial = Some("s".to_owned())),
            (Feature::Ata, |machine| machine.disks[0].bus = DiskBus::Sata),
            (Feature::Ide, |machine| machine.disks[0].bus = DiskBus::Ide),
            (Feature::CardModels, |machine| machine.cards = vec![Card::new(CardModel::E1000)]),
            (Feature::MixedCards, |machine| machine.cards[1].model = CardModel::E1000),
            (Feature::EmptyDrives, |machine| {
                machine.drives = vec![MachineDrive::new(RemovableKind::Cdrom, DiskBus::Sata)]
            }),
            (Feature::VirtioVideo, |machine| machine.video = Video::Virtio),
            (Feature::NoConsole, |machine| machine.serial_console = false),
            (Feature::NoParavirtual, |machine| machine.paravirtual = false),
            (Feature::KeptVariables, |machine| machine.firmware = Firmware::Uefi),
        ];
        for (feature, change) in changes {
            let findings = losses("lab", &plain.clone().with(change), &[feature]);
            let [finding] = &findings[..] else { panic!("{feature:?}: {findings:?}") };
            assert!(finding.code.starts_with("target-lost-") && finding.severity == Severity::Warn, "{finding:?}");
            assert!(finding.message.starts_with("the target lab "), "{finding:?}");
        }
    }
}
