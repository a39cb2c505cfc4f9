//! FLATTEN: each disk's chain as one flat view, verified, with nothing copied. The copy itself runs in `rivers`.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport, Disk, FlattenDisk, VmSpec};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use super::run::Run;
use super::zero_source::ZeroSource;

/// The format that needs no plugin: the bytes as the guest sees them.
const RAW: &str = "raw";

/// A disk of the source as one flat view.
pub(super) struct FlatDisk {
    pub name: String,
    pub source: Arc<dyn BlockSource>,
    pub report: ChainReport,
    /// The plugin that reads it; `None` for raw and empty disks.
    pub plugin: Option<String>,
    /// Its size in the source in bytes, when it is to be larger.
    pub grown_from: Option<u64>,
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
    pub fn fingerprint(&self, transport: Option<&dyn Transport>) -> Result<String> {
        let mut digest = Sha256::new();
        digest.update(self.source.size().to_le_bytes());
        for file in self.files() {
            let transport = transport.ok_or_else(|| PluginError::defect("a disk with files but without transport"))?;
            digest.update(transport.fingerprint(&file)?);
            digest.update([0]);
        }
        Ok(format!("{:x}", digest.finalize()))
    }
}

/// Opens every disk of a VM, and fills in the capacities.
pub(super) fn open(run: &Run<'_>, vm: &mut VmSpec, transport: Option<&Arc<dyn Transport>>) -> Result<Vec<FlatDisk>> {
    let mut flat = Vec::with_capacity(vm.disks.len());
    for disk in &mut vm.disks {
        run.check_cancelled()?;
        let opened = open_disk(run, disk, transport)?;
        check_size(&opened)?;
        disk.capacity_bytes = opened.report.capacity_bytes;
        flat.push(opened);
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

fn open_disk(run: &Run<'_>, disk: &Disk, transport: Option<&Arc<dyn Transport>>) -> Result<FlatDisk> {
    let name = disk.name.clone();
    let Some(object) = &disk.path else {
        if disk.capacity_bytes == 0 {
            return Err(PluginError::unusable(format!("{}: the disk has neither a file nor a size", disk.name)));
        }
        let report = report(disk.capacity_bytes, Vec::new());
        return Ok(FlatDisk {
            name,
            source: Arc::new(ZeroSource(disk.capacity_bytes)),
            report,
            plugin: None,
            grown_from: None,
        });
    };
    let transport = transport.ok_or_else(|| PluginError::defect("the source names disks but offers no transport"))?;
    if disk.format == RAW {
        let source: Arc<dyn BlockSource> = Arc::from(transport.open(object)?);
        let link = ChainLink {
            object: object.clone(),
            format: RAW.to_owned(),
            files: vec![object.clone()],
            content_id: None,
            parent_content_id: None,
        };
        return Ok(FlatDisk {
            name,
            report: report(source.size(), vec![link]),
            source,
            plugin: None,
            grown_from: None,
        });
    }
    let flattener = run.registry.flattener(run.job.plugins.flattener.as_deref(), &disk.format)?;
    let request = FlattenDisk { object: object.clone(), format: disk.format.clone() };
    let flat = flattener.stage.flatten(&request, Arc::clone(transport))?;
    for warning in &flat.report.warnings {
        run.services.warn(format!("{}: {warning}", disk.name));
    }
    Ok(FlatDisk {
        name,
        source: Arc::from(flat.source),
        report: flat.report,
        plugin: Some(flattener.label),
        grown_from: None,
    })
}

fn report(capacity_bytes: u64, links: Vec<ChainLink>) -> ChainReport {
    ChainReport { schema: 1, capacity_bytes, links, warnings: Vec::new() }
}
