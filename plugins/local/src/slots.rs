//! Places of disks that no description puts anywhere: bare disks, and further ones beside a VMX.

use vmdk2kvm_plugin_api::model::{Controller, Disk};

/// Unit of the adapter itself on a parallel SCSI bus; never a disk's.
const SCSI_ADAPTER: u32 = 7;

/// Units of a controller of this kind in a VMware machine (virtual hardware 13).
const fn units(controller: Controller) -> u32 {
    match controller {
        Controller::Ide => 2,
        Controller::Sata => 30,
        Controller::Nvme => 15,
        // SCSI, and what is treated as SCSI.
        _ => 16,
    }
}

/// The next free place behind all of `disks`, so that a further disk sorts last: behind the last disk, of its kind.
pub fn next(disks: &[Disk]) -> (Controller, u32, u32) {
    let Some((controller, bus, unit)) = disks.iter().map(|disk| (disk.controller, disk.bus, disk.unit)).max() else {
        return (Controller::Scsi, 0, 0);
    };
    // What follows an IDE disk goes to SCSI: there are four places on IDE, and CD-ROMs take some of them.
    if controller == Controller::Ide {
        return (Controller::Scsi, 0, 0);
    }
    let mut unit = unit.saturating_add(1);
    if controller == Controller::Scsi && unit == SCSI_ADAPTER {
        unit += 1;
    }
    if unit >= units(controller) { (controller, bus.saturating_add(1), 0) } else { (controller, bus, unit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk((controller, bus, unit): (Controller, u32, u32)) -> Disk {
        Disk::new(String::new(), controller, bus, unit)
    }

    #[test]
    fn the_next_place_is_behind_all_others() {
        use Controller::{Ide, Nvme, Sata, Scsi};
        assert_eq!(next(&[]), (Scsi, 0, 0));
        for (last, expected) in [
            ((Scsi, 0, 0), (Scsi, 0, 1)),
            ((Scsi, 0, 6), (Scsi, 0, 8)),
            ((Scsi, 0, 15), (Scsi, 1, 0)),
            ((Ide, 1, 1), (Scsi, 0, 0)),
            ((Sata, 0, 29), (Sata, 1, 0)),
            ((Nvme, 0, 3), (Nvme, 0, 4)),
        ] {
            assert_eq!(next(&[disk((Ide, 0, 0)), disk(last)]), expected);
        }
    }
}
