//! What is said of a batch and its VMs: the content of `batch.json` and of `batch status --json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::ErrorKind;
use vmdk2kvm_plugin_api::model::Finding;

use super::record::{Attempt, Record, RoundsMade, State, now};
use super::request::Task;
use super::rows::{Batch, Vm};
use crate::events::{ErrorDocument, Stage, bytes, duration};
use crate::report::Tool;

/// Schema number of `batch.json`.
pub(super) const SCHEMA: u32 = 1;
/// The exit code of a batch of which some VMs failed.
pub(super) const SOME_FAILED: u8 = 82;

/// A batch, as `batch.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchEnd {
    /// Schema number.
    pub schema: u32,
    /// The program that wrote it.
    pub tool: Tool,
    /// JOBS as given.
    pub list: String,
    /// When it began, UTC, RFC 3339.
    pub started: String,
    /// When it ended, UTC, RFC 3339.
    pub finished: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// The exit code.
    pub exit_code: u8,
    /// How many VMs are in which state.
    pub totals: Totals,
    /// Things somebody should know of the list.
    pub warnings: Vec<String>,
    /// The VMs in the list's order.
    pub jobs: Vec<Job>,
}

/// How many VMs are in which state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// All of the list, or of the part that was asked for.
    pub total: usize,
    /// With their results, those that had them before among them.
    pub done: usize,
    /// That had their results before.
    pub already_done: usize,
    /// With rounds, that wait for their cut-over.
    #[serde(default)]
    pub ready: usize,
    /// That run.
    pub running: usize,
    /// Whose run ended without a word.
    pub lost: usize,
    /// That were not started yet, or wait to be tried again.
    pub waiting: usize,
    /// That failed.
    pub failed: usize,
    /// That were not started because something else failed.
    pub skipped: usize,
    /// Those that failed, by their exit code.
    pub by_code: BTreeMap<u8, usize>,
    /// Bytes that those are known to use that are not done.
    pub bytes_left: u64,
}

/// A VM of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name, that of its folder.
    pub name: String,
    /// Its source.
    pub source: String,
    /// Its folder; relative to the batch's where it lies in that.
    pub output: String,
    /// The group whose cut-over is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How far it is.
    pub state: State,
    /// Whether it had its result before this run.
    #[serde(default)]
    pub already_done: bool,
    /// The exit code of its last run.
    #[serde(default)]
    pub exit_code: Option<u8>,
    /// What ended that run.
    #[serde(default)]
    pub error: Option<ErrorDocument>,
    /// Where it is, or where it stopped.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// Bytes that are done of the copy.
    #[serde(default)]
    pub done_bytes: u64,
    /// Bytes of the copy in all; 0: not known.
    #[serde(default)]
    pub total_bytes: u64,
    /// Its rounds, where it is migrated in rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<RoundsMade>,
    /// How old the last round of one without a result is, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_age_seconds: Option<f64>,
    /// Bytes that it uses at its source; none: not known.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// The places that it is read from.
    pub keys: Vec<String>,
    /// Its runs, the last ones.
    pub attempts: Vec<Attempt>,
    /// What it warned of.
    pub warnings: Vec<String>,
    /// What its inventory and, after `--dry-run`, its plan say.
    pub findings: Vec<Finding>,
    /// How long ago this was said of one that runs, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<f64>,
}

impl Job {
    /// What is known of a VM.
    pub(super) fn of(batch: &Batch, vm: &Vm, record: Option<Record>, already_done: bool) -> Self {
        let record = record.unwrap_or_default();
        let state = record.state_now();
        let runs = matches!(state, State::Running | State::Lost);
        let open = record.rounds.as_ref().filter(|_| state != State::Done);
        let age = open.map(|rounds| (now() - rounds.finished).max(0.0));
        Self {
            name: vm.name.clone(),
            source: vm.source.clone(),
            output: vm.output.strip_prefix(&batch.dir).unwrap_or(&vm.output).display().to_string(),
            group: vm.group.clone(),
            state,
            already_done,
            exit_code: record.exit_code,
            error: record.error,
            stage: record.stage,
            done_bytes: record.done_bytes,
            total_bytes: record.total_bytes,
            rounds: record.rounds,
            round_age_seconds: age,
            bytes: vm.bytes,
            keys: vm.keys.clone(),
            attempts: record.attempts,
            warnings: record.warnings,
            findings: vm.findings.iter().cloned().chain(record.findings).collect(),
            silent_seconds: runs.then(|| (now() - record.updated).max(0.0)),
        }
    }

