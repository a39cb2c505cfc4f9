//! The commands that leave images: `migrate`, `apply`, `flatten`, `fix`, `convert`. They differ in the stages they ask for.
//!
//! Two things at once: the bulk copy runs in the background from the moment the chains are open; INSPECT, PLAN and FIX go on meanwhile on overlays
//! of the same disks. CONVERT begins when both are whole. Each finished step has a record, so that the same command continues after an
//! interruption.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{GuestFingerprint, Plan, PowerWish, Release, SourceRef, VmSummary};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::conclude::{self, document};
use super::convert::{self, COMMIT_BEGAN};
use super::copying::{self, Copied, CopyTask, Copying, Verify};
use super::deliver::Delivery;
use super::disk::{Disk, FinalDisk};
use super::fetch::Fetched;
use super::format::{OVERLAY, converts_files, final_format};
use super::guest_stages::GuestStages;
use super::hold::{self, Held};
use super::keys::{self, Keys};
use super::output::Output;
use super::paths::text;
use super::run::{Began, Run};
use super::summary::Summary;
use super::targets::{Drafts, Targets};
use super::{devices, fetch, finished, flatten, format, plan, resize, retest, saved_plan};
use crate::config::{Command, Input};
use crate::events::{Event, Stage, StageStatus};
use crate::machine::{Promises, decide};
use crate::report::{Report, SourceAfter, WarmRecord};
use crate::worker::Failure;

/// Runs one of the commands.
pub(super) fn migrate(run: &Run<'_>) -> Result<Value, Failure> {
    let saved = match &run.job.input {
        Input::Plan { path } => Some(saved_plan::read(path)?),
        _ => None,
    };
    let source = match &saved {
        Some((_, guest)) => saved_plan::source(guest),
        None => fetch::source(run)?,
    };
    let mut output = Output::prepare(run)?;
    run.services.set_folders(&output.folders(&source));
    output.refuse_work_of_another_kind(run.job)?;
    prepare(run, source, saved, &mut output).map_err(|failure| {
        let error = output.blame_full_disk(failure.error);
        output.abandon();
        Failure { error, ..failure }
    })
}

/// Describes the VM, takes what reading it needs, opens its disks, and goes.
fn prepare(
    run: &Run<'_>,
    source: SourceRef,
    saved: Option<(Plan, GuestFingerprint)>,
    output: &mut Output,
) -> Result<Value, Failure> {
    let (mut fetched, catalog) = run.stage(Stage::Fetch, |plugin| {
        let (fetched, catalog) = fetch::fetch(run, source)?;
        *plugin = Some(fetched.label.clone());
        Ok((fetched, catalog))
    })?;
    output.name_after(&fetched.vm.name);
    let output = &*output;
    check_plugins(run)?;
    hold::release_others(run, output, &fetched);
    let held = Held::take(run, catalog, &mut fetched, Some(output));
    let held = Mutex::new(held.map_err(|error| Failure::new(Stage::Fetch, error))?);
    let mut flattening = run.begin(Stage::Flatten, None);
    let plan = saved.as_ref().map(|(plan, _)| plan);
    let opened = run.check_cancelled().and_then(|()| open(run, &mut fetched, output, plan));
    let disks = opened.map_err(|error| Failure::new(Stage::Flatten, error))?;
    flattening.plugin = disks.iter().find_map(|disk| disk.plugin.clone());
    let keys = Keys::new(run, &fetched.vm, &disks, plan)?;
    Migration { run, fetched, disks, saved, keys, output, held, warm: None }.go(flattening)
}

/// What the last stages need is looked for before the first bytes are copied, not hours later.
pub(super) fn check_plugins(run: &Run<'_>) -> Result<(), Failure> {
    let converter = |format| run.registry.converter(run.job.settings.plugins.converter.as_deref(), format).map(drop);
    if run.job.wants(Stage::Inspect) {
        converter(OVERLAY).map_err(|error| Failure::new(Stage::Inspect, error))?;
    }
    if run.job.wants(Stage::Convert) && converts_files(run.job) {
        converter(run.job.settings.format.as_str()).map_err(|error| Failure::new(Stage::Convert, error))?;
    }
    if run.job.wants(Stage::Convert) && run.job.command.makes_machine() {
        Targets::warn_of_unknown(run);
        Targets::choose(run, &run.job.settings.targets).map_err(|error| Failure::new(Stage::Convert, error))?;
    }
    if run.job.wants(Stage::Test) {
        run.registry
            .tester(run.job.settings.test.plugin.as_deref())
            .map_err(|error| Failure::new(Stage::Test, error))?;
    }
    Ok(())
}

