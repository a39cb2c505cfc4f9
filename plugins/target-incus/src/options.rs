//! The table `[target.incus]`.

use serde::Deserialize;
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_target_words::Mapping;

/// What the job says of this target.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// From networks of the source to networks of Incus, or bridges of its host.
    pub networks: Mapping<Attachment>,
    /// The storage pool.
    pub storage: Option<String>,
}

/// What a card is attached to.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Attachment {
    /// A network that Incus manages.
    Network(String),
    /// A bridge of the host.
    Bridge(Bridge),
}

/// A bridge of the host, with or without a VLAN.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// Its name.
    pub bridge: String,
    /// The VLAN of the card.
    #[serde(default)]
    pub vlan: Option<u16>,
}

impl Options {
    /// What Incus would refuse when the machine is made.
    pub fn check(&self) -> Result<()> {
        let vlans = self.networks.values().filter_map(|it| match it {
            Attachment::Bridge(bridge) => bridge.vlan,
            Attachment::Network(_) => None,
        });
        match vlans.into_iter().find(|vlan| !(1..=4094).contains(vlan)) {
            Some(vlan) => {
                Err(PluginError::config(format!("`target.incus.networks`: {vlan} is not a VLAN: they are 1 to 4094")))
            }
            None => Ok(()),
        }
    }
}
