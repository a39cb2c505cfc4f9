//! TEST: boots a throw-away copy of the result and waits for evidence.

use std::path::Path;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{CreateOverlay, Inspection, Machine, TestRequest};

use super::format::OVERLAY;
use super::output::EVIDENCE;
use super::paths::{remove_if_there, text};
use super::run::Run;
use crate::events::Stage;
use crate::journal::create_private_folder;
use crate::report::TestRecord;
use crate::worker::Failure;

/// What is tested.
pub(super) struct Subject<'a> {
    /// The machine with its images.
    pub machine: &'a Machine,
    pub inspection: Option<&'a Inspection>,
    /// The output folder.
    pub dir: &'a Path,
    /// Takes the overlays.
    pub work: &'a Path,
}

/// Runs the boot test.
pub(super) fn test(run: &Run<'_>, subject: &Subject<'_>) -> Result<TestRecord, Failure> {
    run.stage(Stage::Test, |plugin| {
        let tester = run.registry.tester(run.job.test.plugin.as_deref())?;
        *plugin = Some(tester.label.clone());
        let evidence = subject.dir.join(EVIDENCE);
        create_private_folder(&evidence)?;
        let overlays = Overlays::make(run, subject)?;
        let request = TestRequest::new(
            overlays.machine.clone(),
            text(&evidence)?,
            text(subject.work)?,
            run.private.to_string_lossy(),
        );
        let verdict = tester.stage.test(&request.with(|request| {
            request.inspection = subject.inspection.cloned();
            request.timeout_seconds = run.job.test.timeout_seconds;
            request.expect = run.job.test.expect.clone();
        }))?;
        Ok(TestRecord { plugin: tester.label, verdict })
    })
}

/// The machine on throw-away overlays of its images. Dropping it removes them.
struct Overlays {
    machine: Machine,
}

impl Overlays {
    fn make(run: &Run<'_>, subject: &Subject<'_>) -> Result<Self> {
        let converter = run.registry.converter(run.job.plugins.converter.as_deref(), OVERLAY)?;
        let mut overlays = Self { machine: subject.machine.clone() };
        for (number, disk) in (1..).zip(&mut overlays.machine.disks) {
            let overlay = subject.work.join(format!("test-{number}.{OVERLAY}"));
            remove_if_there(&overlay)?;
            let overlay = text(&overlay)?;
            converter.stage.create_overlay(&CreateOverlay::new(
                &overlay,
                &disk.image,
                &disk.format,
                disk.size_bytes,
            ))?;
            disk.image = overlay;
            disk.format = OVERLAY.to_owned();
        }
        Ok(overlays)
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        let overlays = self.machine.disks.iter().filter(|disk| disk.format == OVERLAY);
        // What is left lies in the run's own folder, which the next run empties.
        overlays.for_each(|disk| _ = std::fs::remove_file(&disk.image));
    }
}
