//! The devices of a domain.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, CardNetwork, Chipset, DiskBus, Firmware, Machine, MachineDisk, MachineDrive, RemovableKind, Video,
    unicast_mac,
};
use vmdk2kvm_plugin_api::text::{escape, is_unsafe};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::xml::{Element, element};

/// The network that libvirt itself sets up.
pub const DEFAULT_NETWORK: &str = "default";

/// The disks in order, then empty CD-ROM drives. What is written to disks that are thrown away need not last.
pub(super) fn drives(machine: &Machine, thrown_away: bool) -> Result<Vec<Element>> {
    let mut drives = Vec::new();
    // Names of the same letters must not be given twice, whatever hangs on which bus.
    let mut taken: Vec<(&str, usize)> = Vec::new();
    let mut name = |bus: DiskBus| {
        let prefix = prefix(bus);
        let at = taken.iter().position(|(known, _)| *known == prefix).unwrap_or_else(|| {
            taken.push((prefix, 0));
            taken.len() - 1
        });
        taken[at].1 += 1;
        device_name(prefix, taken[at].1 - 1)
    };
    // The newer board has no IDE, and libvirt refuses what hangs there: it gets a port of SATA.
    let bus = |bus| if bus == DiskBus::Ide && machine.chipset != Chipset::Pc { DiskBus::Sata } else { bus };
    let mut scsi = 0;
    for disk in &machine.disks {
        let bus = bus(disk.bus);
        drives.push(self::disk(disk, bus, &name(bus), &mut scsi, thrown_away)?);
    }
    let cdroms = machine.drives.iter().filter(|drive| drive.kind == RemovableKind::Cdrom);
    drives.extend(cdroms.map(|drive: &MachineDrive| {
        let bus = bus(drive.bus);
        element("disk")
            .with("type", "file")
            .with("device", "cdrom")
            .child(element("driver").with("name", "qemu").with("type", "raw"))
            .child(element("target").with("dev", name(bus)).with("bus", word(bus)))
            .child(element("readonly"))
    }));
    Ok(drives)
}

fn word(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::Virtio => "virtio",
        DiskBus::VirtioScsi => "scsi",
        DiskBus::Ide => "ide",
        _ => "sata",
    }
}

fn prefix(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::Virtio => "vd",
        DiskBus::Ide => "hd",
        _ => "sd",
    }
}

fn disk(disk: &MachineDisk, bus: DiskBus, name: &str, scsi: &mut usize, thrown_away: bool) -> Result<Element> {
    // XML cannot carry these, and another path would be another file.
    if disk.image.chars().any(is_unsafe) || !Path::new(&disk.image).is_absolute() {
        let path = escape(&disk.image).into_owned();
        return Err(PluginError::output(format!("{path}: the path of an image cannot be written into a domain"))
            .hint("choose an output folder whose name has no control characters"));
    }
    let driver = element("driver").with("name", "qemu").with("type", &disk.format);
    let driver = if thrown_away {
        driver.with("cache", "unsafe")
    } else {
        // Past the host's page cache: what the guest synced is on the disk, and the memory is not spent twice.
        driver.with("cache", "none").with("io", "native")
    };
    let (kind, place) = if disk.block_device { ("block", "dev") } else { ("file", "file") };
    let element_of = element("disk")
        .with("type", kind)
        .with("device", "disk")
        .child(driver.with("discard", "unmap"))
        .child(element("source").with(place, &disk.image))
        .child(element("target").with("dev", name).with("bus", word(bus)))
        .children(disk.plain_serial().map(|serial| super::xml::text("serial", serial)))
        .children(disk.boot_order.map(|order| element("boot").with("order", order.to_string())));
    if bus != DiskBus::VirtioScsi {
        return Ok(element_of);
    }
    // Left alone, libvirt would spread disks over controllers of 7 or 16 and choose their model itself.
    let address = element("address").with("type", "drive").with("controller", "0").with("bus", "0");
    let place = scsi.to_string();
    *scsi += 1;
    Ok(element_of.child(address.with("target", place).with("unit", "0")))
}

/// `vda`, ... `vdz`, `vdaa`, as the kernel counts.
fn device_name(prefix: &str, index: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    prefix.chars().chain(letters.into_iter().rev()).collect()
}

/// The controllers that libvirt would not choose as wanted.
pub(super) fn controllers(machine: &Machine) -> Vec<Element> {
    let scsi = element("controller").with("type", "scsi").with("index", "0").with("model", "virtio-scsi");
    let wanted = machine.disks.iter().any(|disk| disk.bus == DiskBus::VirtioScsi);
    if wanted { vec![scsi] } else { Vec::new() }
}

/// A network card.
pub(super) fn nic(card: &Card) -> Element {
    let (kind, source) = match &card.network {
        Some(CardNetwork::Bridge(bridge)) => ("bridge", element("source").with("bridge", bridge)),
        Some(CardNetwork::Network(network)) => ("network", element("source").with("network", network)),
        _ => ("network", element("source").with("network", DEFAULT_NETWORK)),
    };
    element("interface")
        .with("type", kind)
        .children(card.mac.as_deref().and_then(unicast_mac).map(|mac| element("mac").with("address", mac)))
        .child(source)
        .child(element("model").with("type", model_word(card.model)))
}

/// libvirt's word for a card's model.
pub(super) fn model_word(model: CardModel) -> &'static str {
    match model {
        CardModel::Virtio => "virtio",
        CardModel::E1000e => "e1000e",
        CardModel::Rtl8139 => "rtl8139",
        _ => "e1000",
    }
}

/// What every machine gets: consoles, the agent's channel, input, graphics, and what virtio offers.
pub(super) fn others(machine: &Machine) -> Vec<Element> {
    let mut devices = Vec::new();
    if machine.serial_console {
        let target = |kind| element("target").with("type", kind).with("port", "0");
        devices.push(element("serial").with("type", "pty").child(target("isa-serial")));
        devices.push(element("console").with("type", "pty").child(target("serial")));
    }
    if machine.paravirtual {
        let target = element("target").with("type", "virtio").with("name", "org.qemu.guest_agent.0");
        devices.push(element("channel").with("type", "unix").child(target));
    }
    devices.push(element("input").with("type", "tablet").with("bus", "usb"));
    if machine.tpm {
        // The newer interface needs firmware that knows it.
        let model = if machine.firmware == Firmware::Uefi { "tpm-crb" } else { "tpm-tis" };
        let backend = element("backend").with("type", "emulator").with("version", "2.0");
        devices.push(element("tpm").with("model", model).child(backend));
    }
    devices.push(element("graphics").with("type", "vnc").with("autoport", "yes").with("listen", "127.0.0.1"));
    let video = if machine.video == Video::Virtio { "virtio" } else { "vga" };
    devices.push(element("video").child(element("model").with("type", video)));
    if machine.paravirtual {
        devices.push(element("memballoon").with("model", "virtio"));
        let backend = super::xml::text("backend", "/dev/urandom").with("model", "random");
        devices.push(element("rng").with("model", "virtio").child(backend));
    } else {
        devices.push(element("memballoon").with("model", "none"));
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_the_kernel_counts() {
        for (index, name) in
            [(0, "vda"), (25, "vdz"), (26, "vdaa"), (51, "vdaz"), (52, "vdba"), (701, "vdzz"), (702, "vdaaa")]
        {
            assert_eq!(device_name("vd", index), name);
        }
    }
}
