//! What the appliance opens: for each disk a qcow2 overlay on a read-only export of its flat view. qemu never parses the source, and a
//! crash of the appliance costs the overlay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{AttachedDisk, CreateOverlay};
use vmdk2kvm_plugin_api::{BlockSource, Converter, PluginError, Result};

use super::disk::Disk;
use super::format::{OVERLAY, RAW};
use super::paths::remove_if_there;
use crate::nbd::Export;

/// Disks that can be attached. Dropping it ends the exports and removes their sockets; the overlays stay.
pub(super) struct Attached {
    /// In the order of the VM's disks.
    pub disks: Vec<AttachedDisk>,
    /// Their flat views.
    pub sources: Vec<Arc<dyn BlockSource>>,
    exports: Vec<Export>,
}

impl Attached {
    /// The first error that a source gave to the appliance, which saw it as a broken disk.
    pub fn source_error(&self) -> Option<PluginError> {
        self.exports.iter().find_map(Export::first_error)
    }
}

/// Where the overlay of a disk lies.
pub(super) fn overlay_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("overlay-{}.qcow2", index + 1))
}

/// Exports every disk on a socket in `private`, and makes a new overlay on each in `folder`.
pub(super) fn attach(disks: &[Disk], folder: &Path, private: &Path, converter: &dyn Converter) -> Result<Attached> {
    let mut attached = Attached { disks: Vec::new(), sources: Vec::new(), exports: Vec::new() };
    for (index, disk) in disks.iter().enumerate() {
        let export = Export::start(Arc::clone(&disk.source), &private.join(index.to_string()))?;
        let overlay = overlay_path(folder, index);
        remove_if_there(&overlay)?;
        let overlay = overlay.to_str().map(str::to_owned).ok_or_else(|| {
            PluginError::output(format!("the work folder {} has a name that is not UTF-8", folder.display()))
                .hint("name another one with --work-dir")
        })?;
        converter.create_overlay(&CreateOverlay::new(&overlay, export.uri(), RAW, disk.source.size()))?;
        attached.exports.push(export);
        attached.sources.push(Arc::clone(&disk.source));
        attached.disks.push(AttachedDisk::new(overlay, OVERLAY));
    }
    Ok(attached)
}
