//! The table `[target.kubevirt]`.

use serde::Deserialize;
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_target_words::Mapping;

/// The word for the pod network among the networks.
pub const POD: &str = "pod";

/// What the job says of this target.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Namespace of everything; none: kubectl's own.
    pub namespace: Option<String>,
    /// From networks of the source to `NAME` or `NAMESPACE/NAME` of a NetworkAttachmentDefinition, or `pod`.
    pub networks: Mapping<String>,
    /// From numbers of disks to storage classes.
    pub storage: Mapping<String>,
    /// The time zone that a clock of local time shows.
    pub timezone: Option<String>,
}

impl Options {
    /// Kubernetes would refuse other names, with a message that does not say where they come from.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, value: &str| {
            Err(PluginError::config(format!("`target.kubevirt.{key}`: {value:?} is not a name as Kubernetes has them"))
                .hint("names are of lower case letters, digits, dashes and dots"))
        };
        if let Some(name) = self.namespace.as_deref().filter(|name| !is_name(name)) {
            return wrong("namespace", name);
        }
        if let Some(name) = self.networks.values().find(|name| !is_network(name)) {
            return wrong("networks", name);
        }
        match self.storage.values().find(|name| !is_name(name)) {
            Some(name) => wrong("storage", name),
            None => Ok(()),
        }
    }
}

/// Whether this can be a NetworkAttachmentDefinition, with or without its namespace.
pub fn is_network(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|part| is_name(part))
}

fn is_name(name: &str) -> bool {
    let of_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '.');
    let ends_well = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    name.len() <= 253 && name.chars().all(of_name) && ends_well(name.chars().next()) && ends_well(name.chars().last())
}
