//! The `vdi` and `vhdx` flattener: images of VirtualBox and of Hyper-V as one flat view. Both come down to a table that says where each block
//! of the disk is ([`blocks`]); [`vdi`] and [`vhdx`] read and check it, [`view`] reads the disk through it. The file is opened by the transport only;
//! nothing here touches the file system.

mod blocks;
mod vdi;
mod vhdx;
mod view;

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport, FlattenDisk};
use vmdk2kvm_plugin_api::{Flat, Flattener, Host, Plugin, Result, Transport};

/// The plugin. It has no settings and no state.
#[derive(Clone, Copy)]
pub struct VdiVhdx;

impl Plugin for VdiVhdx {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        Some(Box::new(*self))
    }
}

impl Flattener for VdiVhdx {
    fn formats(&self) -> Vec<String> {
        vec!["vdi".into(), "vhdx".into()]
    }

    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        let object = disk.object.clone();
        let file = files.open(&object)?;
        let blocks = match disk.format.as_str() {
            "vhdx" => vhdx::read(&*file),
            _ => vdi::read(&*file),
        };
        let blocks = blocks.map_err(|error| error.context(&object))?;
        let link = ChainLink::new(object.clone(), blocks.format.to_owned(), vec![object.clone()]);
        let report = ChainReport::new(blocks.capacity, vec![link]);
        Ok(Flat::new(view::View { object, file, blocks }, report))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: VdiVhdx,
    name: "vdi-vhdx-flatten",
    summary: "Reads VDI images of VirtualBox and VHDX images of Hyper-V",
    kinds: ["flattener"],
    guests: [],
    capabilities: ["vdi", "vhdx"],
    libraries: [],
    programs: [],
    settings: [],
}
