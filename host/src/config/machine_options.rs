//! `[machine]`: what the job says of the new machine. What it does not say is decided from the guest.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use vmdk2kvm_plugin_api::model::{CardModel, CardNetwork, Chipset, Clock, DiskBus, Firmware, Video};

/// What the job says of the new machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MachineOptions {
    /// Networks of the new host by the names of the old ones.
    #[serde(deserialize_with = "known_networks")]
    pub networks: BTreeMap<String, CardNetwork>,
    /// The bus of all disks.
    pub disk_bus: Option<DiskBus>,
    /// Which disk is booted from, counted from 1.
    pub boot_disk: Option<u32>,
    /// Model of all network cards.
    pub card: Option<CardModel>,
    /// Family of boards.
    pub chipset: Option<Chipset>,
    /// Boot firmware.
    pub firmware: Option<Firmware>,
    /// Secure Boot.
    pub secure_boot: Option<bool>,
    /// A TPM.
    pub tpm: Option<bool>,
    /// Processors.
    pub cpus: Option<u32>,
    /// Cores of each socket.
    pub cores_per_socket: Option<u32>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// What the hardware clock shows.
    pub clock: Option<Clock>,
    /// Graphics card.
    pub video: Option<Video>,
    /// Interfaces by which a guest knows that it is virtual.
    pub enlightenments: Option<bool>,
    /// Serial console.
    pub serial_console: Option<bool>,
    /// Agent channel, random numbers and balloon.
    pub paravirtual: Option<bool>,
}

/// A job is written for this version: what it does not know is a mistake.
fn known_networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, CardNetwork>, D::Error> {
    let networks = BTreeMap::<String, CardNetwork>::deserialize(deserializer)?;
    let known = |network: &CardNetwork| matches!(network, CardNetwork::Network(_) | CardNetwork::Bridge(_));
    match networks.iter().find(|(_, network)| !known(network)) {
        Some((name, _)) => {
            Err(D::Error::custom(format_args!("`{name}` is neither `network = NAME` nor `bridge = NAME`")))
        }
        None => Ok(networks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_that_is_known() {
        let read = |text: &str| toml::from_str::<MachineOptions>(text).map_err(|error| error.message().to_owned());
        let options = read("networks.'VM Network' = {bridge = 'br0'}").unwrap();
        assert_eq!(options.networks["VM Network"], CardNetwork::Bridge("br0".to_owned()));
        for wrong in ["networks.A = {vlan = 'x'}", "networks.A = {network = 5}", "networks.A = 'x'"] {
            assert_eq!(read(wrong).unwrap_err(), "`A` is neither `network = NAME` nor `bridge = NAME`");
        }
    }
}
