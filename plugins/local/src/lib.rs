//! The `local` fetcher: virtual machines in files, folders and archives of this machine.
//!
//! [`given`] turns the user's word into a real path and a folder that bounds everything else; [`catalog`] says which VM is there;
//! [`transport`] opens its bytes. Both reach files through [`roots`] only: beneath that folder ([`beneath`]), or as members of an archive
//! in it ([`container`]). Descriptions: a VMX with its disks ([`vmx_disks`]), [`ovf`], [`bare`] disks. [`magic`] and [`detect`] decide, once, which
//! format a file has; [`content`] what a folder or an archive holds. How a disk's format is read is a flattener's business.

pub mod bare;
pub mod beneath;
pub mod catalog;
pub mod chunks;
pub mod container;
pub mod content;
pub mod detect;
pub mod digest;
pub mod file_source;
pub mod fingerprint;
pub mod given;
pub mod magic;
pub mod names;
pub mod object;
pub mod ovf;
pub mod references;
pub mod root_element;
pub mod roots;
pub mod slots;
pub mod transport;
pub mod vmx_disks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Disk, Link, SourceRef, Way};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, Result, Transport};

use container::shelf::Shelf;
use container::spool::Spooler;
use ovf::Choices;
use ovf::choices::Value;

/// The name of this plugin, as origins state it.
pub const NAME: &str = "local";

/// The scheme of its ways.
const SCHEME: &str = "file";

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where compressed archives are unpacked to.
    spool_dir: Option<PathBuf>,
    /// The configuration of an OVF.
    configuration: Option<String>,
    /// Values of an OVF's properties.
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

/// The plugin. Keeps the archives that were opened, which both faces of a source share.
#[derive(Clone, Default)]
pub struct Local {
    shelf: Arc<Shelf>,
    choices: Arc<Choices>,
}

impl Local {
    /// The plugin without a host, with these choices of a user.
    pub fn choosing(choices: Choices) -> Self {
        Self { choices: Arc::new(choices), ..Self::default() }
    }
}

impl Plugin for Local {
    fn new(host: Host) -> Result<Self> {
        let settings: Settings = host.settings()?;
        let spooler = Spooler::new(settings.spool_dir, Some(host));
        let choices = Choices::new(settings.configuration, settings.properties);
        Ok(Self { shelf: Arc::new(Shelf::new(spooler)), choices: Arc::new(choices) })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for Local {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(given::suits(&source.uri))
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(u32::from(way.scheme == SCHEME && !way.stream))
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(catalog::LocalCatalog::open(source, Arc::clone(&self.shelf), Arc::clone(&self.choices))?))
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        let (shelf, choices) = (Arc::clone(&self.shelf), Arc::clone(&self.choices));
        Ok(Box::new(transport::LocalTransport::open(&link.source, shelf, choices)?))
    }
}

/// The one way to a disk of this machine: by a path, beneath the source's folder or within an archive there.
fn way(object: &str, format: &str) -> Way {
    Way::new(SCHEME, object, format)
}

/// The object that a disk is read from; `None`: it has no file.
fn object_of_disk(disk: &Disk) -> Option<&str> {
    disk.ways.first().map(|way| way.object.as_str())
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Local,
    name: "local",
    summary: "Virtual machines in local files, folders and archives: OVF, OVA, VMX, VMDK, VHD, QCOW2, raw",
    kinds: ["fetcher"],
    guests: [],
    capabilities: ["path", "file", "ovf", "ova", "vmx", "vmdk", "vhd", "vhdx", "vdi", "qcow2", "raw", "folder", "tar", "zip"],
    libraries: [],
    programs: [],
    settings: [
        ("spool_dir", "string", "$TMPDIR, else /var/tmp", "Where compressed archives are unpacked to, in files without a name"),
        ("configuration", "string", "the OVF's default", "Which configuration of an OVF's deployment options applies, by its id"),
        ("properties", "table", "the OVF's defaults", "Values of an OVF's properties, by their names"),
    ],
}
