//! An ESXi host by its shell: `esxi+ssh://[USER@]HOST[:PORT]/vmfs/volumes/DATASTORE/FOLDER/VM.vmx`, without any API.
//!
//! From the user's word to a command's bytes: [`address`] reads a URI, [`place`] is a file on the host's volumes; [`trust`], by [`known_hosts`] and
//! [`fingerprint`], says which host is believed, [`login`] who logs in; [`shell`] is the one trait through which a host is reached, [`connection`] that by libssh2, and
//! [`server`] a few of them with a budget. What is found: [`vim`] has the words of the host's tools, [`snapshots`] and [`descriptor`] those of files,
//! [`machine`] a VM made of all of it. [`catalog`] and [`hold`] are the control plane, [`transport`] and [`file`](mod@file) the data plane.

pub mod address;
pub mod catalog;
pub mod connection;
pub mod descriptor;
pub mod file;
pub mod fingerprint;
pub mod hold;
pub mod known_hosts;
pub mod login;
pub mod machine;
pub mod place;
pub mod server;
pub mod shell;
pub mod snapshots;
pub mod transport;
pub mod trust;
pub mod vim;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Link, SourceRef, Way};
use vmdk2kvm_plugin_api::{Catalog, Host, PluginError, Result, Transport};

use server::{Manner, Server};

/// The name of this plugin, as origins state it.
pub const PLUGIN: &str = "ssh";
/// Commands at once from one host, unless told; never more than this.
const SESSIONS: u32 = 4;
/// How long a host may say nothing, in seconds, unless told.
const PATIENCE: u64 = 60;

/// What the user may set of hosts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// A list of known hosts, in place of the user's and the machine's.
    pub known_hosts: Option<String>,
    /// A private key.
    pub key: Option<String>,
    /// Commands at once.
    pub sessions: Option<u32>,
    /// Seconds that a host may say nothing.
    pub patience: Option<u64>,
}

impl Settings {
    fn manner(&self) -> Result<Manner> {
        let sessions = self.sessions.unwrap_or(SESSIONS);
        if !(1..=SESSIONS).contains(&sessions) {
            return Err(PluginError::config(format!(
                "plugin.ssh.sessions is {sessions}, not a number from 1 to {SESSIONS}"
            ))
            .hint("a host's SSH service does not sustain more"));
        }
        let patience = self.patience.unwrap_or(PATIENCE);
        if !(1..=3600).contains(&patience) {
            return Err(PluginError::config(format!(
                "plugin.ssh.patience is {patience}, not a number of seconds from 1 to 3600"
            ))
            .hint("60 suits a host that is busy"));
        }
        Ok(Manner {
            known_hosts: self.known_hosts.as_ref().map(Into::into),
            key: self.key.clone(),
            sessions,
            patience: Duration::from_secs(patience),
        })
    }
}

/// Hosts as the disks and catalogs of one run share them, by the source that names them.
#[derive(Clone)]
pub struct Hosts {
    host: Host,
    settings: Settings,
    open: Arc<Mutex<HashMap<String, Weak<Server>>>>,
}

impl Hosts {
    /// None yet.
    pub fn new(host: Host, settings: Settings) -> Self {
        Self { host, settings, open: Arc::default() }
    }

    /// Whether a source is a host's shell.
    pub fn is_one(uri: &str) -> bool {
        address::Address::is_one(uri)
    }

    /// Whether a way is a file of a host.
    pub fn carries(way: &Way) -> bool {
        way.scheme == transport::SCHEME && !way.stream
    }

    /// The catalog of a source.
    pub fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(catalog::ShellCatalog::new(self.server(&source.uri)?, source)?))
    }

    /// The transport of a disk.
    pub fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        if !Self::is_one(&link.source.uri) {
            return Err(PluginError::cannot("reading a file of a host whose shell the source does not name"));
        }
        Ok(Box::new(transport::ShellTransport::new(self.server(&link.source.uri)?, &link.way)?))
    }

    fn server(&self, uri: &str) -> Result<Arc<Server>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = open.get(uri).and_then(Weak::upgrade) {
            return Ok(server);
        }
        let server = Arc::new(Server::new(self.host.clone(), self.settings.manner()?, uri)?);
        open.insert(uri.to_owned(), Arc::downgrade(&server));
        Ok(server)
    }
}
