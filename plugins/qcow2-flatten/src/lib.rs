//! The `qcow2` flattener: QCOW2 images, with their backing chains, as one flat view.
//!
//! Specification: "The QCOW2 format", `docs/interop/qcow2.rst` of QEMU; section names below are its own. [`chain`] opens the
//! chain, [`header`] and [`extensions`] check each image, [`entry`] says what a table entry means, [`image`] maps a guest
//! offset to what is stored there, [`view`] reads. Tables and inflated clusters go through [`cache`]s of fixed size. Files are
//! resolved and opened by the transport only; nothing here touches the file system.

pub mod cache;
pub mod chain;
pub mod compression;
pub mod entry;
pub mod extensions;
pub mod header;
pub mod image;
pub mod run;
pub mod tables;
pub mod view;

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{Flat, Flattener, Host, Plugin, Result, Transport};

/// The plugin. It has no settings and no state.
#[derive(Clone, Copy)]
pub struct Qcow2;

impl Plugin for Qcow2 {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        Some(Box::new(*self))
    }
}

impl Flattener for Qcow2 {
    fn formats(&self) -> Vec<String> {
        vec!["qcow2".into()]
    }

    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        let (layers, report) = chain::open(&disk.object, &*files)?;
        Ok(Flat::new(view::View::new(layers), report))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Qcow2,
    name: "qcow2-flatten",
    summary: "Reads QCOW2 images and their backing chains",
    kinds: ["flattener"],
    guests: [],
    capabilities: ["qcow2", "backing-chain", "compressed-clusters", "extended-l2"],
    libraries: [],
    programs: [],
    settings: [],
}
