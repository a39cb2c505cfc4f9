//! The control plane of a vCenter or an ESXi host by the program govc.
//!
//! The catalog is the library's, `vmdk2kvm-vsphere`, and so is what it says; here govc asks. [`program`] is where it is and how it is run, [`login`]
//! what it is given to log in with, [`answer`] what it says, [`api`] which of its commands ask what. What govc has no command for goes over SOAP, by the
//! session of the same login.

pub mod answer;
pub mod api;
pub mod login;
pub mod program;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, Result};
use vmdk2kvm_vsphere::catalog::{Open, Options};
use vmdk2kvm_vsphere::{Address, Session, VmCatalog};

use api::GovcApi;
use program::Program;

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    ca: Option<String>,
    #[serde(default)]
    quiesce: bool,
    program: Option<String>,
}

/// The plugin.
#[derive(Clone)]
pub struct VsphereGovc {
    host: Host,
    options: Options,
    /// `None`: it is not on this machine.
    program: Option<Program>,
}

impl Plugin for VsphereGovc {
    fn new(host: Host) -> Result<Self> {
        let Settings { ca, quiesce, program } = host.settings()?;
        let program =
            program.as_deref().map_or_else(|| Ok(Program::on_path()), |path| Program::named(path).map(Some))?;
        Ok(Self { host, options: Options { ca, quiesce }, program })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for VsphereGovc {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        // More than vsphere-soap, which needs no program, where the program is there; less where it is not.
        let suits = if self.program.is_some() { 60 } else { 40 };
        Ok(if Address::is_one(&source.uri) { suits } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        let program = self.program.clone();
        let open: Open = Box::new(move |host, door, login| match &program {
            Some(program) => Ok(Box::new(GovcApi::begin(host.clone(), program.clone(), door, login)?)),
            // Named by the user, or by the note of a run that had it.
            None => {
                host.warn("govc is not on this machine: the SOAP API is asked in its place");
                Ok(Box::new(Session::begin(door, login)?))
            }
        });
        Ok(Box::new(VmCatalog::new(self.host.clone(), self.options.clone(), source, open)?))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: VsphereGovc,
    name: "vsphere-govc",
    summary: "Virtual machines of a vCenter or an ESXi host, by the program govc",
    kinds: ["fetcher"],
    capabilities: ["vsphere", "esxi"],
    settings: [
        ("ca", "string", "those of this machine", "A file with the certificates (PEM) of the authorities that vouch for the server"),
        ("quiesce", "boolean", "false", "Ask the guest to bring its filesystems to rest for a snapshot; without, and where that fails, it is as after a power cut"),
        ("program", "string", "the one on PATH", "The program govc, by its whole path"),
    ],
    secrets: ["password"],
}
