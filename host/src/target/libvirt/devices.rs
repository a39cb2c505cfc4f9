//! The devices of a domain.

use std::collections::BTreeMap;
use std::path::Path;

use vmdk2kvm_plugin_api::model::{FinalImage, Firmware, Nic, RemovableKind, VmSpec};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::hardware::{Bus, Hardware, Machine};
use super::xml::{Element, element};
use crate::config::NetworkTarget;

/// The network that libvirt itself sets up.
const DEFAULT_NETWORK: &str = "default";

/// The disks in order, then empty CD-ROM drives.
pub(super) fn drives(vm: &VmSpec, hardware: &Hardware, images: &[FinalImage]) -> Result<Vec<Element>> {
    let mut drives = Vec::new();
    for (index, image) in images.iter().enumerate() {
        drives.push(disk(hardware.disks, index, image)?);
    }
    // Names of the same letters must not be given twice; where the disks are `vd...` the drives begin at `sda`.
    let (bus, prefix) = if hardware.machine == Machine::Pc { ("ide", "hd") } else { ("sata", "sd") };
    let first = if hardware.disks == Bus::Virtio { 0 } else { images.len() };
    let cdroms = vm.removable.iter().filter(|drive| drive.kind == RemovableKind::Cdrom).count();
    drives.extend((first..first + cdroms).map(|index| {
        element("disk")
            .with("type", "file")
            .with("device", "cdrom")
            .child(element("driver").with("name", "qemu").with("type", "raw"))
            .child(element("target").with("dev", device_name(prefix, index)).with("bus", bus))
            .child(element("readonly"))
    }));
    Ok(drives)
}

fn disk(bus: Bus, index: usize, image: &FinalImage) -> Result<Element> {
    // XML cannot carry these, and another path would be another file.
    if image.path.chars().any(crate::events::is_unsafe) || !Path::new(&image.path).is_absolute() {
        let path = crate::events::escape(&image.path).into_owned();
        return Err(PluginError::output(format!("{path}: the path of an image cannot be written into a domain"))
            .hint("choose an output folder whose name has no control characters"));
    }
    let (bus, prefix) = match bus {
        Bus::Virtio => ("virtio", "vd"),
        Bus::VirtioScsi => ("scsi", "sd"),
        Bus::Sata => ("sata", "sd"),
        Bus::Ide => ("ide", "hd"),
    };
    let driver = element("driver").with("name", "qemu").with("type", &image.format);
    let disk = element("disk")
        .with("type", "file")
        .with("device", "disk")
        // Past the host's page cache: what the guest synced is on the disk, and the memory is not spent twice.
        .child(driver.with("cache", "none").with("io", "native").with("discard", "unmap"))
        .child(element("source").with("file", &image.path))
        .child(element("target").with("dev", device_name(prefix, index)).with("bus", bus))
        // Gives the guest /dev/disk/by-id names that do not depend on the order of devices.
        .child(super::xml::text("serial", format!("disk{}", index + 1)))
        .child(element("boot").with("order", (index + 1).to_string()));
    if bus != "scsi" {
        return Ok(disk);
    }
    // Left alone, libvirt would spread disks over controllers of 7 or 16 and choose their model itself.
    let address = element("address").with("type", "drive").with("controller", "0").with("bus", "0");
    Ok(disk.child(address.with("target", index.to_string()).with("unit", "0")))
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
pub(super) fn controllers(hardware: &Hardware) -> Vec<Element> {
    let scsi = element("controller").with("type", "scsi").with("index", "0").with("model", "virtio-scsi");
    if hardware.disks == Bus::VirtioScsi { vec![scsi] } else { Vec::new() }
}

/// A network card.
pub(super) fn nic(nic: &Nic, hardware: &Hardware, networks: &BTreeMap<String, NetworkTarget>) -> Element {
    let (kind, source) = match target_of(nic, networks) {
        Some(NetworkTarget::Bridge(bridge)) => ("bridge", element("source").with("bridge", bridge)),
        Some(NetworkTarget::Network(network)) => ("network", element("source").with("network", network)),
        None => ("network", element("source").with("network", DEFAULT_NETWORK)),
    };
    let mac = nic.mac.as_deref().filter(|mac| is_unicast_mac(mac));
    element("interface")
        .with("type", kind)
        .children(mac.map(|mac| element("mac").with("address", mac.to_ascii_lowercase())))
        .child(source)
        .child(element("model").with("type", if hardware.virtio_net { "virtio" } else { "e1000" }))
}

/// What the job says about the card's network: by its name, or by `*` for all others.
pub(super) fn target_of<'a>(nic: &Nic, networks: &'a BTreeMap<String, NetworkTarget>) -> Option<&'a NetworkTarget> {
    nic.network.as_deref().and_then(|name| networks.get(name)).or_else(|| networks.get("*"))
}

/// Six pairs of hexadecimal digits; libvirt refuses the addresses of groups.
fn is_unicast_mac(mac: &str) -> bool {
    let mut octets =
        mac.split(':').map(|octet| (octet.len() == 2).then(|| u8::from_str_radix(octet, 16).ok()).flatten());
    mac.split(':').count() == 6
        && mac.bytes().all(|byte| byte == b':' || byte.is_ascii_hexdigit())
        && octets.next().flatten().is_some_and(|first| first & 1 == 0)
        && octets.all(|octet| octet.is_some())
}

/// What every machine gets: consoles, the agent's channel, input, graphics, and what virtio offers.
pub(super) fn others(vm: &VmSpec, hardware: &Hardware) -> Vec<Element> {
    let mut devices = vec![
        element("serial").with("type", "pty").child(element("target").with("type", "isa-serial").with("port", "0")),
        element("console").with("type", "pty").child(element("target").with("type", "serial").with("port", "0")),
    ];
    if hardware.virtio {
        let target = element("target").with("type", "virtio").with("name", "org.qemu.guest_agent.0");
        devices.push(element("channel").with("type", "unix").child(target));
    }
    devices.push(element("input").with("type", "tablet").with("bus", "usb"));
    if vm.tpm {
        // The newer interface needs firmware that knows it.
        let model = if hardware.firmware == Firmware::Uefi { "tpm-crb" } else { "tpm-tis" };
        let backend = element("backend").with("type", "emulator").with("version", "2.0");
        devices.push(element("tpm").with("model", model).child(backend));
    }
    devices.push(element("graphics").with("type", "vnc").with("autoport", "yes").with("listen", "127.0.0.1"));
    let video = if hardware.virtio_gpu { "virtio" } else { "vga" };
    devices.push(element("video").child(element("model").with("type", video)));
    if hardware.virtio {
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

    #[test]
    fn only_addresses_of_single_cards_are_kept() {
        for (mac, good) in [
            ("00:50:56:aa:bb:cc", true),
            ("00:50:56:AA:BB:CC", true),
            ("01:00:5e:00:00:01", false),
            ("00:50:56:aa:bb", false),
            ("00:50:56:aa:bb:cc:dd", false),
            ("00:50:56:aa:bb:+c", false),
            ("005056aabbcc", false),
            ("", false),
        ] {
            assert_eq!(is_unicast_mac(mac), good, "{mac}");
        }
    }
}
