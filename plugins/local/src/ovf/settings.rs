//! What VMware and VirtualBox write into a system beside the standard: firmware, Secure Boot, TPM, cores, UUID.
//!
//! VMware: `vmw:Config` and `vmw:ExtraConfig` with `key` and `value`, in the hardware section. VirtualBox: an own `vbox:Machine` element.

use std::collections::BTreeMap;

use roxmltree::Node;
use vmdk2kvm_plugin_api::model::Firmware;

use super::envelope::is_true;
use super::xml::{attribute, children};

/// The settings of a system, keys in lower case.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
    virtualbox_firmware: Option<String>,
    virtualbox_uuid: Option<String>,
}

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

    /// The SMBIOS UUID as it is written.
    pub fn uuid(&self) -> Option<&str> {
        self.text("uuid.bios").or(self.virtualbox_uuid.as_deref())
    }
}
