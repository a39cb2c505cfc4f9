//! `migrate --warm`: rounds until one is small. Run again it goes on with the next one.

use std::path::Path;

use serde_json::Value;
use vmdk2kvm_plugin_api::model::Release;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::remember::remember;
use super::round::{Brought, Round};
use super::state::Rounds;
use crate::config::Job;
use crate::events::escape;
use crate::pipeline::conclude::document;
use crate::pipeline::keys::Keys;
use crate::pipeline::migrate::check_plugins;
use crate::pipeline::output::Output;
use crate::pipeline::run::Run;
use crate::pipeline::summary::Summary;
use crate::pipeline::{convert, fetch};
use crate::report::{Report, RoundRecord, WarmRecord};
use crate::shell::quoted;
use crate::worker::Failure;

/// Runs the command.
pub(in crate::pipeline) fn migrate(run: &Run<'_>) -> Result<Value, Failure> {
    refuse_devices(run.job)?;
    let source = fetch::source(run)?;
    let mut output = Output::prepare(run)?;
    run.services.set_folders(&output.folders(&source));
    let ended = Rounds::read_or_refuse(&output, run.job).map_err(Failure::from).and_then(|mut rounds| {
        check_plugins(run)?;
        remember(run.job, &output.records)?;
        until_small(run, &mut output, &mut rounds)
    });
    let ended = ended.map_err(|failure| {
        let error = output.blame_full_disk(failure.error);
        Failure { error, ..failure }
    });
    output.abandon();
    Ok(document(&ended?)?)
}

/// Rounds write into files alone.
pub(super) fn refuse_devices(job: &Job) -> Result<()> {
    let Some(out) = job.settings.disk_out.first() else { return Ok(()) };
    let message = format!("disk {} cannot be written onto {} in rounds", escape(&out.disk), out.device.display());
    Err(PluginError::new(ErrorKind::Usage, message)
        .hint("leave --disk-out away: rounds write into files; or migrate in one go, without --warm"))
}

impl Rounds {
    /// The rounds of this folder; refused where it holds unfinished work of another kind, or a cut-over that has come to its images.
    fn read_or_refuse(output: &Output, job: &Job) -> Result<Self> {
        let rounds = Self::read(&output.records);
        output.refuse_work_of_another_kind(job)?;
        convert::refuse_promoted(output)?;
        Ok(rounds)
    }
}

fn until_small(run: &Run<'_>, output: &mut Output, rounds: &mut Rounds) -> Result<Report, Failure> {
    let settings = &run.job.settings.warm;
    for left in (0..settings.rounds).rev() {
        let round = Round { run, source: fetch::source(run)?, number: rounds.next(), last: false };
        let mut brought = round.go(rounds, output, |output, fetched, disks| {
            output.refuse_existing(run.job, 0..fetched.vm.disks.len().max(disks.len()), std::iter::empty(), &[])
        })?;
        brought.held.release(Release::Round);
        let last = rounds.done.last().is_some_and(|done| is_small(run.job, done));
        if left == 0 || last {
            return report(run, output, rounds, brought);
        }
    }
    Err(vmdk2kvm_plugin_api::PluginError::defect("no round was asked for").into())
}

/// Whether a round is small enough to be the last one of a run.
fn is_small(job: &Job, round: &RoundRecord) -> bool {
    let settings = &job.settings.warm;
    let by_time = settings.small_seconds.is_some_and(|seconds| round.seconds < seconds as f64);
    round.round > 0 && (round.moved_bytes < settings.small_mib << 20 || by_time)
}

fn report(run: &Run<'_>, output: &Output, rounds: &Rounds, brought: Brought<'_>) -> Result<Report, Failure> {
    let Brought { fetched, mut disks, states, .. } = brought;
    for (disk, state) in disks.iter_mut().zip(&states) {
        disk.before = state.print();
    }
    let keys = Keys::new(run, &fetched.vm, &disks, None)?;
    let mut summary = Summary::new(&fetched, &disks, &keys);
    summary.warm = Some(WarmRecord {
        rounds: rounds.done.clone(),
        next: Some(next(run.job, &output.dir)),
        ..WarmRecord::default()
    });
    Ok(summary.report(run))
}

/// The command that ends the migration, as a shell takes it.
fn next(job: &Job, dir: &Path) -> String {
    let mut command = format!("vmdk2kvm cutover {}", quoted(&dir.to_string_lossy()));
    if let Some(work) = &job.settings.work_dir {
        command.push_str(&format!(" --work-dir {}", quoted(&work.to_string_lossy())));
    }
    command
}
