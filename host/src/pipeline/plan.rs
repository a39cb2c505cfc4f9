//! PLAN: every fixer that understands the guest is asked in turn, over a guest on which the changes planned before are laid in memory.

use similar::TextDiff;
use vmdk2kvm_plugin_api::model::{Action, Change, Finding, GuestFingerprint, Plan, PlanContext, Severity, VmSpec};
use vmdk2kvm_plugin_api::{ErrorKind, Fixer, Guest, Overlay, PluginError, Result};

use super::resize;
use super::run::Run;
use crate::events::Stage;
use crate::machine::{Promises, decide};
use crate::plugins::Chosen;

/// No file that is planned to be changed is larger than this, in bytes.
const FILE_LIMIT: u64 = 64 << 20;
/// No fixer may ask for more changes than this.
const CHANGE_LIMIT: usize = 10_000;
/// Diffs of larger files are left out, in bytes.
const DIFF_LIMIT: usize = 1 << 20;

/// The fixers of a run.
pub(super) type Fixers = Vec<Chosen<Box<dyn Fixer>>>;

/// Asks every fixer. `guest` is only read.
pub(super) fn plan(
    run: &Run<'_>,
    fixers: &Fixers,
    context: &PlanContext,
    fingerprint: Option<GuestFingerprint>,
    guest: &dyn Guest,
) -> Result<Plan> {
    let planned = Overlay::new(guest);
    let mut plan = Plan::new(context.vm.clone(), context.inspection.clone()).with(|plan| plan.guest = fingerprint);
    context.vm.findings.iter().for_each(|finding| add_finding(&mut plan.findings, finding.clone()));
    let mut promises = Promises::of(Some(&context.inspection));
    for fixer in fixers {
        run.check_cancelled()?;
        let name = fixer.stage.name();
        let answer = fixer.stage.plan(context, &planned)?;
        if resize::will_fix(run) {
            promises.add(&answer);
        }
        let broken = |error: PluginError| {
            let mut error = error.context(format_args!("the fixer {name} returned an invalid change"));
            error.kind = ErrorKind::Defect;
            error.plugin = Some(fixer.label.clone());
            error
        };
        if answer.changes.len() > CHANGE_LIMIT {
            return Err(broken(PluginError::defect(format!("more than {CHANGE_LIMIT} changes"))));
        }
        for finding in answer.findings {
            add_finding(&mut plan.findings, finding);
        }
        for mut change in answer.changes {
            change.fixer.clone_from(&name);
            change.id = format!("c{}", plan.changes.len() + 1);
            change.diff = check(&change, &planned).map_err(broken)?;
            planned.apply(&change).map_err(broken)?;
            plan.changes.push(change);
        }
    }
    let format = run.job.settings.format.as_str();
    let decided = decide(&context.vm, Some(&context.inspection), &promises, format, &run.job.settings.machine);
    decided.findings.into_iter().for_each(|finding| add_finding(&mut plan.findings, finding));
    plan.machine = Some(decided.machine);
    Ok(plan)
}

/// A finding that was there already is not repeated: inspectors and fixers may notice the same.
pub(super) fn add_finding(findings: &mut Vec<Finding>, finding: Finding) {
    if !findings.iter().any(|known| known.code == finding.code && known.message == finding.message) {
        findings.push(finding);
    }
}

/// The error when a plan forbids to go on. A user who leaves the guest as it is (`--skip fix`) decides what that means for the guest; what
/// the description of the VM forbids stays forbidden.
pub(super) fn refuse_blocked(run: &Run<'_>, vm: &VmSpec, plan: &Plan) -> Result<()> {
    let as_it_is = run.job.settings.skip.contains(&Stage::Fix);
    let counts = |finding: &&Finding| !as_it_is || vm.findings.contains(finding);
    let mut blocking = plan.findings.iter().filter(|finding| finding.severity == Severity::Block).filter(counts);
    let Some(first) = blocking.next() else { return Ok(()) };
    let more = blocking.count();
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let error = PluginError::new(ErrorKind::Blocked, format!("the plan is blocked: {}{more}", first.message));
    Err(if first.hint.is_empty() { error } else { error.hint(first.hint.clone()) })
}

/// Checks a change against the guest it was planned for, and makes its diff where it is about text.
fn check(change: &Change, guest: &Overlay<'_>) -> Result<Option<String>> {
    match &change.action {
        Action::WriteFile { content, old_sha256, .. } => {
            let old = guest.read(&change.target, FILE_LIMIT)?;
            same(&change.target, old.as_deref(), old_sha256.as_deref())?;
            Ok(diff(&change.target, old.as_deref(), &content.to_bytes()?))
        }
        Action::Remove { old_sha256: Some(digest) } => {
            let old = guest.read(&change.target, FILE_LIMIT)?;
            same(&change.target, old.as_deref(), Some(digest))?;
            Ok(diff(&change.target, old.as_deref(), b""))
        }
        _ => Ok(None),
    }
}

fn same(target: &str, found: Option<&[u8]>, expected: Option<&str>) -> Result<()> {
    let found = found.map(sha256);
    if found.as_deref() == expected {
        return Ok(());
    }
    let show = |digest: Option<&str>| digest.map_or_else(|| "no file".to_owned(), |digest| format!("SHA-256 {digest}"));
    Err(PluginError::defect(format!("{target} is {}, the change expects {}", show(found.as_deref()), show(expected))))
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

/// A unified diff, or `None` when either side is no text or too large to be read by a person.
fn diff(target: &str, old: Option<&[u8]>, new: &[u8]) -> Option<String> {
    let text = |bytes: &'_ [u8]| {
        (bytes.len() <= DIFF_LIMIT && !bytes.contains(&0))
            .then(|| std::str::from_utf8(bytes).ok().map(str::to_owned))
            .flatten()
    };
    let (before, after) = (text(old.unwrap_or_default())?, text(new)?);
    let old_name = if old.is_some() { target } else { "/dev/null" };
    let new_name = if new.is_empty() { "/dev/null" } else { target };
    Some(TextDiff::from_lines(&before, &after).unified_diff().context_radius(2).header(old_name, new_name).to_string())
}
