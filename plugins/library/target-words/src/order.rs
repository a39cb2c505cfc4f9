//! The disks of a machine: where they are, and in which order they are started from.

use vmdk2kvm_plugin_api::model::Machine;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Each disk's place in the boot order, from 1 without gaps, of which no two disks have the same; `None`: not booted from.
pub fn boot_places(machine: &Machine) -> Vec<Option<usize>> {
    let mut order: Vec<(u32, usize)> = machine
        .disks
        .iter()
        .enumerate()
        .filter_map(|(index, disk)| disk.boot_order.map(|order| (order, index)))
        .collect();
    order.sort_unstable();
    let mut places = vec![None; machine.disks.len()];
    for (place, (_, index)) in order.into_iter().enumerate() {
        places[index] = Some(place + 1);
    }
    places
}

/// The paths of the images. One that no script can name is an error.
pub fn images(machine: &Machine) -> Result<Vec<&str>> {
    let path = |image: &'_ String| -> Result<()> {
        if image.starts_with('/') && !image.contains('\0') {
            return Ok(());
        }
        Err(PluginError::output(format!("{:?}: the path of an image cannot be written", escape(image))))
    };
    machine.disks.iter().map(|disk| path(&disk.image).map(|()| disk.image.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Cpus, DiskBus, Firmware, MachineDisk};

    use super::*;

    fn machine(orders: &[Option<u32>]) -> Machine {
        let disk =
            |order: &Option<u32>| MachineDisk::new("raw", 1, DiskBus::Virtio).with(|disk| disk.boot_order = *order);
        Machine::new("x", Firmware::Bios, Cpus::new(1, 1), 1).with(|it| it.disks = orders.iter().map(disk).collect())
    }

    #[test]
    fn places_are_counted_from_one() {
        for (orders, places) in [
            (vec![Some(2), Some(1)], vec![Some(2), Some(1)]),
            (vec![None, Some(7), Some(7)], vec![None, Some(1), Some(2)]),
            (vec![None], vec![None]),
        ] {
            assert_eq!(boot_places(&machine(&orders)), places);
        }
    }

    #[test]
    fn only_whole_paths_are_written() {
        let of = |path: &str| machine(&[None]).with(|machine| machine.disks[0].image = path.to_owned());
        assert_eq!(images(&of("/out/it's\n.raw")).unwrap(), ["/out/it's\n.raw"]);
        for path in ["", "web.raw", "-x", "/a\0b"] {
            let error = images(&of(path)).unwrap_err();
            assert_eq!(error.kind.exit_code(), 73);
            assert!(error.message.ends_with(": the path of an image cannot be written"), "{}", error.message);
        }
    }
}