fn open(run: &Run<'_>, fetched: &mut Fetched, output: &Output, saved: Option<&Plan>) -> Result<Vec<Disk>> {
    let mut disks = flatten::open(run, fetched, Some(output))?;
    if disks.is_empty() {
        return Err(PluginError::unusable(format!("{} has no disks", crate::events::escape(&fetched.vm.name)))
            .hint("only `plan` and `inspect` work on a source without disks"));
    }
    match saved {
        Some(plan) => resize::grow(run, &saved_plan::resizes(plan, &fetched.vm), &mut fetched.vm, &mut disks)?,
        None => resize::grow(run, &run.job.settings.resize, &mut fetched.vm, &mut disks)?,
    }
    devices::assign(run, &mut disks)?;
    fetched.vm.findings.extend(devices::findings(&disks));
    Disk::note_state(&mut disks)?;
    Ok(disks)
}

/// A migration whose disks are open.
pub(super) struct Migration<'a, 'r> {
    pub run: &'a Run<'r>,
    pub fetched: Fetched,
    pub disks: Vec<Disk>,
    pub saved: Option<(Plan, GuestFingerprint)>,
    pub keys: Keys,
    pub output: &'a Output,
    pub held: Mutex<Held<'r>>,
    /// Its rounds, after which the working images are what is read: there is nothing to copy.
    pub warm: Option<WarmRecord>,
}

impl Migration<'_, '_> {
    /// Every stage behind the opening of the disks.
    pub fn go(&self, flattening: Began<'_>) -> Result<Value, Failure> {
        let run = self.run;
        if let Some(report) = finished::read(run.job, self.output, &self.keys, self.disks.len()) {
            self.release();
            flattening.end(StageStatus::Unchanged, 0);
            return self.leave(report);
        }
        if let Some((_, guest)) = &self.saved {
            let now: Vec<&str> = self.disks.iter().map(|disk| disk.before.as_str()).collect();
            saved_plan::refuse_changed(guest, &now)?;
        }
        let ours = self.promoted();
        let drafts = self.rehearse()?;
        let rendered = drafts.iter().flat_map(Drafts::names);
        let files = self.disks.iter().filter(|disk| disk.device.is_none()).map(|disk| disk.index);
        let refused = self.output.refuse_existing(run.job, files, rendered, &ours);
        refused.map_err(|error| self.tell_apart(error))?;
        let guest = self.guest_stages();
        self.forget_what_is_to_be_done_again(&guest)?;
        let mut tasks = self.tasks(&ours);
        let (mut data, mut nothing_to_copy) = (0u64, true);
        for task in tasks.iter_mut().filter(|task| !copying::is_finished(&self.output.records, task)) {
            task.data_bytes = copying::data_bytes(task.source.as_ref())?;
            if self.disks[task.index].device.is_none() {
                data = data.saturating_add(task.data_bytes);
            }
            nothing_to_copy = false;
        }
        let _claims = devices::claim(run, self.output, &self.disks, &ours)?;
        self.output.check_space(run.job, data)?;
        let of_disk = |task: &CopyTask| {
            let disk = &self.disks[task.index];
            Some((task.index, disk.files(), Arc::clone(&disk.way.as_ref()?.transport)))
        };
        let verify = Verify { files: tasks.iter().filter_map(of_disk).collect() };
        let mut copying = Copying::start(tasks, verify, self.output.records.clone(), run.services)?;
        let mut summary = Summary::new(&self.fetched, &self.disks, &self.keys);

        let fixed = guest.run(&copying, &mut summary);
        let (copied, over) = match (&fixed, copying.failed()) {
            // A guest that cannot be fixed stops the copy, unless the copy itself is what failed.
            (Err(_), false) => {
                drop(copying);
                (Ok(Copied::default()), Instant::now())
            }
            _ => copying.join(),
        };
        let bytes = copied.iter().flat_map(|copied| copied.disks.values()).map(|disk| disk.bytes_data).sum();
        let status = match &copied {
            Err(_) => StageStatus::Failed,
            Ok(_) if nothing_to_copy => StageStatus::Unchanged,
            Ok(_) => StageStatus::Done,
        };
        flattening.end_at(over, status, bytes);
        let copied = copied.map_err(|error| Failure::new(Stage::Flatten, error))?;
        summary.source_verified(&copied.verified.files);
        for finding in &copied.verified.findings {
            run.services.events().emit(Event::Finding(finding.clone()));
            plan::add_finding(&mut summary.findings, finding.clone());
        }
        let commit = fixed?;
        if run.job.settings.until < Stage::Convert {
            self.release();
            return Ok(document(&summary.report(run))?);
        }
        if !self.fetched.hold.frozen {
            summary.source_after(&self.disks).map_err(|error| Failure::new(Stage::Flatten, error))?;
        }
        // No byte of the source is read from here on; after rounds it may still be asked what changed, until all is delivered.
        if self.warm.is_none() {
            self.release();
        }
        let images = self.convert(commit, &ours)?;
        summary.warm = self.warm.clone().map(|warm| WarmRecord { source: self.source_after(), ..warm });
        let mut copied = copied.disks;
        let result = |(disk, image): (_, PathBuf)| FinalDisk { disk, image, copied: copied.remove(&disk.index) };
        let disks = self.disks.iter().zip(images).map(result).collect();
        let resumed = !ours.is_empty();
        let delivered =
            Delivery { run, vm: &self.fetched.vm, output: self.output, disks, resumed }.deliver(&mut summary);
        let is_delivered = delivered.as_ref().map_or_else(|failure| failure.result.is_some(), |_| true);
        if self.warm.is_some() && is_delivered {
            self.release();
            // As long as something was held the folder was kept.
            if !run.job.settings.keep_work && self.output.work.is_dir() {
                self.output.remove_work()?;
            }
        }
        delivered
    }

