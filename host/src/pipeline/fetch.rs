//! FETCH: the plugin that knows the source describes the virtual machine and opens the way to its bytes.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{Origin, SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{Catalog, PluginError, Result, Transport};

use super::run::Run;

/// What FETCH found.
pub(super) struct Fetched {
    pub label: String,
    pub source: SourceRef,
    pub vm: VmSpec,
    /// `None`: a source without disks, such as a plain directory.
    pub transport: Option<Arc<dyn Transport>>,
}

/// The two faces of a source.
pub(super) struct Faces {
    pub label: String,
    pub catalog: Box<dyn Catalog>,
    pub transport: Option<Arc<dyn Transport>>,
}

/// Finds the plugin for a source and opens both its faces.
pub(super) fn open(run: &Run<'_>, source: &SourceRef) -> Result<Faces> {
    let fetcher = run.registry.fetcher(run.job.plugins.fetcher.as_deref(), source)?;
    let catalog = fetcher.stage.catalog(source)?.ok_or_else(|| {
        PluginError::missing(format!("the plugin {} only moves bytes and describes no machine", fetcher.label))
    })?;
    let transport = fetcher.stage.transport(source)?.map(Arc::from);
    Ok(Faces { label: fetcher.label, catalog, transport })
}

/// Describes the VM that a source names.
pub(super) fn fetch(run: &Run<'_>, source: SourceRef) -> Result<Fetched> {
    let faces = open(run, &source)?;
    let vm = complete(run, faces.catalog.describe()?, &faces.label, &source);
    Ok(Fetched { label: faces.label, source, vm, transport: faces.transport })
}

/// Adds what the host knows to a description: its origin, and the name the user wants.
pub(super) fn complete(run: &Run<'_>, mut vm: VmSpec, label: &str, source: &SourceRef) -> VmSpec {
    let fetcher = label.split(' ').next().unwrap_or(label).to_owned();
    vm.origin.get_or_insert_with(|| Origin { fetcher, uri: crate::config::secret::mask_uri(&source.uri) });
    if let Some(name) = &run.job.name {
        vm.name.clone_from(name);
        vm.guessed.retain(|member| member != "name");
    }
    vm
}
