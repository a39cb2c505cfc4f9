//! INSPECT, PLAN and FIX, on overlays of the disks, beside the bulk copy. What they did is remembered once the overlays are
//! durable, so that a later run goes on with the commit.

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::PluginError;
use vmdk2kvm_plugin_api::model::{Inspection, Plan, PlanContext};

use super::attach::{self, Attached};
use super::copying::Copying;
use super::direct;
use super::disk::Disk;
use super::fetch::Fetched;
use super::first_look::{self, First, LeftAlone};
use super::fix;
use super::format::OVERLAY;
use super::inspect::{self, OpenedGuest, Unopened};
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

/// How the stages begin.
enum Begun {
    /// Nothing is done to the guest.
    LeftAlone(Box<LeftAlone>),
    /// The guest is open.
    Opened(Attached, Box<OpenedGuest>),
}

impl Begun {
    fn opened((attached, opened): (Attached, OpenedGuest)) -> Self {
        Self::Opened(attached, Box::new(opened))
    }
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
        let (attached, opened) = match self.begin()? {
            Begun::LeftAlone(guest) => {
                let (inspection, plan) = guest.tell(self.run, &self.fetched.vm)?;
                let converged = self.run.job.wants(Stage::Fix).then_some(true);
                let record = FixRecord { inspection, plan, changes: Vec::new(), converged };
                self.output.records.write(FIX, self.key, &record)?;
                return Ok(self.take_over(record, summary));
            }
            Begun::Opened(attached, opened) => (attached, opened),
        };
        // The source's own failure, seen by the appliance as a broken disk, is the one to report.
        let record = self.mend(*opened, copying, summary);
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

    /// Opens the guest, unless a reader of flat views finds that nothing is to be done to it.
    fn begin(&self) -> Result<Begun, Failure> {
        let settings = &self.run.job.settings.inspect;
        let asked = settings.reader == GuestReader::Auto && self.run.job.wants(Stage::Plan) && self.saved.is_none();
        let reader = if asked { direct::reader(self.run, self.disks).ok().flatten() } else { None };
        let Some(reader) = reader else {
            return self.open().map(Begun::opened).map_err(|unopened| unopened.failure);
        };
        let look = || first_look::look(self.run, self.fetched, self.disks, &reader, |found| self.context(found));
        match first_look::first(self.run, &reader, look, || self.open()) {
            First::Look(guest, unopened) => {
                if let Some(unopened) = unopened {
                    unopened.pass_over();
                }
                Ok(Begun::LeftAlone(Box::new(guest)))
            }
            First::Open(opened) => opened.map(Begun::opened).map_err(|unopened| unopened.failure),
        }
    }

    /// Attaches the disks, and opens the guest on them.
    fn open(&self) -> Result<(Attached, OpenedGuest), Box<Unopened<'_>>> {
        let run = self.run;
        let converter = run.registry.converter(run.job.settings.plugins.converter.as_deref(), OVERLAY);
        let attached = converter
            .and_then(|converter| attach::attach(self.disks, &self.output.work, run.private, converter.stage.as_ref()))
            .map_err(Unopened::new)?;
        let disks = attached.disks.clone();
        let request = inspect::request(run, self.fetched, disks, run.job.wants(Stage::Fix), &self.output.scratch);
        match inspect::inspect(run, self.fetched, &request, &attached.sources) {
            Ok(opened) => Ok((attached, opened)),
            Err(mut unopened) => {
                if let Some(error) = attached.source_error() {
                    unopened.failure = Failure::new(Stage::Flatten, error);
                }
                Err(unopened)
            }
        }
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

    /// The stages themselves, on one open guest. `None` when the job ends before PLAN.
    fn mend(
        &self,
        mut opened: OpenedGuest,
        copying: &Copying,
        summary: &mut Summary,
    ) -> Result<Option<FixRecord>, Failure> {
        let run = self.run;
        let writable = run.job.wants(Stage::Fix);
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
