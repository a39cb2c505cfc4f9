//! The `local` fetcher: virtual machines in files and folders of this machine.
//!
//! A source is a VMX, a disk of any known format, or a folder that holds either. [`given`] turns the user's word into a real
//! path and a folder that bounds everything else; [`catalog`] says which VM is there; [`transport`] opens its bytes, and only
//! beneath that folder ([`beneath`]). Each format has a room: [`vmx`], [`bare`] disks, [`folder`]s; [`magic`] and [`detect`]
//! decide, once, which format a file has. How a disk's format is read is a flattener's business.

pub mod bare;
pub mod beneath;
pub mod catalog;
pub mod detect;
pub mod file_source;
pub mod fingerprint;
pub mod folder;
pub mod given;
pub mod magic;
pub mod names;
pub mod references;
pub mod roots;
pub mod slots;
pub mod transport;
pub mod vmx;
pub mod vmx_disks;

use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, Result, Transport};

/// The name of this plugin, as origins state it.
pub const NAME: &str = "local";

/// The plugin. It has no settings and no state: everything depends on the source alone.
#[derive(Clone, Copy)]
pub struct Local;

impl Plugin for Local {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(*self))
    }
}

impl Fetcher for Local {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(given::suits(&source.uri))
    }

    fn catalog(&self, source: &SourceRef) -> Result<Option<Box<dyn Catalog>>> {
        Ok(Some(Box::new(catalog::LocalCatalog::open(source)?)))
    }

    fn transport(&self, source: &SourceRef) -> Result<Option<Box<dyn Transport>>> {
        Ok(Some(Box::new(transport::LocalTransport::open(source)?)))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Local,
    name: "local",
    summary: "Virtual machines in local files and folders: VMX, VMDK, QCOW2, raw",
    kinds: ["fetcher"],
    guests: [],
    capabilities: ["path", "file", "vmx", "vmdk", "qcow2", "raw", "folder"],
    libraries: [],
    programs: [],
    settings: [],
}
