//! INSPECT, PLAN and FIX, on overlays of the disks, beside the bulk copy. What they did is remembered once the overlays are
//! durable, so that a later run goes on with the commit.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::PluginError;
use vmdk2kvm_plugin_api::model::{Inspection, Plan, PlanContext, Severity};

use super::attach::{self, Attached};
use super::copying::Copying;
use super::direct;
use super::disk::Disk;
use super::fetch::Fetched;
use super::fix;
use super::format::OVERLAY;
use super::inspect::{self, OpenedGuest};
use super::output::Output;
use super::plan::{self, Fixers};
use super::resize;
use super::run::Run;
use super::summary::Summary;
use crate::config::GuestReader;
use crate::events::{Event, Stage, StageStatus};
use crate::journal::{StageKey, output_error};
use crate::report::ChangeRecord;
use crate::worker::Failure;

/// Name of the record of a finished FIX.
pub(super) const FIX: &str = "fix";

/// What a finished FIX is remembered by.
#[derive(Serialize, Deserialize)]
struct FixRecord {
    inspection: Inspection,
    plan: Plan,
    changes: Vec<ChangeRecord>,
    converged: Option<bool>,
}

/// What the three stages work on.
pub(super) struct GuestStages<'a, 'r> {
    pub run: &'a Run<'r>,
    pub fetched: &'a Fetched,
    pub disks: &'a [Disk],
    pub output: &'a Output,
    pub key: &'a StageKey,
    /// A plan that is carried out instead of a new one.
    pub saved: Option<&'a Plan>,
}

impl GuestStages<'_, '_> {
    /// Whether a former run finished FIX.
    pub fn is_finished(&self) -> bool {
        self.output.records.read::<FixRecord>(FIX, self.key).is_some()
    }

    /// Forgets what a former run did.
    pub fn forget(&self) -> Result<(), PluginError> {
        self.output.records.remove(FIX)
    }

    /// Runs the stages that the job asks for. Returns whether there is something to commit.
    pub fn run(&self, copying: &Copying, summary: &mut Summary) -> Result<bool, Failure> {
        if !self.run.job.wants(Stage::Inspect) {
            return Ok(false);
        }
        if let Some(record) = self.output.records.read::<FixRecord>(FIX, self.key) {
            for stage in [Stage::Inspect, Stage::Plan, Stage::Fix] {
                self.run.pass_over(stage, StageStatus::Unchanged);
            }
            return Ok(self.take_over(record, summary));
        }
        if let Some(record) = self.nothing_to_do() {
            self.output.records.write(FIX, self.key, &record)?;
            return Ok(self.take_over(record, summary));
        }
        let attached = self.attach()?;
        // The source's own failure, seen by the appliance as a broken disk, is the one to report.
        let record = self.mend(&attached, copying, summary);
        let record = match attached.source_error() {
            Some(error) => Err(Failure::new(Stage::Flatten, error)),
            None => record,
        };
        drop(attached);
        let Some(record) = record? else { return Ok(false) };
        for index in 0..self.disks.len() {
            let path = attach::overlay_path(&self.output.work, index);
            let synced = std::fs::File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(|error| Failure::new(Stage::Fix, output_error(path.display(), &error)))?;
        }
        self.output.records.write(FIX, self.key, &record)?;
        Ok(self.take_over(record, summary))
    }

    /// Puts what is remembered into the summary. Returns whether there is something to commit.
    fn take_over(&self, record: FixRecord, summary: &mut Summary) -> bool {
        resize::warn(self.run, self.disks, &record.plan);
        let commit = !record.changes.is_empty();
        summary.inspection = Some(record.inspection);
        summary.findings = record.plan.findings;
        summary.changes = record.changes;
        summary.converged = record.converged;
        summary.machine = record.plan.machine;
        commit
    }

    /// The stages of a guest that needs no change, as a reader of flat views finds it: then no appliance is started. `None` when anything is
    /// to be done or in doubt; an appliance then looks at all of it, and what was seen here counts for nothing.
    fn nothing_to_do(&self) -> Option<FixRecord> {
        let (run, began) = (self.run, Instant::now());
        let asked = run.job.settings.inspect.reader == GuestReader::Auto && run.job.wants(Stage::Fix);
        if !asked || self.saved.is_some() {
            return None;
        }
        let reader = direct::reader(run, self.disks).ok()??;
        let mut opened = direct::read(run, self.fetched, self.disks, &reader).ok()?;
        let (inspection, inspected) = (opened.inspection.clone(), Instant::now());
        let fixers = run.registry.fixers(inspection.os.family, false).ok()?;
        let plan = plan::plan(run, &fixers, &self.context(&inspection), None, opened.guest().ok()?).ok()?;
        opened.close().ok()?;
        let is_blocked = plan.findings.iter().any(|finding| finding.severity == Severity::Block);
        if is_blocked || !plan.changes.is_empty() {
            return None;
        }
        let planned = Instant::now();
        run.begin(Stage::Inspect, Some(&reader.label)).since(began).end_at(inspected, StageStatus::Done, 0);
        run.begin(Stage::Plan, None).since(inspected).end_at(planned, StageStatus::Done, 0);
        plan.findings.iter().for_each(|finding| run.services.events().emit(Event::Finding(finding.clone())));
        run.pass_over(Stage::Fix, StageStatus::Unchanged);
        Some(FixRecord { inspection, plan, changes: Vec::new(), converged: Some(true) })
    }

