//! Carrying out a plan in a running guest, all of it or nothing, and taking it back.
//!
//! `steps` says what is to be at which place, `script` is what the guest runs for that, `upload` brings it there, `obstacles` is what must not be
//! in the way, `journal` what became of a run. Everything is in the guest before the first step is made, and the steps are made there by a
//! script that does not end with the connection.

mod journal;
mod obstacles;
mod script;
mod steps;
mod upload;

use vmdk2kvm_plugin_api::model::{Applied, AppliedStatus, Change, RolledBack};
use vmdk2kvm_plugin_api::{Guest, Host, PluginError, Result};

use super::guest::LiveGuest;
use super::shell::Shell;
use journal::{State, settle};
use steps::Steps;

/// Rescue images with everything inside reach 200 MiB.
const IMAGE_LIMIT: u64 = 1 << 30;

/// Brings what a former run left half done to an end, before anybody looks at the guest.
pub(super) fn settle_former(shell: &Shell, host: &Host) -> Result<()> {
    settle(shell, host)
}

/// Carries out changes.
pub(super) fn apply_all(guest: &LiveGuest, changes: &[Change]) -> Result<Vec<Applied>> {
    let (shell, host) = (guest.shell.as_ref(), &guest.host);
    let steps = Steps::of(guest, changes)?;
    if steps.steps.is_empty() {
        return Ok(steps.statuses.iter().map(|status| Applied::new(*status)).collect());
    }
    let run = upload::name()?;
    upload::lock(shell, &run)?;
    let sent = obstacles::look(shell, &steps.steps).and_then(|()| upload::send(shell, host, &run, &steps.steps));
    if let Err(error) = sent {
        // Of a connection that is gone nothing can be asked, and the next run clears up.
        let _ = upload::forget(shell, &run);
        return Err(error);
    }
    host.progress("the guest is changed", 0, 0);
    upload::start(shell, &run)?;
    let state = journal::wait(shell, host, &run)?;
    guest.forget();
    match state {
        State::Finished => {}
        State::Undone => return Err(why(shell, &run, &steps)?),
        _ => {
            journal::whole(shell, journal::take_back(shell, &run, "undone")?)?;
            let message = format!("{}: the run {run} was ended in the guest before it was done", shell.address());
            return Err(PluginError::io(message)
                .hint("nothing is changed: all of it was taken back; run the same command again"));
        }
    }
    for check in &steps.checks {
        let image = guest.read(&check.path, IMAGE_LIMIT)?.unwrap_or_default();
        if let Err(error) = check.holds(&image) {
            journal::whole(shell, journal::take_back(shell, &run, "undone")?)?;
            return Err(error.hint("nothing is changed: all of it was taken back"));
        }
    }
    let kept = format!("the old files are kept in {} of the guest", script::folder(&run));
    let mut applied: Vec<Applied> = steps.statuses.iter().map(|status| Applied::new(*status)).collect();
    if let Some(first) = applied.iter_mut().find(|applied| applied.status == AppliedStatus::Done) {
        first.detail = kept;
    }
    Ok(applied)
}

/// Why a run did not finish; it has taken itself back.
fn why(shell: &Shell, run: &str, steps: &Steps) -> Result<PluginError> {
    let journal = journal::journal(shell, run)?;
    let failed = journal.iter().find_map(|line| line.strip_prefix("failed "));
    let (number, word) = failed.and_then(|rest| rest.split_once(' ')).unwrap_or_default();
    let step = number.parse::<usize>().ok().and_then(|number| steps.steps.get(number.checked_sub(1)?));
    let path = step.map_or("a file", |step| step.path.as_str());
    if word == "changed" {
        return Ok(PluginError::unusable(format!("{path}: not what it was when the change was planned"))
            .hint("nothing is changed; plan again"));
    }
    let errors = upload::errors(shell, run, number)?;
    let said = if errors.is_empty() { "nothing was said".to_owned() } else { errors };
    Ok(PluginError::unusable(format!("{path}: it cannot be changed: {said}"))
        .hint("nothing is changed: the steps before it were taken back"))
}

/// Takes back what the last run did.
pub(super) fn roll_back(shell: &Shell, host: &Host) -> Result<RolledBack> {
    settle(shell, host)?;
    let last = journal::runs(shell)?.into_iter().rev().find(|run| run.state != State::Undone);
    let Some(run) = last.filter(|run| run.state == State::Finished) else { return Ok(RolledBack::default()) };
    let lock = upload::name()?;
    upload::lock(shell, &lock)?;
    let taken_back = journal::take_back(shell, &run.name, "rolled-back");
    upload::unlock(shell, &lock)?;
    taken_back
}
