//! What VMware and VirtualBox write into a system beside the standard: firmware, Secure Boot, TPM, cores, UUID, cards.
//!
//! VMware: `vmw:Config` and `vmw:ExtraConfig` with `key` and `value`, in the hardware section. VirtualBox: an own `vbox:Machine` element.

use std::collections::BTreeMap;

use roxmltree::Node;
use vmdk2kvm_plugin_api::model::Firmware;

use super::envelope::is_true;
use super::xml::{attribute, child, children};

/// The settings of a system, keys in lower case.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
    virtualbox_firmware: Option<String>,
    virtualbox_uuid: Option<String>,
    /// VirtualBox's cards by their slots, those that are enabled.
    pub virtualbox_cards: Vec<VirtualBoxCard>,
}

/// A network card as VirtualBox writes it into its own element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualBoxCard {
    /// VirtualBox's number of it, from 0.
    pub number: u32,
    /// MAC, as written: hostile.
    pub mac: Option<String>,
    /// The number of its PCI slot.
    pub slot: Option<u32>,
}

/// PCI slots of VirtualBox's cards by their numbers, on its usual chipset (PIIX3).
const VIRTUALBOX_SLOTS: [u32; 8] = [3, 8, 9, 10, 16, 17, 18, 19];

impl Settings {
    /// Reads them from a system and its hardware section.
    pub fn read(system: Node<'_, '_>, hardware: Option<Node<'_, '_>>) -> Self {
        let mut settings = Self::default();
        for place in hardware.into_iter().chain([system]) {
            for node in children(place, "Config").chain(children(place, "ExtraConfig")) {
                if let (Some(key), Some(value)) = (attribute(node, "key"), attribute(node, "value")) {
                    settings.values.entry(key.to_lowercase()).or_insert_with(|| value.to_owned());
                }
            }
        }
        for machine in children(system, "Machine") {
            settings.virtualbox_uuid = attribute(machine, "uuid").map(|uuid| uuid.trim_matches(['{', '}']).to_owned());
            let firmware = machine.descendants().find(|node| node.tag_name().name() == "Firmware");
            settings.virtualbox_firmware = firmware.and_then(|node| attribute(node, "type")).map(str::to_owned);
            settings.virtualbox_cards = virtualbox_cards(machine);
        }
        settings
    }

    /// The value of a key (in lower case).
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    fn switch(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.text(key).is_some_and(is_true))
    }

    /// The firmware; `None` when nobody says.
    pub fn firmware(&self) -> Option<Firmware> {
        let word = self.text("firmware").or(self.virtualbox_firmware.as_deref())?.to_lowercase();
        match word.as_str() {
            word if word.starts_with("efi") || word == "uefi" => Some(Firmware::Uefi),
            "bios" => Some(Firmware::Bios),
            _ => None,
        }
    }

    /// Secure Boot is enforced.
    pub fn secure_boot(&self) -> bool {
        self.switch(&["bootoptions.efisecurebootenabled", "uefi.secureboot.enabled"])
    }

    /// It has a TPM.
    pub fn tpm(&self) -> bool {
        self.switch(&["vtpm.present", "tpmpresent"]) || self.text("managedvm.autoaddvtpm").is_some()
    }

    /// The guest saw its disks' identifiers as serial numbers; `None` when nobody says.
    pub fn shows_disk_serials(&self) -> Option<bool> {
        self.text("disk.enableuuid").or(self.text("flags.diskuuidenabled")).map(is_true)
    }

    /// The SMBIOS UUID as it is written.
    pub fn uuid(&self) -> Option<&str> {
        self.text("uuid.bios").or(self.virtualbox_uuid.as_deref())
    }
}

fn virtualbox_cards(machine: Node<'_, '_>) -> Vec<VirtualBoxCard> {
    let mut cards = Vec::new();
    for hardware in children(machine, "Hardware") {
        let chipset = child(hardware, "Chipset").and_then(|chipset| attribute(chipset, "type"));
        let usual = chipset.is_none_or(|chipset| chipset.eq_ignore_ascii_case("PIIX3"));
        for node in children(hardware, "Network").flat_map(|network| children(network, "Adapter")) {
            let number = attribute(node, "slot").and_then(|slot| slot.parse().ok());
            if let (Some(number), Some(true)) = (number, attribute(node, "enabled").map(is_true)) {
                let slot = VIRTUALBOX_SLOTS.get(number as usize).copied().filter(|_| usual);
                cards.push(VirtualBoxCard { number, mac: attribute(node, "MACAddress").map(str::to_owned), slot });
            }
        }
    }
    cards.sort_by_key(|card| card.number);
    cards
}
