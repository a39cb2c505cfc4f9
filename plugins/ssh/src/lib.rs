//! Machines that are reached by SSH.
//!
//! [`live`] is a running Linux guest, `ssh://[USER@]HOST[:PORT]`, by the program `ssh`. [`esxi`] is an ESXi host with its files,
//! `esxi+ssh://[USER@]HOST[:PORT]/vmfs/volumes/...`, by libssh2: that needs several connections, each with a thread of its own.

pub mod esxi;
pub mod live;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Link, OpenGuest, RolledBack, SourceRef, Way};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Inspector, Opened, Plugin, PluginError, Result, Transport};

/// The plugin's settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Configuration file of the program `ssh`.
    config: Option<String>,
    /// A list of known ESXi hosts.
    known_hosts: Option<String>,
    /// A private key for ESXi hosts.
    key: Option<String>,
    /// Commands at once on an ESXi host.
    sessions: Option<u32>,
    /// Seconds that an ESXi host may say nothing.
    patience: Option<u64>,
}

impl Settings {
    fn of_hosts(&self) -> esxi::Settings {
        let (known_hosts, key) = (self.known_hosts.clone(), self.key.clone());
        esxi::Settings { known_hosts, key, sessions: self.sessions, patience: self.patience }
    }
}

/// The plugin.
#[derive(Clone)]
pub struct Ssh {
    live: live::Live,
    hosts: esxi::Hosts,
}

impl Plugin for Ssh {
    fn new(host: Host) -> Result<Self> {
        let settings: Settings = host.settings()?;
        let hosts = esxi::Hosts::new(host.clone(), settings.of_hosts());
        Ok(Self { live: live::Live::new(host, settings.config), hosts })
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
        Ok(if live::is_one(&source.uri) || esxi::Hosts::is_one(&source.uri) { 100 } else { 0 })
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if esxi::Hosts::carries(way) { 50 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        if live::is_one(&source.uri) {
            return self.live.catalog(source);
        }
        if esxi::Hosts::is_one(&source.uri) {
            return self.hosts.catalog(source);
        }
        Err(PluginError::cannot("describing such a source"))
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        self.hosts.transport(link)
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
    summary: "Machines that are reached by SSH: a running Linux guest, and the files of an ESXi host",
    kinds: ["fetcher", "inspector"],
    guests: ["linux"],
    capabilities: ["ssh", "esxi+ssh", "ssh-file"],
    libraries: [("libssl.so.3", "libssl3", "openssl-libs")],
    programs: [("ssh", "openssh-client", "openssh-clients")],
    settings: [
        ("config", "string", "the user's own", "The configuration file for the program ssh, in place of ~/.ssh/config and that of the machine"),
        ("known_hosts", "string", "~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts", "The list of host keys by which ESXi hosts are known"),
        ("key", "string", "none", "A private key for ESXi hosts; its passphrase is the secret passphrase"),
        ("sessions", "integer", "4", "Connections at once to an ESXi host, 1 to 4"),
        ("patience", "integer", "60", "Seconds that an ESXi host may say nothing"),
    ],
    secrets: ["password", "passphrase"],
}
