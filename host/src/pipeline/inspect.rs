//! INSPECT: opens the guest with all its disks attached, once; the same guest serves PLAN and FIX.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{AttachedDisk, Finding, Inspection, OpenGuest, OsFamily, Severity};
use vmdk2kvm_plugin_api::{BlockSource, Guest, Inspector, Opened, PluginError, Result};

use super::fetch::Fetched;
use super::run::{Began, Run};
use crate::config::KeySource;
use crate::events::{Event, Stage, StageStatus};
use crate::plugins::{Chosen, SecretStore};
use crate::worker::Failure;

/// A guest that is open. Closed when dropped, so that no appliance is left behind.
pub(super) struct OpenedGuest {
    guest: Option<Box<dyn Guest>>,
    pub inspection: Inspection,
}

impl OpenedGuest {
    /// The guest.
    pub fn guest(&self) -> Result<&dyn Guest> {
        self.guest.as_deref().ok_or_else(|| PluginError::defect("the guest is used after it was closed"))
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

/// What inspectors are asked.
pub(super) fn request(
    run: &Run<'_>,
    fetched: &Fetched,
    disks: Vec<AttachedDisk>,
    writable: bool,
    work_dir: &std::path::Path,
) -> OpenGuest {
    let request = OpenGuest::new(fetched.vm.clone(), fetched.source.clone(), work_dir.to_string_lossy());
    request.with(|request| {
        request.disks = disks;
        request.writable = writable;
        request.socket_dir = run.private.to_string_lossy().into_owned();
        request.keys = run.job.settings.keys.iter().map(key).collect();
        request.root.clone_from(&run.job.settings.root);
    })
}

/// A guest that could not be opened. The stage has failed once this is dropped.
pub(super) struct Unopened<'r> {
    /// Why.
    pub failure: Failure,
    began: Option<Began<'r>>,
}

impl<'r> Unopened<'r> {
    /// One of this error.
    pub fn new(error: PluginError) -> Box<Self> {
        Box::new(Self { failure: Failure::new(Stage::Inspect, error), began: None })
    }

    /// Says that somebody else did the stage.
    pub fn pass_over(self) {
        if let Some(began) = self.began {
            began.end(StageStatus::Skipped, 0);
        }
    }
}

/// Opens and inspects the guest.
pub(super) fn inspect<'r>(
    run: &'r Run<'_>,
    fetched: &Fetched,
    request: &OpenGuest,
    sources: &[Arc<dyn BlockSource>],
) -> Result<OpenedGuest, Box<Unopened<'r>>> {
    run.services.set_stage(Stage::Inspect);
    let wanted = run.job.settings.plugins.inspector.as_deref();
    let mut inspectors = run.registry.inspectors(wanted, request, sources).map_err(Unopened::new)?;
    inspectors.reverse();
    let mut began = run.begin(Stage::Inspect, inspectors.last().map(|inspector| inspector.label.as_str()));
    match open_first(run, inspectors, request, &mut began.plugin) {
        Ok(opened) => {
            began.end(StageStatus::Done, 0);
            Ok(self::opened(fetched, opened))
        }
        Err(error) => Err(Box::new(Unopened { began: Some(began), ..*Unopened::new(error) })),
    }
}

/// An open guest, with what is to be said when no system was found on its disks.
pub(super) fn opened(fetched: &Fetched, mut opened: Opened) -> OpenedGuest {
    if opened.inspection.os.family == OsFamily::Unknown && !fetched.vm.disks.is_empty() {
        opened.inspection.findings.push(no_system(opened.inspection.sealed));
    }
    OpenedGuest { guest: Some(opened.guest), inspection: opened.inspection }
}

/// Tells everybody what was found.
pub(super) fn tell(run: &Run<'_>, inspection: &Inspection) {
    for finding in &inspection.findings {
        run.services.events().emit(Event::Finding(finding.clone()));
    }
}

/// The guest as the first of the inspectors, taken from the end, that recognises its system opens it; as the last one when none does.
fn open_first(
    run: &Run<'_>,
    mut inspectors: Vec<Chosen<Box<dyn Inspector>>>,
    request: &OpenGuest,
    plugin: &mut Option<String>,
) -> Result<Opened> {
    while let Some(inspector) = inspectors.pop() {
        run.check_cancelled()?;
        *plugin = Some(inspector.label.clone());
        let opened = inspector.stage.open(request)?;
        if opened.inspection.os.family != OsFamily::Unknown || inspectors.is_empty() {
            return Ok(opened);
        }
        opened.guest.close()?;
    }
    Err(PluginError::defect("there is no inspector"))
}

fn no_system(sealed: bool) -> Finding {
    if sealed {
        let message =
            "the system cannot be changed: it is moved as it is, to a machine with what every system can drive";
        return Finding::new("no-system", Severity::Warn, message)
            .hint("test that it boots; where its makers have an image for this hypervisor, take that");
    }
    let message = "no system that a plugin here knows was found on the disks";
    Finding::new("no-system", Severity::Block, message).hint(
        "give all disks of the VM, and the keys of its encrypted volumes; for another system install its plugin, or move it as it is with --skip fix",
    )
}

fn key(key: &KeySource) -> (String, String) {
    (key.selector.clone(), SecretStore::key_name(&key.selector))
}
