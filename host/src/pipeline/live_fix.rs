//! The command `live-fix`: PLAN and FIX in a guest that runs, without a copy of anything. This is the one command that writes to a source, and
//! only with the user's word for it.

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::{Applied, OpenGuest, Plan, PlanContext};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::fetch::{self, Fetched};
use super::fix;
use super::inspect::{self, OpenedGuest};
use super::plan::{self, Fixers};
use super::run::Run;
use crate::events::{Event, Stage, StageStatus};
use crate::report::{ChangeRecord, ChangeStatus};
use crate::worker::Failure;

/// `live-fix SOURCE --live`.
pub(super) fn fix(run: &Run<'_>) -> Result<Value, Failure> {
    let (fetched, request) = reach(run)?;
    let mut opened = inspect::inspect(run, &fetched, &request, &[]).map_err(|unopened| unopened.failure)?;
    inspect::tell(run, &opened.inspection);
    let inspection = opened.inspection.clone();
    if !inspection.live {
        return Err(Failure::new(Stage::Inspect, no_running_guest(&fetched)));
    }
    let failed = |error| Failure::new(Stage::Plan, error);
    let fixers = run.registry.fixers(inspection.os.family, true).map_err(failed)?;
    let context = PlanContext::new(fetched.vm.clone(), inspection.clone()).with(|context| context.live = true);
    let plan = run.stage(Stage::Plan, |_| {
        let plan = plan::plan(run, &fixers, &context, None, opened.guest()?)?;
        let new = plan.findings.iter().filter(|finding| !inspection.findings.contains(finding));
        new.for_each(|finding| run.services.events().emit(Event::Finding(finding.clone())));
        Ok(plan)
    })?;
    let not_done = || plan.changes.iter().map(|change| record(change, ChangeStatus::NotDone, "")).collect();
    plan::refuse_blocked(run, &fetched.vm, &plan)
        .and_then(|()| run.check_cancelled())
        .map_err(|error| Failure { result: document(run, &plan, not_done(), None).ok(), ..failed(error) })?;
    let done = run.stage(Stage::Fix, |_| carry_out(run, &plan, &fixers, &context, &mut opened));
    match done {
        Ok(fixed) => Ok(document(run, &plan, fixed.changes, Some(fixed.converged))?),
        Err(failure) => Err(Failure { result: document(run, &plan, not_done(), None).ok(), ..failure }),
    }
}

/// `live-fix SOURCE --live --rollback`.
pub(super) fn roll_back(run: &Run<'_>) -> Result<Value, Failure> {
    let (_, request) = reach(run)?;
    [Stage::Inspect, Stage::Plan].into_iter().for_each(|stage| run.pass_over(stage, StageStatus::Skipped));
    run.stage(Stage::Fix, |plugin| {
        let wanted = run.job.settings.plugins.inspector.as_deref();
        let inspectors = run.registry.inspectors(wanted, &request, &[])?;
        let inspector = inspectors.into_iter().next().ok_or_else(|| PluginError::defect("there is no inspector"))?;
        *plugin = Some(inspector.label.clone());
        let taken_back = inspector.stage.roll_back(&request)?;
        for left in &taken_back.left {
            run.services.warn(format!("left as it is: {}: {}", left.path, left.reason));
        }
        Ok(json!({ "rollback": taken_back }))
    })
}

/// The guest where it runs; with the user's word alone is it even asked.
fn reach(run: &Run<'_>) -> Result<(Fetched, OpenGuest), Failure> {
    if !run.job.settings.source.live {
        let error = PluginError::new(ErrorKind::Blocked, "live-fix changes a running guest, and that was not allowed")
            .hint("say --live to allow it; `vmdk2kvm plan` with the same source shows what would be changed");
        return Err(error.into());
    }
    let source = fetch::source(run)?;
    let fetched = run.stage(Stage::Fetch, |plugin| {
        let (fetched, _) = fetch::fetch(run, source)?;
        *plugin = Some(fetched.label.clone());
        if fetched.vm.disks.is_empty() { Ok(fetched) } else { Err(no_running_guest(&fetched)) }
    })?;
    let request = inspect::request(run, &fetched, Vec::new(), true, run.private).with(|request| request.live = true);
    Ok((fetched, request))
}

fn no_running_guest(fetched: &Fetched) -> PluginError {
    let source = crate::config::secret::mask_uri(&fetched.source.uri);
    PluginError::new(ErrorKind::Usage, format!("{source}: not a guest that runs"))
        .hint("name a running guest, e.g. ssh://root@HOST; disks are fixed by `migrate`, and plain images by `fix`")
}

/// All changes or none, and then the plan again, which must be empty.
fn carry_out(
    run: &Run<'_>,
    plan: &Plan,
    fixers: &Fixers,
    context: &PlanContext,
    opened: &mut OpenedGuest,
) -> Result<fix::Fixed> {
    let guest = opened.guest()?;
    let applied = if plan.changes.is_empty() { Vec::new() } else { guest.apply_all(&plan.changes)? };
    let records = plan
        .changes
        .iter()
        .zip(applied)
        .map(|(change, Applied { status, detail, .. })| record(change, ChangeStatus::from(status), &detail));
    let fixed = fix::converge(run, fixers, context, guest, records.collect())?;
    opened.close()?;
    Ok(fixed)
}

fn record(change: &vmdk2kvm_plugin_api::model::Change, status: ChangeStatus, detail: &str) -> ChangeRecord {
    ChangeRecord { change: change.clone(), status, detail: detail.to_owned() }
}

/// The plan, with what became of each change.
fn document(run: &Run<'_>, plan: &Plan, changes: Vec<ChangeRecord>, converged: Option<bool>) -> Result<Value> {
    let mut value = serde_json::to_value(plan).map_err(|error| PluginError::defect(error.to_string()))?;
    value["changes"] = json!(changes);
    value["converged"] = json!(converged);
    value["stages"] = json!(run.records());
    Ok(value)
}
