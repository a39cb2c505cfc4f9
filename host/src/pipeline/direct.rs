//! INSPECT without an attached disk: by a plugin that reads the flat views themselves, before anything is exported.
//!
//! Such a reader is asked first for what only looks into a guest. "Cannot", at whatever time, is its last word: the guest is opened again from
//! the start, by an inspector that is given images.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{Finding, Inspection, OsFamily, Severity};
use vmdk2kvm_plugin_api::{ErrorKind, Inspector, PluginError};

use super::disk::Disk;
use super::fetch::Fetched;
use super::inspect::{self, OpenedGuest};
use super::run::Run;
use crate::config::GuestReader;
use crate::events::{Stage, StageStatus};
use crate::plugins::Chosen;
use crate::worker::Failure;

/// A plugin that reads flat views.
pub(super) type Reader = Chosen<Box<dyn Inspector>>;

/// Why no reader of flat views read the guest.
pub(super) struct Refused(String);

impl Refused {
    fn is_one(run: &Run<'_>, failure: &Failure) -> bool {
        failure.error.kind == ErrorKind::Cannot && run.job.settings.inspect.reader == GuestReader::Auto
    }

    /// The refusal in an error; any other error stays one.
    pub fn of(run: &Run<'_>, failure: Failure) -> Result<Self, Failure> {
        if !Self::is_one(run, &failure) {
            return Err(failure);
        }
        let who = failure.error.plugin.as_deref().map_or_else(String::new, |plugin| format!("{plugin}: "));
        let reason = format!("{who}{}", failure.error.message);
        tracing::info!(reason, "the guest is not read directly");
        Ok(Self(reason))
    }

    /// Says so among what was found.
    pub fn note(&self, inspection: &mut Inspection) {
        let message = format!("the guest was read by an appliance ({})", self.0);
        inspection.findings.push(Finding::new("read-by-appliance", Severity::Info, message));
    }
}

/// The guest as a reader of flat views opens it; `None` where there is none, or none is to be asked.
pub(super) fn open(run: &Run<'_>, fetched: &Fetched, disks: &[Disk]) -> Result<Option<OpenedGuest>, Failure> {
    let Some(reader) = reader(run, disks)? else { return Ok(None) };
    let began = run.begin(Stage::Inspect, Some(&reader.label));
    match read(run, fetched, disks, &reader) {
        Ok(opened) => {
            began.end(StageStatus::Done, 0);
            Ok(Some(opened))
        }
        Err(error) => {
            let failure = Failure::new(Stage::Inspect, error);
            // Another one does the stage.
            if Refused::is_one(run, &failure) {
                began.end(StageStatus::Skipped, 0);
            }
            Err(failure)
        }
    }
}

/// The reader of flat views that the job wants.
pub(super) fn reader(run: &Run<'_>, disks: &[Disk]) -> Result<Option<Reader>, Failure> {
    let settings = &run.job.settings;
    if disks.is_empty() || settings.inspect.reader == GuestReader::Appliance {
        return Ok(None);
    }
    let failed = |error| Failure::new(Stage::Inspect, error);
    let reader = run.registry.source_reader(settings.plugins.inspector.as_deref()).map_err(failed)?;
    if reader.is_none() && settings.inspect.reader == GuestReader::Native {
        return Err(failed(run.registry.no_source_reader()));
    }
    Ok(reader)
}

/// The guest as this reader opens it, of which nobody is told.
pub(super) fn read(
    run: &Run<'_>,
    fetched: &Fetched,
    disks: &[Disk],
    reader: &Reader,
) -> Result<OpenedGuest, PluginError> {
    let request = inspect::request(run, fetched, Vec::new(), false, run.private);
    let sources = disks.iter().map(|disk| Arc::clone(&disk.source)).collect();
    let opened = reader.stage.open_sources(&request, sources)?;
    // It is not the one to say that nobody knows it.
    match opened.inspection.os.family {
        OsFamily::Unknown => Err(PluginError::cannot("reading a system that it does not know")),
        _ => Ok(inspect::opened(fetched, opened)),
    }
}
