//! Reads VMDK disks and their snapshot chains as one flat view.
//!
//! In the order of a disk's life: [`chain`] opens the topmost [`link`] and then its parents; a link is a [`descriptor`] (whose extents are
//! [`extent_line`]s, in a [`create_type`]) and a [`storage`] for each extent, which is [`flat`] or [`sparse`]; a sparse one has a header
//! ([`header`], [`cowd`], [`se_sparse`]), [`tables`] whose [`entries`] are in its [`dialect`] and, when compressed, [`grain`]s to
//! inflate. [`disk`] then reads through the links and collects their map as one [`answer`]. All files are opened by [`files`], through
//! the host's `Transport` only.

pub mod answer;
pub mod cache;
pub mod chain;
pub mod cowd;
pub mod create_type;
pub mod descriptor;
pub mod dialect;
pub mod disk;
pub mod entries;
pub mod extent_line;
pub mod fault;
pub mod files;
pub mod flat;
pub mod grain;
pub mod header;
pub mod link;
pub mod names;
pub mod se_sparse;
pub mod sparse;
pub mod storage;
pub mod tables;

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{ErrorKind, Flat, Flattener, Host, Plugin, PluginError, Result, Transport};

use crate::disk::Disk;
use crate::files::Files;
use crate::link::Opener;
use crate::sparse::Shared;

/// The plugin.
pub struct VmdkFlatten {
    host: Host,
}

impl Plugin for VmdkFlatten {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        Some(Box::new(VmdkFlattener::new(self.host.clone())))
    }
}

/// Its FLATTEN.
pub struct VmdkFlattener {
    host: Host,
}

impl VmdkFlattener {
    /// A flattener that asks `host` whether to go on.
    pub fn new(host: Host) -> Self {
        Self { host }
    }
}

impl Flattener for VmdkFlattener {
    fn formats(&self) -> Vec<String> {
        vec!["vmdk".to_owned()]
    }

    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        if disk.format != "vmdk" {
            return Err(PluginError::new(
                ErrorKind::Usage,
                format!("vmdk-flatten does not read the format {}", disk.format),
            ));
        }
        let opener = Opener { files: Files::new(files), shared: Shared::default(), host: self.host.clone() };
        let links = chain::open(&opener, &disk.object)?;
        let report = chain::report(&links);
        Ok(Flat::new(Disk::new(links), report))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: VmdkFlatten,
    name: "vmdk-flatten",
    summary: "Reads VMDK disks and their snapshot chains as one flat view",
    kinds: ["flattener"],
    guests: [],
    capabilities: ["vmdk"],
    libraries: [],
    programs: [],
    settings: [],
}