    /// The machine as its targets would write it as far as it is known before the guest was looked at: for the names of the files, and for a
    /// target that cannot write it at all. That is better known now than hours later.
    fn rehearse(&self) -> Result<Option<Drafts>> {
        let job = self.run.job;
        if !job.wants(Stage::Convert) || !job.command.makes_machine() {
            return Ok(None);
        }
        let format = job.settings.format.as_str();
        let decided = decide(&self.fetched.vm, None, &Promises::default(), format, &job.settings.machine);
        let mut machine = decided.machine;
        for (disk, source) in machine.disks.iter_mut().zip(&self.disks) {
            disk.image = text(&self.output.image(job, source))?;
            disk.format = final_format(job, source).to_owned();
            disk.size_bytes = source.size();
            disk.block_device = source.device.is_some();
        }
        Targets::choose(self.run, &job.settings.targets)?.render(&machine, &self.output.name).map(Some)
    }

    /// Gives back what is held at the source, which has been read.
    fn release(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).release(Release::Done);
    }

    /// What is left at the source after a cut-over; `None` where it cannot be asked any more.
    fn source_after(&self) -> Option<SourceAfter> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let power = held.catalog().power(PowerWish::Tell).ok()?;
        let vms = held.catalog().inventory().unwrap_or_default();
        let vm = &self.fetched.vm;
        let is_it = |found: &&VmSummary| found.vm.uuid == vm.uuid && (vm.uuid.is_some() || vms.len() == 1);
        Some(SourceAfter { power, snapshots: vms.iter().find(is_it).and_then(|found| found.snapshots) })
    }

    /// Ends a run that finds its result finished: at most the boot test is still to be passed.
    fn leave(&self, report: Report) -> Result<Value, Failure> {
        let passed = report.test.as_ref().is_some_and(|test| conclude::failure(test).is_none());
        let outcome = if self.run.job.wants(Stage::Test) && !passed {
            retest::again(self.run, &self.output.dir, report, &self.output.scratch)
        } else {
            let done = match self.run.job.command {
                Command::Migrate | Command::Apply => "this migration".to_owned(),
                other => format!("this `{}`", other.as_str()),
            };
            self.run.services.warn(format!("nothing to do: {done} was finished before"));
            document(&report).map_err(Failure::from)
        };
        if !self.run.job.settings.keep_work {
            self.output.remove_work()?;
        }
        outcome
    }

    /// Says of a name that is taken how what has it differs from what was to be made.
    fn tell_apart(&self, error: PluginError) -> PluginError {
        let difference = finished::difference(self.run.job, self.output, &self.keys, &self.fetched.source.uri);
        let Some(difference) = difference else { return error };
        let hint = error.hint.as_ref().map_or_else(|| difference.clone(), |hint| format!("{difference}; {hint}"));
        error.hint(hint)
    }

    /// The images that a former run of this job gave their final names; none when they are to be made again.
    fn promoted(&self) -> Vec<PathBuf> {
        match self.run.job.settings.from {
            Some(from) if from <= Stage::Convert => Vec::new(),
            _ => convert::promoted(self.output, &self.keys.images),
        }
    }

    fn guest_stages(&self) -> GuestStages<'_, '_> {
        GuestStages {
            run: self.run,
            fetched: &self.fetched,
            disks: &self.disks,
            output: self.output,
            key: &self.keys.fix,
            saved: self.saved.as_ref().map(|(plan, _)| plan),
        }
    }

    /// Drops the records that no longer count: those that `--from` names, and those of images that hold another job's fixes.
    fn forget_what_is_to_be_done_again(&self, guest: &GuestStages<'_, '_>) -> Result<()> {
        let records = &self.output.records;
        let from = self.run.job.settings.from.unwrap_or(Stage::Test);
        if from < Stage::Convert {
            guest.forget()?;
        }
        let committed = records.exists(COMMIT_BEGAN);
        let commit_counts = records.read::<()>(COMMIT_BEGAN, &self.keys.fix).is_some();
        let dirty = committed && !(guest.is_finished() && commit_counts);
        if dirty || from <= Stage::Flatten {
            for disk in &self.disks {
                records.remove(&copying::record_name(disk.index))?;
                self.output.part(self.run.job, disk).remove()?;
            }
            records.remove(COMMIT_BEGAN)?;
            if self.warm.is_some() {
                let message = "the images hold the fixes of a former cut-over with other settings or plugins";
                return Err(PluginError::new(ErrorKind::Temporary, message)
                    .hint("run the same command again: it copies the disks in full"));
            }
        }
        Ok(())
    }

    /// The disks that have no final image yet.
    fn unpromoted<'a>(&'a self, ours: &'a [PathBuf]) -> impl Iterator<Item = &'a Disk> + 'a {
        self.disks.iter().filter(move |disk| !ours.contains(&self.output.image(self.run.job, disk)))
    }

    fn tasks(&self, ours: &[PathBuf]) -> Vec<CopyTask> {
        let task = |disk: &Disk| CopyTask {
            index: disk.index,
            source: Arc::clone(&disk.source),
            target: self.output.part(self.run.job, disk),
            key: keys::of_copy(self.run, disk),
            data_bytes: 0,
        };
        if self.warm.is_some() { Vec::new() } else { self.unpromoted(ours).map(task).collect() }
    }

    /// CONVERT: the images under their final names.
    fn convert(&self, commit: bool, ours: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
        let run = self.run;
        run.stage(Stage::Convert, |plugin| {
            let must_convert = self.disks.iter().any(|disk| format::must_convert(run.job, disk));
            let format = if must_convert { run.job.settings.format.as_str() } else { OVERLAY };
            let converter = if commit || must_convert {
                let converter = run.registry.converter(run.job.settings.plugins.converter.as_deref(), format)?;
                *plugin = Some(converter.label.clone());
                Some(converter.stage)
            } else {
                None
            };
            let open = self.unpromoted(ours);
            if let (true, Some(converter)) = (commit, &converter) {
                convert::commit(run, self.output, open, converter.as_ref(), &self.keys.fix)?;
            }
            let converter = converter.filter(|_| must_convert);
            convert::finish(run, self.output, &self.disks, converter.as_deref(), &self.keys.images)
        })
    }
}
