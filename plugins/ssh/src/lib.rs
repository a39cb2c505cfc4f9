//! Machines that are reached by SSH.
//!
//! [`live`] is a running Linux guest, `ssh://[USER@]HOST[:PORT]`, by the program `ssh`.

pub mod live;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{OpenGuest, RolledBack, SourceRef};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Inspector, Opened, Plugin, Result};

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
    live: live::Live,
}

impl Plugin for Ssh {
    fn new(host: Host) -> Result<Self> {
        let Settings { config } = host.settings()?;
        Ok(Self { live: live::Live::new(host, config) })
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
        self.live.catalog(source)
    }
}

impl Inspector for Ssh {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        Ok(if live::is_one(&request.source.uri) && request.disks.is_empty() { 100 } else { 0 })
    }

    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        self.live.open(request)
    }

    fn roll_back(&self, request: &OpenGuest) -> Result<RolledBack> {
        self.live.roll_back(request)
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
