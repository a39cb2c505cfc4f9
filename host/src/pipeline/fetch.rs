//! FETCH: the plugin that knows the source describes the virtual machine.

use vmdk2kvm_plugin_api::model::{Hold, Link, Origin, SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{Catalog, PluginError, Result};

use super::run::Run;
use crate::events::Event;

/// What FETCH found.
pub(super) struct Fetched {
    pub label: String,
    pub source: SourceRef,
    pub vm: VmSpec,
    /// What is held at the source.
    pub hold: Hold,
}

impl Fetched {
    /// A way to a disk, for a transport.
    pub fn link(&self, disk: usize, way: &vmdk2kvm_plugin_api::model::Way) -> Link {
        let disk = u32::try_from(disk).unwrap_or(u32::MAX);
        Link::new(self.source.clone(), self.vm.clone(), disk, way.clone()).with(|link| link.hold = self.hold.clone())
    }
}

/// The control plane of a source.
pub(super) struct Described {
    pub label: String,
    pub catalog: Box<dyn Catalog>,
}

/// Finds the plugin that knows a source.
pub(super) fn open(run: &Run<'_>, source: &SourceRef) -> Result<Described> {
    let fetcher = run.registry.fetcher(run.job.settings.plugins.fetcher.as_deref(), source)?;
    Ok(Described { catalog: fetcher.stage.catalog(source)?, label: fetcher.label })
}

/// Describes the VM that a source names. With the catalog what reading needs can be taken.
pub(super) fn fetch(run: &Run<'_>, source: SourceRef) -> Result<(Fetched, Box<dyn Catalog>)> {
    let Described { label, catalog } = open(run, &source)?;
    let vm = complete(run, catalog.describe()?, &label, &source);
    for finding in &vm.findings {
        run.services.events().emit(Event::Finding(finding.clone()));
    }
    run.services.set_disks(vm.disks.iter().map(|disk| disk.name.clone()).collect());
    Ok((Fetched { label, source, vm, hold: Hold::nothing() }, catalog))
}

/// Adds what the host knows to a description: its origin, and the name the user wants.
pub(super) fn complete(run: &Run<'_>, mut vm: VmSpec, label: &str, source: &SourceRef) -> VmSpec {
    let fetcher = label.split(' ').next().unwrap_or(label).to_owned();
    vm.origin.get_or_insert_with(|| Origin::new(fetcher, crate::config::secret::mask_uri(&source.uri)));
    if let Some(name) = &run.job.settings.name {
        vm.name.clone_from(name);
        vm.guessed.retain(|member| member != "name");
    }
    vm
}

/// The source of a command that has one.
pub(super) fn source(run: &Run<'_>) -> Result<SourceRef> {
    run.job.source().ok_or_else(|| PluginError::defect("this command has no source"))
}
