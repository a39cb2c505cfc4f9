//! FLATTEN: each disk's chain as one flat view, verified, with nothing copied. The copy itself runs in `rivers`.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport, Disk, FlattenDisk, Way};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use super::fetch::Fetched;
use super::pairing;
use super::run::Run;
use super::zero_source::ZeroSource;

/// The format that needs no plugin: the bytes as the guest sees them.
pub(super) const RAW: &str = "raw";

/// A disk of the source as one flat view.
pub(super) struct FlatDisk {
    pub name: String,
    pub source: Arc<dyn BlockSource>,
    pub report: ChainReport,
    /// The plugin that reads its format; `None` for raw and empty disks.
    pub plugin: Option<String>,
    /// Its size in the source in bytes, when it is to be larger.
    pub grown_from: Option<u64>,
    /// The way that its bytes come; `None`: it has none.
    pub way: Option<ChosenWay>,
}

/// The way that the bytes of a disk come.
pub(super) struct ChosenWay {
    pub way: Way,
    /// The plugin that carries it.
    pub plugin: String,
    pub transport: Arc<dyn Transport>,
}

impl FlatDisk {
    /// Every file whose bytes are read.
    pub fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = self.report.links.iter().flat_map(|link| link.files.iter().cloned()).collect();
        files.sort();
        files.dedup();
        files
    }

    /// A digest over the fingerprints of all its files: another digest is another content.
    pub fn fingerprint(&self) -> Result<String> {
        let mut digest = Sha256::new();
        digest.update(self.source.size().to_le_bytes());
        for file in self.files() {
            let way =
                self.way.as_ref().ok_or_else(|| PluginError::defect("a disk with files but without transport"))?;
            digest.update(way.transport.fingerprint(&file)?);
            digest.update([0]);
        }
        Ok(format!("{:x}", digest.finalize()))
    }
}

/// Opens every disk of a VM, and fills in what their chains say of them.
pub(super) fn open(run: &Run<'_>, fetched: &mut Fetched) -> Result<Vec<FlatDisk>> {
    let mut flat = Vec::with_capacity(fetched.vm.disks.len());
    for index in 0..fetched.vm.disks.len() {
        run.check_cancelled()?;
        let opened = open_disk(run, fetched, index)?;
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
fn check_size(disk: &FlatDisk) -> Result<()> {
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

fn open_disk(run: &Run<'_>, fetched: &Fetched, index: usize) -> Result<FlatDisk> {
    let disk = &fetched.vm.disks[index];
    if disk.ways.is_empty() { empty(disk) } else { pairing::open(run, fetched, index) }
}

/// A disk without a file: it reads as zeros.
fn empty(disk: &Disk) -> Result<FlatDisk> {
    if disk.capacity_bytes == 0 {
        return Err(PluginError::unusable(format!("{}: the disk has neither a file nor a size", disk.name)));
    }
    Ok(FlatDisk {
        name: disk.name.clone(),
        source: Arc::new(ZeroSource(disk.capacity_bytes)),
        report: ChainReport::new(disk.capacity_bytes, Vec::new()),
        plugin: None,
        grown_from: None,
        way: None,
    })
}

/// The flat view of what a way leads to.
pub(super) fn flat(run: &Run<'_>, disk: &Disk, chosen: ChosenWay) -> Result<FlatDisk> {
    let (object, name) = (chosen.way.object.clone(), disk.name.clone());
    if chosen.way.format == RAW {
        let source: Arc<dyn BlockSource> = Arc::from(chosen.transport.open(&object)?);
        let link = ChainLink::new(&object, RAW, vec![object.clone()]);
        let report = ChainReport::new(source.size(), vec![link]);
        return Ok(FlatDisk { name, source, report, plugin: None, grown_from: None, way: Some(chosen) });
    }
    let flattener = run.registry.flattener(run.job.plugins.flattener.as_deref(), &chosen.way.format)?;
    let request = FlattenDisk::new(object, &chosen.way.format);
    let flat = flattener.stage.flatten(&request, Arc::clone(&chosen.transport))?;
    for warning in &flat.report.warnings {
        run.services.warn(format!("{name}: {warning}"));
    }
    Ok(FlatDisk {
        name,
        source: Arc::from(flat.source),
        report: flat.report,
        plugin: Some(flattener.label),
        grown_from: None,
        way: Some(chosen),
    })
}
