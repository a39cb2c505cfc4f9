//! The first look at a guest in a run that leaves images: a reader of flat views says in a moment whether anything is to be done to it, and
//! whether that may be done.
//!
//! The reader begins alone, because an appliance that is started for nothing costs many times its time. A disk at a distance takes it longer:
//! then the appliance starts beside it, so that no run waits for the look. Whoever is through first stops the other one, and what that saw
//! counts for nothing.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::{Inspection, Plan, PlanContext, VmSpec};

use super::direct::{self, Reader};
use super::disk::Disk;
use super::fetch::Fetched;
use super::plan;
use super::run::Run;
use crate::events::{Event, Stage, StageStatus};
use crate::worker::Failure;

/// How long the reader is alone: longer than a disk of this machine takes.
const ALONE: Duration = Duration::from_secs(1);

/// A guest that nothing is done to: it needs no change, gets none, or its plan forbids to go on.
pub(super) struct LeftAlone {
    inspection: Inspection,
    plan: Plan,
    /// Who read it.
    label: String,
    /// When it was begun, inspected and planned.
    times: [Instant; 3],
}

impl LeftAlone {
    /// Records the stages that were done, and tells everybody what was found. An error when the plan forbids to go on.
    pub fn tell(self, run: &Run<'_>, vm: &VmSpec) -> Result<(Inspection, Plan), Failure> {
        let [began, inspected, planned] = self.times;
        run.begin(Stage::Inspect, Some(&self.label)).since(began).end_at(inspected, StageStatus::Done, 0);
        let planning = run.begin(Stage::Plan, None).since(inspected);
        self.plan.findings.iter().for_each(|finding| run.services.events().emit(Event::Finding(finding.clone())));
        plan::refuse_blocked(run, vm, &self.plan).map_err(|error| Failure::new(Stage::Plan, error))?;
        planning.end_at(planned, StageStatus::Done, 0);
        let is_fixed = run.job.wants(Stage::Fix);
        run.pass_over(Stage::Fix, if is_fixed { StageStatus::Unchanged } else { StageStatus::Skipped });
        Ok((self.inspection, self.plan))
    }
}

/// Looks. `None` when anything is to be done or in doubt.
pub(super) fn look(
    run: &Run<'_>,
    fetched: &Fetched,
    disks: &[Disk],
    reader: &Reader,
    context: impl FnOnce(&Inspection) -> PlanContext,
) -> Option<LeftAlone> {
    let began = Instant::now();
    let mut opened = direct::read(run, fetched, disks, reader).ok()?;
    let (inspection, inspected) = (opened.inspection.clone(), Instant::now());
    let fixers = run.registry.fixers(inspection.os.family, false).ok()?;
    let plan = plan::plan(run, &fixers, &context(&inspection), None, opened.guest().ok()?).ok()?;
    opened.close().ok()?;
    let is_blocked = || plan::refuse_blocked(run, &fetched.vm, &plan).is_err();
    if run.job.wants(Stage::Fix) && !plan.changes.is_empty() && !is_blocked() {
        return None;
    }
    let times = [began, inspected, Instant::now()];
    Some(LeftAlone { inspection, plan, label: reader.label.clone(), times })
}

/// Who was through first.
pub(super) enum First<L, O, E> {
    /// The look, with the error of an opening that was stopped or could not be.
    Look(L, Option<E>),
    /// The opening.
    Open(Result<O, E>),
}

/// Looks on a thread of its own, and opens when the look finds something or takes long.
pub(super) fn first<L: Send, O, E>(
    run: &Run<'_>,
    reader: &Reader,
    look: impl FnOnce() -> Option<L> + Send,
    open: impl FnOnce() -> Result<O, E>,
) -> First<L, O, E> {
    let name = reader.label.split(' ').next().unwrap_or_default();
    let inspectors = run.registry.mere_inspectors();
    let mine = inspectors.iter().filter(|known| *known == name).cloned().collect();
    let (reading, opening) = (run.services.leash(mine), run.services.leash(inspectors));
    let (send, found) = sync_channel(1);
    std::thread::scope(|scope| {
        let opening = &opening;
        scope.spawn(move || {
            let found = run.services.in_silence(name, look);
            if found.is_some() {
                opening.stop();
            }
            // Nobody waits for it once the guest is open.
            let _ = send.send(found);
        });
        match found.recv_timeout(ALONE) {
            Ok(Some(found)) => return First::Look(found, None),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => return First::Open(open()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        match open() {
            Ok(opened) => {
                reading.stop();
                First::Open(Ok(opened))
            }
            Err(error) => match found.recv() {
                Ok(Some(found)) => First::Look(found, Some(error)),
                _ => First::Open(Err(error)),
            },
        }
    })
}