    fn attach(&self) -> Result<Attached, Failure> {
        let converter = self.run.registry.converter(self.run.job.settings.plugins.converter.as_deref(), OVERLAY);
        converter
            .and_then(|converter| {
                attach::attach(self.disks, &self.output.work, self.run.private, converter.stage.as_ref())
            })
            .map_err(|error| Failure::new(Stage::Inspect, error))
    }

    /// The stages themselves, on one open guest. `None` when the job ends before PLAN.
    fn mend(
        &self,
        attached: &Attached,
        copying: &Copying,
        summary: &mut Summary,
    ) -> Result<Option<FixRecord>, Failure> {
        let run = self.run;
        let writable = run.job.wants(Stage::Fix);
        let disks = attached.disks.clone();
        let request = inspect::request(run, self.fetched, disks, writable, &self.output.scratch);
        let mut opened = inspect::inspect(run, self.fetched, &request, &attached.sources)?;
        inspect::tell(run, &opened.inspection);
        let inspection = opened.inspection.clone();
        summary.inspection = Some(inspection.clone());
        summary.findings.extend(inspection.findings.iter().cloned());
        if !run.job.wants(Stage::Plan) {
            opened.close().map_err(|error| Failure::new(Stage::Inspect, error))?;
            return Ok(None);
        }
        let fixers =
            run.registry.fixers(inspection.os.family, false).map_err(|error| Failure::new(Stage::Plan, error))?;
        let plan = run.stage(Stage::Plan, |_| {
            let seen = self.fetched.vm.findings.iter().chain(&inspection.findings);
            let plan = match self.saved {
                // It was made on another day.
                Some(plan) => plan.clone().with(|plan| {
                    seen.clone().for_each(|finding| plan::add_finding(&mut plan.findings, finding.clone()));
                }),
                None => plan::plan(run, &fixers, &self.context(&inspection), None, opened.guest()?)?,
            };
            let new = plan.findings.iter().filter(|finding| !seen.clone().any(|known| known == *finding));
            new.for_each(|finding| run.services.events().emit(Event::Finding(finding.clone())));
            plan::refuse_blocked(run, &self.fetched.vm, &plan)?;
            Ok(plan)
        })?;
        summary.findings.clone_from(&plan.findings);
        let record = FixRecord { inspection, plan, changes: Vec::new(), converged: None };
        if !writable {
            run.pass_over(Stage::Fix, StageStatus::Skipped);
            opened.close().map_err(|error| Failure::new(Stage::Plan, error))?;
            return Ok(Some(record));
        }
        self.fix(record, &mut opened, &fixers, copying).map(Some)
    }

    /// What the fixers are told.
    fn context(&self, inspection: &Inspection) -> PlanContext {
        PlanContext::new(self.fetched.vm.clone(), inspection.clone())
            .with(|context| context.grown = resize::grown(self.disks))
    }

    fn fix(
        &self,
        mut record: FixRecord,
        opened: &mut OpenedGuest,
        fixers: &Fixers,
        copying: &Copying,
    ) -> Result<FixRecord, Failure> {
        let run = self.run;
        run.stage(Stage::Fix, |_| {
            if copying.failed() {
                // The copy's own error is the one to report.
                return Err(PluginError::interrupted());
            }
            let guest = opened.guest()?;
            let changes = fix::apply(run, &record.plan, guest)?;
            let fixed = fix::converge(run, fixers, &self.context(&record.inspection), guest, changes)?;
            // A guest that nothing was wrong with stays as it is, to the last bit.
            if !fixed.changes.is_empty() {
                run.services.step("discard");
                guest.discard_unused()?;
            }
            // The overlay is whole only when the appliance has let go of it.
            run.services.step("close");
            opened.close()?;
            (record.changes, record.converged) = (fixed.changes, Some(fixed.converged));
            Ok(record)
        })
    }
}
