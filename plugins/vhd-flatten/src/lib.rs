//! The `vhd` flattener: VHD images, with their parents, as one flat view.
//!
//! Specification: "Virtual Hard Disk Image Format Specification" 1.0 (Microsoft, 2006). [`chain`] opens the chain, [`footer`] and [`header`] check
//! each image, [`image`] says where a sector is stored, [`view`] reads. Files are resolved and opened by the transport only; nothing here touches
//! the file system.

mod bytes;
mod chain;
mod footer;
mod header;
mod image;
mod view;

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{Flat, Flattener, Host, Plugin, Result, Transport};

/// The plugin. It has no settings and no state.
#[derive(Clone, Copy)]
pub struct Vhd;

impl Plugin for Vhd {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        Some(Box::new(*self))
    }
}

impl Flattener for Vhd {
    fn formats(&self) -> Vec<String> {
        vec!["vhd".into()]
    }

    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        let (images, report) = chain::open(&disk.object, &*files)?;
        Ok(Flat::new(view::View::new(images), report))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Vhd,
    name: "vhd-flatten",
    summary: "Reads VHD images: fixed, dynamic, differencing",
    kinds: ["flattener"],
    guests: [],
    capabilities: ["vhd", "vpc", "differencing"],
    libraries: [],
    programs: [],
    settings: [],
}
