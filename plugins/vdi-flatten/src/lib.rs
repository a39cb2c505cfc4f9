//! The `vdi` flattener: VDI images of VirtualBox as one flat view. [`header`] checks an image and knows where its blocks are, [`view`] reads.
//! The file is opened by the transport only; nothing here touches the file system.

mod header;
mod view;

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport, FlattenDisk};
use vmdk2kvm_plugin_api::{Flat, Flattener, Host, Plugin, Result, Transport};

/// The plugin. It has no settings and no state.
#[derive(Clone, Copy)]
pub struct Vdi;

impl Plugin for Vdi {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        Some(Box::new(*self))
    }
}

impl Flattener for Vdi {
    fn formats(&self) -> Vec<String> {
        vec!["vdi".into()]
    }

    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        let object = disk.object.clone();
        let file = files.open(&object)?;
        let header = header::Header::read(&*file).map_err(|error| error.context(&object))?;
        let link = ChainLink {
            object: object.clone(),
            format: format!("vdi/{}", header.kind),
            files: vec![object.clone()],
            content_id: None,
            parent_content_id: None,
        };
        let report =
            ChainReport { schema: 1, capacity_bytes: header.capacity, links: vec![link], warnings: Vec::new() };
        Ok(Flat { source: Box::new(view::View { object, file, header }), report })
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Vdi,
    name: "vdi-flatten",
    summary: "Reads VDI images of VirtualBox",
    kinds: ["flattener"],
    guests: [],
    capabilities: ["vdi"],
    libraries: [],
    programs: [],
    settings: [],
}
