//! FIX: applies the plan through the guest, change by change, and plans again: nothing may be left.

use vmdk2kvm_plugin_api::model::{AppliedStatus, Change, Plan, PlanContext};
use vmdk2kvm_plugin_api::{ErrorKind, Guest, PluginError, Result};

use super::plan::{self, Fixers};
use super::run::Run;
use crate::report::{ChangeRecord, ChangeStatus};

/// What FIX did.
pub(super) struct Fixed {
    pub changes: Vec<ChangeRecord>,
    pub converged: bool,
}

/// Applies every change. A critical one that fails stops the run; another becomes a warning.
pub(super) fn apply(run: &Run<'_>, plan: &Plan, guest: &dyn Guest) -> Result<Vec<ChangeRecord>> {
    let mut records = Vec::with_capacity(plan.changes.len());
    for change in &plan.changes {
        run.check_cancelled()?;
        run.services.step(change.action.kind());
        let record = match guest.apply(change) {
            Ok(applied) if applied.status == AppliedStatus::Failed => {
                failed(run, change, PluginError::new(ErrorKind::Unusable, applied.detail))?
            }
            Ok(applied) => ChangeRecord {
                change: change.clone(),
                status: ChangeStatus::from(applied.status),
                detail: applied.detail,
            },
            Err(error) => failed(run, change, error)?,
        };
        records.push(record);
    }
    Ok(records)
}

fn failed(run: &Run<'_>, change: &Change, error: PluginError) -> Result<ChangeRecord> {
    run.check_cancelled()?;
    let error = error.context(format_args!("{} ({})", change.summary, change.target));
    if change.critical {
        return Err(error);
    }
    run.services.warn(format!("not done: {error}"));
    Ok(ChangeRecord { change: change.clone(), status: ChangeStatus::Failed, detail: error.message })
}

/// Plans again on the guest as it is now. What is left is a warning: the report says that the plan did not converge.
pub(super) fn converge(
    run: &Run<'_>,
    fixers: &Fixers,
    context: &PlanContext,
    guest: &dyn Guest,
    changes: Vec<ChangeRecord>,
) -> Result<Fixed> {
    run.services.step("plan again");
    let again = plan::plan(run, fixers, context, None, guest)?;
    for change in &again.changes {
        run.services.warn(format!(
            "not settled: after the fixes, {} would still change ({}, from {})",
            change.summary, change.target, change.fixer
        ));
    }
    Ok(Fixed { changes, converged: again.changes.is_empty() })
}
