//! The control plane of a vCenter or an ESXi host over its SOAP API: no program is needed.
//!
//! The catalog and the API are the library's, `vmdk2kvm-vsphere`; here a session of its own asks.

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, Result};
use vmdk2kvm_vsphere::catalog::{Open, Options};
use vmdk2kvm_vsphere::{Address, Session, VmCatalog};

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    ca: Option<String>,
    #[serde(default)]
    quiesce: bool,
}

/// The plugin.
#[derive(Clone)]
pub struct VsphereSoap {
    host: Host,
    options: Options,
}

impl Plugin for VsphereSoap {
    fn new(host: Host) -> Result<Self> {
        let Settings { ca, quiesce } = host.settings()?;
        Ok(Self { host, options: Options { ca, quiesce } })
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
        let open: Open = Box::new(|_, door, login| Ok(Box::new(Session::begin(door, login)?)));
        Ok(Box::new(VmCatalog::new(self.host.clone(), self.options.clone(), source, open)?))
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
