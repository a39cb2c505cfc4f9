//! Disks by VMware's ovftool: the last choice, where no other way is open. It exports a whole VM as an OVF into a folder of this plugin; each disk takes its file
//! from there.
//!
//! [`program`] runs it, on a terminal of its own where it has to be told a password; [`output`] reads what it says, in both of its forms;
//! [`package`] checks what it left, the manifest first; [`delivery`] exports once for all disks of a VM, and keeps what is whole.

pub mod delivery;
pub mod output;
pub mod package;
pub mod program;
pub mod terminal;

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Delivered, Link, SourceRef, Way};
use vmdk2kvm_plugin_api::{Fetcher, Host, Plugin, Result};
use vmdk2kvm_vsphere::ways;

/// The plugin's settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program, by its whole path.
    program: Option<String>,
    /// Seconds that it may say nothing.
    patience: Option<u64>,
}

/// The plugin.
#[derive(Clone)]
pub struct Ovftool {
    host: Host,
    settings: Settings,
    /// One export at a time: the disks of a VM share one.
    one: Arc<Mutex<()>>,
}

impl Plugin for Ovftool {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { settings: host.settings()?, host, one: Arc::default() })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for Ovftool {
    fn accepts(&self, _: &SourceRef) -> Result<u32> {
        Ok(0)
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if way.scheme == ways::OVF && way.stream { 50 } else { 0 })
    }

    fn deliver(&self, link: &Link, folder: &str) -> Result<Delivered> {
        let program = program::Program::find(self.settings.program.as_deref())?;
        let patience = program::patience(self.settings.patience)?;
        delivery::Delivery { host: &self.host, program, patience, one: &self.one }.deliver(link, folder.as_ref())
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Ovftool,
    name: "ovftool",
    summary: "Brings disks of a vCenter or an ESXi host by the ovftool of VMware, where nothing else can",
    kinds: ["fetcher"],
    capabilities: ["ovf-export"],
    programs: [("ovftool", "", "")],
    settings: [
        ("program", "string", "ovftool on PATH", "The program, by its whole path"),
        ("patience", "integer", "600", "Seconds that the program may say nothing"),
    ],
    secrets: ["password"],
}
