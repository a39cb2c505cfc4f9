//! `[machine]`: what the job says of the new machine. What it does not say is decided from the guest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{CardModel, Chipset, Clock, DiskBus, Firmware, Video};

/// What the job says of the new machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MachineOptions {
    /// Networks of the new host by the names of the old ones.
    pub networks: BTreeMap<String, NetworkTarget>,
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

/// What a network card is attached to on the new host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkTarget {
    /// A network of the new hypervisor.
    Network(String),
    /// A bridge of the new host.
    Bridge(String),
}
