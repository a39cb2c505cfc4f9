//! The control plane of a vCenter or an ESXi host over its SOAP API: no program is needed.
//!
//! [`catalog`] says which VMs are there and what one of them is; [`hold`] takes what reading it needs and gives it back; [`tracking`] is about
//! changed blocks, [`power`] about the VM's state. The API itself is the library's, `vmdk2kvm-vsphere`.

pub mod catalog;
pub mod hold;
pub mod power;
pub mod tracking;

use std::sync::Arc;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, PluginError, Result};
use vmdk2kvm_vsphere::Address;

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A file with certificates of authorities.
    ca: Option<String>,
    /// Whether the guest's filesystems are to be at rest in a snapshot.
    #[serde(default)]
    quiesce: bool,
}

impl Settings {
    fn authorities(&self) -> Result<Option<String>> {
        let read = |path: &String| std::fs::read_to_string(path).map_err(|error| PluginError::from_io(path, &error));
        self.ca.as_ref().map(read).transpose()
    }
}

/// The plugin.
#[derive(Clone)]
pub struct VsphereSoap {
    host: Host,
    settings: Arc<Settings>,
}

impl Plugin for VsphereSoap {
    fn new(host: Host) -> Result<Self> {
        let settings = Arc::new(host.settings()?);
        Ok(Self { host, settings })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for VsphereSoap {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if Address::is_one(&source.uri) { 50 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(catalog::SoapCatalog::new(self.host.clone(), Arc::clone(&self.settings), source)?))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: VsphereSoap,
    name: "vsphere-soap",
    summary: "Virtual machines of a vCenter or an ESXi host, by its SOAP API",
    kinds: ["fetcher"],
    capabilities: ["vsphere", "esxi"],
    settings: [
        ("ca", "string", "those of this machine", "A file with the certificates (PEM) of the authorities that vouch for the server"),
        ("quiesce", "boolean", "false", "Ask the guest to bring its filesystems to rest for a snapshot; without, and where that fails, it is as after a power cut"),
    ],
    secrets: ["password"],
}
