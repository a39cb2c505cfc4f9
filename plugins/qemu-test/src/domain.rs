//! Reads from the rendered domain which devices the guest was given: machine type, bus of each disk, model of each card.
//!
//! Everything else of the machine comes from the request's `VmSpec`. A guest without virtio drivers is given SATA or IDE, and has
//! to be tested on that.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// A larger document is no domain.
const LARGEST: usize = 4 << 20;

/// The devices of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domain {
    /// Machine type.
    pub chipset: Chipset,
    /// Bus of each disk, CD-ROMs left out.
    pub disks: Vec<Bus>,
    /// Model of each card.
    pub nics: Vec<Model>,
}

/// Machine type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Chipset {
    /// PCI Express.
    #[default]
    Q35,
    /// The older PC with IDE.
    Pc,
}

/// Bus of a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk.
    #[default]
    Virtio,
    /// virtio-scsi.
    Scsi,
    /// AHCI.
    Sata,
    /// Parallel ATA, on [`Chipset::Pc`] only.
    Ide,
}

/// Model of a network card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Model {
    /// virtio-net.
    #[default]
    Virtio,
    /// Intel 82540EM.
    E1000,
    /// Intel 82574L.
    E1000e,
}

impl Domain {
    /// Reads a domain. An empty text is a domain of defaults: virtio throughout.
    pub fn parse(xml: &str) -> Result<Self> {
        let mut domain = Self::default();
        if xml.len() > LARGEST {
            return Err(unusable(format!("it has {} bytes, more than the {LARGEST} of the largest", xml.len())));
        }
        let mut reader = Reader::from_str(xml);
        let mut path: Vec<Vec<u8>> = Vec::new();
        let mut is_disk = false;
        loop {
            let event = reader.read_event().map_err(|error| unusable(format!("it is not well-formed: {error}")))?;
            let (start, open) = match &event {
                Event::Start(start) => (start, true),
                Event::Empty(start) => (start, false),
                Event::End(_) => {
                    path.pop();
                    continue;
                }
                Event::Eof => return Ok(domain),
                _ => continue,
            };
            let parents: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
            match (&parents[..], start.name().as_ref()) {
                ([b"domain", b"os"], b"type") => domain.chipset = chipset(attribute(start, "machine")?.as_deref()),
                ([b"domain", b"devices"], b"disk") => {
                    is_disk = attribute(start, "device")?.is_none_or(|device| device == "disk");
                }
                ([b"domain", b"devices", b"disk"], b"target") if is_disk => {
                    domain.disks.push(bus(attribute(start, "bus")?.as_deref())?);
                }
                ([b"domain", b"devices"], b"interface") => domain.nics.push(Model::default()),
                ([b"domain", b"devices", b"interface"], b"model") => {
                    let model = model(attribute(start, "type")?.as_deref())?;
                    domain.nics.last_mut().into_iter().for_each(|last| *last = model);
                }
                _ => {}
            }
            if open {
                path.push(start.name().as_ref().to_vec());
            }
        }
    }
}

/// `pc`, `pc-i440fx-7.2` and their like; everything else is new enough for PCI Express.
fn chipset(machine: Option<&str>) -> Chipset {
    if machine.is_some_and(|name| name == "pc" || name.starts_with("pc-i440fx")) { Chipset::Pc } else { Chipset::Q35 }
}

fn bus(name: Option<&str>) -> Result<Bus> {
    match name {
        None | Some("virtio") => Ok(Bus::Virtio),
        Some("scsi") => Ok(Bus::Scsi),
        Some("sata") => Ok(Bus::Sata),
        Some("ide") => Ok(Bus::Ide),
        Some(other) => Err(unusable(format!("a boot test cannot attach a disk to the bus {other:?}"))),
    }
}

fn model(name: Option<&str>) -> Result<Model> {
    match name {
        None | Some("virtio" | "virtio-net") => Ok(Model::Virtio),
        Some("e1000") => Ok(Model::E1000),
        Some("e1000e") => Ok(Model::E1000e),
        Some(other) => Err(unusable(format!("a boot test cannot attach a network card {other:?}"))),
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    let broken = |error: &dyn std::fmt::Display| unusable(format!("it is not well-formed: {error}"));
    let Some(found) = start.try_get_attribute(name).map_err(|error| broken(&error))? else { return Ok(None) };
    found.unescape_value().map(|value| Some(value.into_owned())).map_err(|error| broken(&error))
}

fn unusable(what: String) -> PluginError {
    PluginError::unusable(format!("the domain: {what}")).hint("migrate again, or test the domain with virsh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_in_order_and_drives_are_not_disks() {
        let xml = r#"<?xml version="1.0"?>
            <domain type="kvm"><name>&lt;disk&gt;</name>
              <os><type arch="x86_64" machine="q35">hvm</type></os>
              <devices>
                <disk type="file" device="disk"><source file="/a"/><target dev="sda" bus="scsi"/></disk>
                <disk type="file" device="cdrom"><target dev="sdb" bus="sata"/></disk>
                <disk type="file"><target dev="sdc" bus="sata"/></disk>
                <interface type="network"><mac address="00:50:56:aa:bb:01"/><model type="e1000"/></interface>
                <interface type="network"/>
                <video><model type="vga"/></video>
              </devices></domain>"#;
        let domain = Domain::parse(xml).unwrap();
        assert_eq!(domain.chipset, Chipset::Q35);
        assert_eq!(domain.disks, [Bus::Scsi, Bus::Sata]);
        assert_eq!(domain.nics, [Model::E1000, Model::Virtio]);
    }

    #[test]
    fn machines_are_told_apart() {
        for (machine, wanted) in
            [("q35", Chipset::Q35), ("pc", Chipset::Pc), ("pc-i440fx-7.2", Chipset::Pc), ("pc-q35-7.2", Chipset::Q35)]
        {
            let xml = format!("<domain><os><type machine='{machine}'>hvm</type></os></domain>");
            assert_eq!(Domain::parse(&xml).unwrap().chipset, wanted, "{machine}");
        }
        assert_eq!(Domain::parse("").unwrap(), Domain::default());
    }

    #[test]
    fn what_cannot_be_tested_is_said() {
        let xml = "<domain><devices><disk><target bus='usb'/></disk></devices></domain>";
        let error = Domain::parse(xml).unwrap_err();
        assert_eq!(error.message, "the domain: a boot test cannot attach a disk to the bus \"usb\"");
        let error = Domain::parse("<domain><os></domain>").unwrap_err();
        assert!(error.message.starts_with("the domain: it is not well-formed: "), "{error}");
        assert!(Domain::parse(&" ".repeat(LARGEST + 1)).is_err());
    }
}
