//! The configuration of an instance, and what its image says of itself, as the values that are written as YAML.
//!
//! Keys were written down from memory, and asked of no Incus: `incus init` reads the first, `incus image import` the second.

use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::model::{Card, CardNetwork, Clock, DiskBus, Firmware, Machine, canonical_uuid, unicast_mac};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_target_words::{boot_places, of_network};

use super::options::{Attachment, Bridge, Options};

/// The network of a card that nobody names one for.
const USUAL_NETWORK: &str = "incusbr0";

/// Local time and Hyper-V's interfaces together are what Incus gives Windows.
pub fn is_windows(machine: &Machine) -> bool {
    machine.enlightenments && machine.clock == Clock::Local
}

/// The disk that the machine starts from, or the first: Incus makes the root volume of it.
pub fn root(machine: &Machine) -> Option<usize> {
    let places = boot_places(machine);
    let first = places.iter().position(|place| *place == Some(1));
    first.or(if machine.disks.is_empty() { None } else { Some(0) })
}

/// What the job says of a card.
pub fn attachment(card: &Card, options: &Options) -> Option<Attachment> {
    let of_machine = || match &card.network {
        Some(CardNetwork::Network(name)) => Some(Attachment::Network(name.clone())),
        Some(CardNetwork::Bridge(bridge)) => Some(Attachment::Bridge(Bridge { bridge: bridge.clone(), vlan: None })),
        _ => None,
    };
    of_network(&options.networks, card).cloned().or_else(of_machine)
}

/// The image's description of itself.
pub fn metadata(machine: &Machine) -> Value {
    let mut properties = json!({ "description": escape(&machine.name) });
    if is_windows(machine) {
        properties["os"] = json!("Windows");
    }
    // Incus refuses an image without a date, and the same machine gives the same text.
    json!({ "architecture": "x86_64", "creation_date": 1, "properties": properties })
}

/// What `incus init` reads. Disks are the script's, which knows pool and paths.
pub fn instance(machine: &Machine, options: &Options) -> Value {
    let uefi = machine.firmware == Firmware::Uefi;
    let flag = |value: bool| value.to_string();
    let mut config = Map::new();
    let mut set = |key: &str, value: String| config.insert(key.to_owned(), Value::String(value));
    set("limits.cpu", machine.cpus.consistent().count.to_string());
    set("limits.memory", format!("{}MiB", machine.memory_bytes.div_ceil(1 << 20).max(1)));
    // A BIOS is an addition to UEFI there, which must not be asked for signatures then.
    set("security.csm", flag(!uefi));
    set("security.secureboot", flag(uefi && machine.secure_boot));
    set("boot.autostart", flag(false));
    if is_windows(machine) {
        set("image.os", "Windows".to_owned());
    }
    if let Some(uuid) = machine.uuid.as_deref().and_then(canonical_uuid) {
        set("volatile.uuid", uuid);
    }
    if let Some(genid) = machine.genid.as_deref().and_then(canonical_uuid) {
        set("volatile.uuid.generation", genid);
    }
    let mut devices = Map::new();
    for (index, card) in machine.cards.iter().enumerate() {
        devices.insert(format!("eth{index}"), nic(card, options));
    }
    if machine.tpm {
        devices.insert("vtpm".to_owned(), json!({ "type": "tpm", "path": "/dev/tpm0" }));
    }
    json!({ "description": escape(&machine.name), "config": config, "devices": devices })
}

/// Incus' word for a bus. It has no ATA.
pub const fn bus(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::VirtioScsi => "virtio-scsi",
        _ => "virtio-blk",
    }
}

fn nic(card: &Card, options: &Options) -> Value {
    let mut nic = match attachment(card, options) {
        Some(Attachment::Bridge(bridge)) => {
            let mut nic = json!({ "type": "nic", "nictype": "bridged", "parent": bridge.bridge });
            if let Some(vlan) = bridge.vlan {
                nic["vlan"] = json!(vlan.to_string());
            }
            nic
        }
        Some(Attachment::Network(network)) => json!({ "type": "nic", "network": network }),
        None => json!({ "type": "nic", "network": USUAL_NETWORK }),
    };
    if let Some(mac) = card.mac.as_deref().and_then(unicast_mac) {
        nic["hwaddr"] = json!(mac);
    }
    nic
}
