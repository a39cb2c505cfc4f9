//! INSPECT: opens the guest with all its disks attached, once; the same guest serves PLAN and FIX.

use vmdk2kvm_plugin_api::model::{AttachedDisk, Inspection, OpenGuest};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::fetch::Fetched;
use super::run::Run;
use crate::config::KeySource;
use crate::events::{Event, Stage, StageStatus};
use crate::plugins::SecretStore;
use crate::worker::Failure;

/// A guest that is open. Closed when dropped, so that no appliance is left behind.
pub(super) struct OpenedGuest {
    guest: Option<Box<dyn Guest>>,
    pub inspection: Inspection,
}

impl OpenedGuest {
    /// The guest.
    pub fn guest(&self) -> Result<&dyn Guest> {
        self.guest
            .as_deref()
            .ok_or_else(|| vmdk2kvm_plugin_api::PluginError::defect("the guest is used after it was closed"))
    }

    /// Writes everything out and lets go of the disks.
    pub fn close(&mut self) -> Result<()> {
        self.guest.take().map_or(Ok(()), |guest| guest.close())
    }
}

impl Drop for OpenedGuest {
    fn drop(&mut self) {
        // On the way out of a failure: that one is reported.
        let _ = self.close();
    }
}

/// Opens and inspects the guest.
pub(super) fn inspect(
    run: &Run<'_>,
    fetched: &Fetched,
    disks: Vec<AttachedDisk>,
    writable: bool,
    work_dir: &std::path::Path,
) -> Result<OpenedGuest, Failure> {
    let request = OpenGuest::new(fetched.vm.clone(), fetched.source.clone(), work_dir.to_string_lossy());
    let request = request.with(|request| {
        request.disks = disks;
        request.writable = writable;
        request.socket_dir = run.private.to_string_lossy().into_owned();
        request.keys = run.job.keys.iter().map(key).collect();
        request.root.clone_from(&run.job.root);
    });
    let failed = |error| Failure::new(Stage::Inspect, error);
    run.services.set_stage(Stage::Inspect);
    let inspector = run.registry.inspector(run.job.plugins.inspector.as_deref(), &request).map_err(failed)?;
    let began = run.begin(Stage::Inspect, Some(&inspector.label));
    let opened = run.check_cancelled().and_then(|()| inspector.stage.open(&request)).map_err(failed)?;
    began.end(StageStatus::Done, 0);
    for finding in &opened.inspection.findings {
        run.services.events().emit(Event::Finding(finding.clone()));
    }
    Ok(OpenedGuest { guest: Some(opened.guest), inspection: opened.inspection })
}

fn key(key: &KeySource) -> (String, String) {
    (key.selector.clone(), SecretStore::key_name(&key.selector))
}
