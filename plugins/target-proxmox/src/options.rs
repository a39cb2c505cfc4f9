//! The table `[target.proxmox]`.

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Card, CardNetwork};
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_target_words::{Mapping, of_network};

/// What the job says of this target.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// From networks of the source to bridges.
    networks: Mapping<Attachment>,
    /// From numbers of disks to storages.
    pub storage: Mapping<String>,
}

/// A bridge, with or without a VLAN.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Attachment {
    Bridge(String),
    Tagged(Tagged),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tagged {
    bridge: String,
    vlan: u16,
}

impl Options {
    /// The bridge of a card, and its VLAN.
    pub fn bridge<'a>(&'a self, card: &'a Card) -> Option<(&'a str, Option<u16>)> {
        match of_network(&self.networks, card) {
            Some(attachment) => Some(attachment.parts()),
            // A virtual network of another target is no bridge.
            None => match &card.network {
                Some(CardNetwork::Bridge(bridge)) if is_plain(bridge) => Some((bridge, None)),
                _ => None,
            },
        }
    }

    /// In `qm`'s lists a comma would begin another property, and there is no way to quote it.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, message: String| Err(PluginError::config(format!("`target.proxmox.{key}`: {message}")));
        for (bridge, vlan) in self.networks.values().map(Attachment::parts) {
            if !is_plain(bridge) {
                return wrong("networks", format!("{bridge:?} is not the name of a bridge"));
            }
            if let Some(vlan) = vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
                return wrong("networks", format!("{vlan} is not a VLAN: they are 1 to 4094"));
            }
        }
        match self.storage.values().find(|name| !is_plain(name)) {
            Some(name) => wrong("storage", format!("{name:?} is not the name of a storage")),
            None => Ok(()),
        }
    }
}

impl Attachment {
    fn parts(&self) -> (&str, Option<u16>) {
        match self {
            Self::Bridge(bridge) => (bridge, None),
            Self::Tagged(tagged) => (&tagged.bridge, Some(tagged.vlan)),
        }
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
}
