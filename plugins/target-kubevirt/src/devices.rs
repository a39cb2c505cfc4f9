//! The devices of a machine, and the networks of its cards.

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::{Card, CardModel, CardNetwork, Machine, unicast_mac};
use vmdk2kvm_target_words::{boot_places, label, of_network};

use super::bus;
use super::options::{Options, POD, is_network};

/// What a card is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Network {
    /// The network that every pod has; one card alone can be on it.
    Pod,
    /// A NetworkAttachmentDefinition.
    Multus(String),
}

pub fn devices(machine: &Machine, options: &Options) -> Value {
    let places = boot_places(machine);
    let disks = machine.disks.iter().zip(places).enumerate().map(|(index, (disk, place))| {
        let mut value = json!({
            "name": format!("disk{}", index + 1), "disk": { "bus": bus(disk.bus) }, "cache": "none",
        });
        if let Some(serial) = disk.plain_serial() {
            value["serial"] = json!(serial);
        }
        if let Some(place) = place {
            value["bootOrder"] = json!(place);
        }
        value
    });
    let interfaces = machine.cards.iter().zip(attached(machine, options)).enumerate().map(interface);
    let mut devices = json!({
        "disks": disks.collect::<Vec<_>>(),
        "interfaces": interfaces.collect::<Vec<_>>(),
        "inputs": [{ "name": "tablet", "type": "tablet", "bus": "usb" }],
        "autoattachSerialConsole": machine.serial_console,
        "autoattachMemBalloon": machine.paravirtual,
    });
    if machine.cards.is_empty() {
        // Where nothing is said a card appears.
        devices["autoattachPodInterface"] = json!(false);
    }
    if machine.paravirtual {
        devices["rng"] = json!({});
    }
    if machine.tpm {
        // One that forgets at each stop would lock a disk whose key it holds.
        devices["tpm"] = json!({ "persistent": true });
    }
    devices
}

fn interface((index, (card, network)): (usize, (&Card, Network))) -> Value {
    let model = match card.model {
        CardModel::Virtio => "virtio",
        CardModel::E1000e => "e1000e",
        CardModel::Rtl8139 => "rtl8139",
        _ => "e1000",
    };
    let binding = if network == Network::Pod { "masquerade" } else { "bridge" };
    let mut interface = json!({ "name": format!("net{index}"), "model": model, binding: {} });
    if let Some(mac) = card.mac.as_deref().and_then(unicast_mac) {
        interface["macAddress"] = json!(mac);
    }
    interface
}

pub fn networks(machine: &Machine, options: &Options) -> Vec<Value> {
    let network = |(index, network): (usize, Network)| {
        let name = format!("net{index}");
        match network {
            Network::Pod => json!({ "name": name, "pod": {} }),
            Network::Multus(definition) => json!({ "name": name, "multus": { "networkName": definition } }),
        }
    };
    attached(machine, options).into_iter().enumerate().map(network).collect()
}

/// What the job says of a card.
fn told(card: &Card, options: &Options) -> Option<String> {
    // A bridge of a host means nothing in a cluster, and other targets have other names.
    let of_machine = match &card.network {
        Some(CardNetwork::Network(name)) if is_network(name) => Some(name),
        _ => None,
    };
    of_network(&options.networks, card).or(of_machine).cloned()
}

/// The network of each card. The first that nobody names one for is on the pod network, when no other is.
fn attached(machine: &Machine, options: &Options) -> Vec<Network> {
    let told: Vec<Option<String>> = machine.cards.iter().map(|card| told(card, options)).collect();
    let mut pod_is_free = !told.iter().flatten().any(|name| name == POD);
    let mut pod_is_taken = false;
    let networks = machine.cards.iter().zip(told).map(|(card, told)| match told {
        Some(name) if name == POD && !pod_is_taken => {
            pod_is_taken = true;
            Network::Pod
        }
        Some(name) if name != POD => Network::Multus(name),
        None if pod_is_free => {
            pod_is_free = false;
            Network::Pod
        }
        _ => Network::Multus(network_of_nothing(card)),
    });
    networks.collect()
}

/// The definition that a card waits for when nobody names one.
pub fn network_of_nothing(card: &Card) -> String {
    label(card.old_network.as_deref().unwrap_or("network"), 63)
}

/// The cards that nobody names a network for: those that are on the pod network instead, and those that wait for a network. A second card on the
/// pod network is among these.
pub fn unmapped_cards<'a>(machine: &'a Machine, options: &Options) -> (Vec<&'a Card>, Vec<&'a Card>) {
    let cards = machine.cards.iter().zip(attached(machine, options));
    let unmapped = cards.filter(|(card, network)| match (told(card, options), network) {
        (None, _) => true,
        (Some(name), network) => name == POD && *network != Network::Pod,
    });
    let (pod, others): (Vec<_>, Vec<_>) = unmapped.partition(|(_, network)| *network == Network::Pod);
    let cards = |cards: Vec<(&'a Card, Network)>| cards.into_iter().map(|(card, _)| card).collect();
    (cards(pod), cards(others))
}
