//! Machines that are reached by SSH.
//!
//! [`live`] is a running Linux guest, `ssh://[USER@]HOST[:PORT]`, by the program `ssh`.

pub mod live;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{OpenGuest, SourceRef};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Inspector, Opened, Plugin, PluginError, Result};

/// The plugin's settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Configuration file of the program `ssh`.
    config: Option<String>,
}

/// The plugin.
#[derive(Clone)]
pub struct Ssh {
    host: Host,
    settings: Settings,
}

impl Plugin for Ssh {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { settings: host.settings()?, host })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for Ssh {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if live::is_one(&source.uri) { 100 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        if live::is_one(&source.uri) {
            return live::catalog(&self.host, self.settings.config.as_deref(), source);
        }
        Err(PluginError::cannot("describing such a source"))
    }
}

impl Inspector for Ssh {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        Ok(if live::is_one(&request.source.uri) && request.disks.is_empty() { 100 } else { 0 })
    }

    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        live::open(&self.host, self.settings.config.as_deref(), request)
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Ssh,
    name: "ssh",
    summary: "Machines that are reached by SSH: a running Linux guest",
    kinds: ["fetcher", "inspector"],
    guests: ["linux"],
    capabilities: ["ssh"],
    libraries: [],
    programs: [("ssh", "openssh-client", "openssh-clients")],
    settings: [
        ("config", "string", "the user's own", "The configuration file for the program ssh, in place of ~/.ssh/config and that of the machine"),
    ],
    secrets: ["password"],
}
