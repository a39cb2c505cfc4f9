//! The new machine: decided once by the host, and given as it is to whoever writes it down or starts it.

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Cpus, Firmware, RemovableKind};

/// A virtual machine as it is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    /// Schema number: 1.
    #[serde(deserialize_with = "super::schema::known")]
    pub schema: u32,
    /// The name a person gave it. Hostile text.
    pub name: String,
    /// SMBIOS UUID in its canonical text form.
    #[serde(default)]
    pub uuid: Option<String>,
    /// VM generation id (a 128-bit GUID in text form).
    #[serde(default)]
    pub genid: Option<String>,
    /// Family of boards.
    pub chipset: Chipset,
    /// Boot firmware.
    pub firmware: Firmware,
    /// Secure Boot enforced, with the usual vendor's keys enrolled.
    #[serde(default)]
    pub secure_boot: bool,
    /// Has a TPM 2.0.
    #[serde(default)]
    pub tpm: bool,
    /// Processors.
    pub cpus: Cpus,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// What the hardware clock shows.
    pub clock: Clock,
    /// The guest likes to know that it is virtual, and by which interfaces (those that Hyper-V defined).
    #[serde(default)]
    pub enlightenments: bool,
    /// Disks in the order of the VM's.
    pub disks: Vec<MachineDisk>,
    /// Empty drives for removable media.
    #[serde(default)]
    pub drives: Vec<MachineDrive>,
    /// Network cards in the order of the VM's.
    #[serde(default)]
    pub cards: Vec<Card>,
    /// Graphics card.
    pub video: Video,
    /// Serial console.
    #[serde(default)]
    pub serial_console: bool,
    /// A channel for a guest agent, a random number generator and a memory balloon: what a guest with the drivers makes use of.
    #[serde(default)]
    pub paravirtual: bool,
}

impl Machine {
    /// A machine without disks, drives and cards.
    pub fn new(name: impl Into<String>, firmware: Firmware, cpus: Cpus, memory_bytes: u64) -> Self {
        Self {
            schema: super::SCHEMA,
            name: name.into(),
            uuid: None,
            genid: None,
            chipset: Chipset::Q35,
            firmware,
            secure_boot: false,
            tpm: false,
            cpus,
            memory_bytes,
            clock: Clock::Utc,
            enlightenments: false,
            disks: Vec::new(),
            drives: Vec::new(),
            cards: Vec::new(),
            video: Video::Vga,
            serial_console: true,
            paravirtual: false,
        }
    }
}

/// Family of boards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Chipset {
    /// The older PC with IDE, for systems that know nothing newer.
    Pc,
    /// PCI Express: what current systems expect. A newer word is read as this one.
    #[serde(other)]
    Q35,
}

/// What the hardware clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Clock {
    /// Local time.
    Local,
    /// Universal time. A newer word is read as this one.
    #[serde(other)]
    Utc,
}

/// A disk of the new machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MachineDisk {
    /// Absolute path of its image, or of a block device; empty while there is none yet (in a plan).
    #[serde(default)]
    pub image: String,
    /// The image is a block device of this machine.
    #[serde(default)]
    pub block_device: bool,
    /// Format of the image.
    pub format: String,
    /// Virtual size in bytes.
    pub size_bytes: u64,
    /// What it hangs on.
    pub bus: DiskBus,
    /// What the guest sees as its serial number.
    #[serde(default)]
    pub serial: Option<String>,
    /// Its place in the boot order, from 1; `None`: not booted from.
    #[serde(default)]
    pub boot_order: Option<u32>,
}

impl MachineDisk {
    /// A disk on a bus.
    pub fn new(format: impl Into<String>, size_bytes: u64, bus: DiskBus) -> Self {
        Self {
            image: String::new(),
            block_device: false,
            format: format.into(),
            size_bytes,
            bus,
            serial: None,
            boot_order: None,
        }
    }
}

/// What a disk hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DiskBus {
    /// A virtio block device.
    Virtio,
    /// A virtio SCSI controller.
    VirtioScsi,
    /// Parallel ATA.
    Ide,
    /// AHCI. A newer word is read as this one: it works everywhere.
    #[serde(other)]
    Sata,
}

/// A drive for removable media, empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MachineDrive {
    /// Its kind.
    pub kind: RemovableKind,
    /// What it hangs on; of no meaning for a floppy drive.
    pub bus: DiskBus,
}

impl MachineDrive {
    /// A drive.
    pub fn new(kind: RemovableKind, bus: DiskBus) -> Self {
        Self { kind, bus }
    }
}

/// A network card of the new machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Card {
    /// MAC address, lower case with colons, of one card only; `None`: the target chooses.
    #[serde(default)]
    pub mac: Option<String>,
    /// Its model.
    pub model: CardModel,
    /// What it is attached to; `None`: the target's usual network.
    #[serde(default)]
    pub network: Option<CardNetwork>,
    /// The network it was attached to at the source. Hostile text.
    #[serde(default)]
    pub old_network: Option<String>,
}

impl Card {
    /// A card of a model.
    pub fn new(model: CardModel) -> Self {
        Self { mac: None, model, network: None, old_network: None }
    }
}

/// Model of a network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CardModel {
    /// virtio.
    Virtio,
    /// Intel 82574, on PCI Express.
    E1000e,
    /// Realtek 8139.
    Rtl8139,
    /// Intel 82540: every system of the last twenty years knows it. A newer word is read as this one.
    #[serde(other)]
    E1000,
}

/// What a card is attached to at the target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CardNetwork {
    /// A virtual network of the target.
    Network(String),
    /// A bridge of the target's host.
    Bridge(String),
    /// What a newer contract says, as it stands there. To be treated as the target's usual network.
    #[serde(untagged)]
    Other(serde_json::Value),
}

/// Graphics card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Video {
    /// virtio's.
    Virtio,
    /// Standard VGA. A newer word is read as this one.
    #[serde(other)]
    Vga,
}

grows!(Machine, MachineDisk, MachineDrive, Card);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_network_of_a_newer_contract_survives() {
        for (text, network) in [
            (json!({"network": "lab"}), CardNetwork::Network("lab".to_owned())),
            (json!({"bridge": "br0"}), CardNetwork::Bridge("br0".to_owned())),
            (json!({"vlan": {"id": 7}}), CardNetwork::Other(json!({"vlan": {"id": 7}}))),
            (json!("none"), CardNetwork::Other(json!("none"))),
        ] {
            let read: CardNetwork = serde_json::from_value(text.clone()).unwrap();
            assert_eq!((json!(read), read), (text, network));
        }
    }
}