    /// What there is to say of it in a few words: what went wrong, and how old its last round is.
    pub fn message(&self) -> String {
        let error = self.error.as_ref().map(|error| error.message.clone());
        let rounds = self.rounds.as_ref().zip(self.round_age_seconds).map(|(rounds, age)| {
            let (moved, age) = (bytes(rounds.moved_bytes), duration(age));
            match rounds.count {
                1 => format!("1 round, {moved}, {age} ago"),
                count => format!("{count} rounds, the last one {moved}, {age} ago"),
            }
        });
        error.into_iter().chain(rounds).collect::<Vec<_>>().join("; ")
    }
}

impl Totals {
    /// Those of these VMs.
    pub fn of(jobs: &[Job]) -> Self {
        let mut totals = Self { total: jobs.len(), ..Self::default() };
        for job in jobs {
            let count = match job.state {
                State::Waiting => &mut totals.waiting,
                State::Running => &mut totals.running,
                State::Lost => &mut totals.lost,
                State::Ready => &mut totals.ready,
                State::Done => &mut totals.done,
                State::Failed => &mut totals.failed,
                State::Skipped => &mut totals.skipped,
            };
            *count += 1;
            totals.already_done += usize::from(job.already_done);
            if job.state == State::Failed {
                *totals.by_code.entry(job.exit_code.unwrap_or(1)).or_default() += 1;
            }
            if job.state != State::Done {
                totals.bytes_left = totals.bytes_left.saturating_add(job.bytes.unwrap_or(0));
            }
        }
        totals
    }

    /// The exit code of a batch that has ended with this task. Rounds are what a migration in rounds is to come to, and not what its cut-over is.
    pub(super) fn exit_code(&self, interrupted: bool, task: Task) -> u8 {
        let again = |code: &u8| matches!(*code, 74 | 75);
        let ready = if matches!(task, Task::CutOver { .. }) { 0 } else { self.ready };
        match self {
            _ if interrupted => ErrorKind::Interrupted.exit_code(),
            _ if self.done + ready == self.total => 0,
            _ if self.skipped == 0 && self.by_code.keys().all(again) => ErrorKind::Temporary.exit_code(),
            _ => SOME_FAILED,
        }
    }
}

impl BatchEnd {
    /// The error of a batch that did not end with 0, as every command has one.
    pub fn error(&self) -> Option<ErrorDocument> {
        // Whoever runs one VM wants to know what happened to that.
        let one = self.jobs.first().filter(|job| self.jobs.len() == 1 && job.exit_code == Some(self.exit_code));
        if let Some(error) = one.and_then(|job| job.error.clone()) {
            return Some(error);
        }
        let Totals { total, done, ready, failed, skipped, .. } = self.totals;
        let only_late = failed + skipped == 0 && ready > 0;
        let (kind, hint) = match self.exit_code {
            0 => return None,
            130 => ("interrupted", "the same command continues where this one stopped"),
            75 if only_late => ("temporary", "run the same command again in the next window"),
            75 => ("temporary", "a retry may help: run the same command again"),
            _ => ("batch", "their codes and messages are in batch.json; the same command tries them again"),
        };
        let message = match self.exit_code {
            130 => "interrupted".to_owned(),
            75 if only_late => format!("{ready} of {total} VMs still wait for their cut-over"),
            _ => format!("{} of {total} VMs failed", total - done - ready),
        };
        let hint = Some(hint.to_owned());
        Some(ErrorDocument { code: self.exit_code, kind: kind.to_owned(), message, hint, stage: None, plugin: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_to_do_next() {
        let of = |done: usize, codes: &[(u8, usize)], skipped: usize| Totals {
            total: done + skipped + codes.iter().map(|(_, count)| count).sum::<usize>(),
            done,
            skipped,
            by_code: codes.iter().copied().collect(),
            ..Totals::default()
        };
        let ready = |totals: Totals, ready: usize| Totals { ready, total: totals.total + ready, ..totals };
        let cut_over = Task::CutOver { window: None };
        for (totals, task, code) in [
            (ready(of(1, &[], 0), 2), Task::Migrate, 0),
            (ready(of(1, &[], 0), 2), cut_over, 75),
            (ready(of(1, &[(65, 1)], 0), 2), Task::Migrate, 82),
            (of(3, &[], 0), cut_over, 0),
        ] {
            assert_eq!(totals.exit_code(false, task), code, "{totals:?} {task:?}");
        }
        for (totals, interrupted, code) in [
            (of(3, &[], 0), false, 0),
            (of(3, &[(75, 1), (74, 2)], 0), false, 75),
            (of(3, &[(75, 1), (65, 1)], 0), false, 82),
            (of(0, &[(80, 1)], 0), false, 82),
            (of(1, &[(77, 1)], 4), false, 82),
            (of(3, &[(65, 1)], 0), true, 130),
        ] {
            assert_eq!(totals.exit_code(interrupted, Task::Migrate), code, "{totals:?}");
        }
    }
}
