//! FLATTEN: each disk's chain as one flat view, verified, with nothing copied. The copy itself runs in `copying`.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{self, ChainReport};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::disk::Disk;
use super::fetch::Fetched;
use super::output::Output;
use super::pairing;
use super::run::Run;
use super::source::ZeroSource;

/// Opens every disk of a VM, and fills in what their chains say of them. `output` is that of a command which leaves images: there streams can be brought.
pub(super) fn open(run: &Run<'_>, fetched: &mut Fetched, output: Option<&Output>) -> Result<Vec<Disk>> {
    let mut flat = Vec::with_capacity(fetched.vm.disks.len());
    for index in 0..fetched.vm.disks.len() {
        run.check_cancelled()?;
        let opened = open_disk(run, fetched, output, index)?;
        check_size(&opened)?;
        flat.push(opened);
    }
    for (disk, opened) in fetched.vm.disks.iter_mut().zip(&flat) {
        disk.capacity_bytes = opened.report.capacity_bytes;
        if disk.serial.is_none() {
            disk.serial.clone_from(&opened.report.serial);
        }
    }
    Ok(flat)
}

/// A plugin whose source cannot tell its size, or tells another than its chain has, would leave a disk that is cut short.
fn check_size(disk: &Disk) -> Result<()> {
    let (size, capacity) = (disk.source.size(), disk.report.capacity_bytes);
    let mut error = match size {
        _ if size != capacity => {
            PluginError::defect(format!("{}: {size} bytes can be read of a disk of {capacity} bytes", disk.name))
        }
        0 => PluginError::unusable(format!("{}: the disk is empty", disk.name)),
        _ => return Ok(()),
    };
    error.plugin.clone_from(&disk.plugin);
    Err(error)
}

fn open_disk(run: &Run<'_>, fetched: &Fetched, output: Option<&Output>, index: usize) -> Result<Disk> {
    let disk = &fetched.vm.disks[index];
    if disk.ways.is_empty() { empty(index, disk) } else { pairing::open(run, fetched, output, index) }
}

/// A disk without a file: it reads as zeros.
fn empty(index: usize, disk: &model::Disk) -> Result<Disk> {
    if disk.capacity_bytes == 0 {
        return Err(PluginError::unusable(format!("{}: the disk has neither a file nor a size", disk.name)));
    }
    Ok(Disk {
        index,
        name: disk.name.clone(),
        source: Arc::new(ZeroSource(disk.capacity_bytes)),
        report: ChainReport::new(disk.capacity_bytes, Vec::new()),
        plugin: None,
        grown_from: None,
        device: None,
        way: None,
        before: String::new(),
    })
}
