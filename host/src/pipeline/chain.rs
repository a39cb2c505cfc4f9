//! A way to a disk becomes its flat view: by a flattener, or as it is.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport, FlattenDisk};
use vmdk2kvm_plugin_api::{BlockSource, Result, Transport};

use super::disk::{ChosenWay, Disk};
use super::format::RAW;
use super::run::Run;

/// The flat view of what a way leads to.
pub(super) fn open(run: &Run<'_>, index: usize, name: &str, chosen: ChosenWay) -> Result<Disk> {
    let object = chosen.way.object.clone();
    let (source, report, plugin): (Arc<dyn BlockSource>, _, _) = if chosen.way.format == RAW {
        let source: Arc<dyn BlockSource> = Arc::from(chosen.transport.open(&object)?);
        let report = ChainReport::new(source.size(), vec![ChainLink::new(&object, RAW, vec![object.clone()])]);
        (source, report, None)
    } else {
        let flattener = run.registry.flattener(run.job.settings.plugins.flattener.as_deref(), &chosen.way.format)?;
        let request = FlattenDisk::new(object, &chosen.way.format);
        let flat = flattener.stage.flatten(&request, Arc::clone(&chosen.transport) as Arc<dyn Transport>)?;
        for warning in &flat.report.warnings {
            run.services.warn(format!("{name}: {warning}"));
        }
        (Arc::from(flat.source), flat.report, Some(flattener.label))
    };
    let (name, way, before) = (name.to_owned(), Some(chosen), String::new());
    Ok(Disk { index, name, source, report, plugin, grown_from: None, device: None, way, before })
}
