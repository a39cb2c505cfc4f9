//! The commands that leave images: `migrate`, `apply`, `flatten`, `fix`, `convert`. They differ in the stages they ask for.
//!
//! Two rivers: the bulk copy runs in the background from the moment the chains are open; INSPECT, PLAN and FIX go on meanwhile on overlays
//! of the same disks. CONVERT begins when both are whole. Each finished step has a record, so that the same command continues after an
//! interruption.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vmdk2kvm_plugin_api::model::{GuestFingerprint, Inspection, Plan};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::attach::OVERLAY_FORMAT;
use super::convert::{self, COMMIT_BEGAN, must_convert, working_format};
use super::fetch::Fetched;
use super::flatten::FlatDisk;
use super::output::{Output, remove_if_there};
use super::rivers::{self, Copied, CopyTask, Copying, Verify};
use super::run::{Began, Run};
use super::summary::Summary;
use super::{attach, fetch, fix, flatten, inspect, look, plan, saved_plan, test};
use crate::config::{Command, Input};
use crate::events::{Stage, StageStatus};
use crate::journal::{StageKey, write_file};
use crate::report::{ChangeRecord, Report};
use crate::target::libvirt::{domain_xml, unmapped_networks};
use crate::worker::Failure;

/// Name of the record of a finished FIX.
const FIX: &str = "fix";

/// What a finished FIX is remembered by.
#[derive(Serialize, Deserialize)]
struct FixRecord {
    inspection: Inspection,
    plan: Plan,
    changes: Vec<ChangeRecord>,
    converged: Option<bool>,
}

/// Runs one of the commands.
pub(super) fn migrate(run: &Run<'_>) -> Result<Value, Failure> {
    let saved = match &run.job.input {
        Input::Plan { path } => Some(saved_plan::read(path)?),
        _ => None,
    };
    let source = match &saved {
        Some((_, guest)) => saved_plan::source(guest),
        None => look::source(run)?,
    };
    let mut fetched = run.stage(Stage::Fetch, |plugin| {
        let fetched = fetch::fetch(run, source)?;
        *plugin = Some(fetched.label.clone());
        Ok(fetched)
    })?;
    let mut flattening = run.begin(Stage::Flatten, None);
    let opened = run.check_cancelled().and_then(|()| open(run, &mut fetched));
    let (disks, before) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            run.end(flattening, StageStatus::Failed, 0);
            return Err(Failure::new(Stage::Flatten, error));
        }
    };
    flattening.plugin = disks.iter().find_map(|disk| disk.plugin.clone());
    let keys = Keys::new(run, &fetched, &disks, &before, saved.as_ref().map(|(plan, _)| plan));
    let output = Output::prepare(run.job, &fetched.vm.name)?;
    let mut migration = Migration { run, fetched, disks, before, saved, keys, output };
    let outcome = migration.go(flattening);
    if outcome.is_err() {
        migration.output.abandon();
    }
    outcome
}

fn open(run: &Run<'_>, fetched: &mut Fetched) -> Result<(Vec<FlatDisk>, Vec<String>)> {
    let disks = flatten::open(run, &mut fetched.vm, fetched.transport.as_ref())?;
    if disks.is_empty() {
        return Err(PluginError::unusable(format!("{} has no disks", crate::events::escape(&fetched.vm.name)))
            .hint("only `plan` and `inspect` work on a source without disks"));
    }
    let before = look::fingerprints(&disks, fetched.transport.as_deref())?;
    Ok((disks, before))
}

/// The keys of the stages: what they depend on.
struct Keys {
    copy: Vec<StageKey>,
    fix: StageKey,
    job: StageKey,
}

impl Keys {
    fn new(run: &Run<'_>, fetched: &Fetched, disks: &[FlatDisk], before: &[String], saved: Option<&Plan>) -> Self {
        let format = working_format(run).as_str();
        let copy = disks
            .iter()
            .zip(before)
            .map(|(disk, print)| StageKey::new(&["copy", format, print, disk.plugin.as_deref().unwrap_or_default()]));
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        let vm = json(serde_json::to_string(&fetched.vm));
        let settings = json(serde_json::to_string(&(&run.job.plugin, &run.job.plugins, &run.job.keys, &run.job.skip)));
        let changes = json(serde_json::to_string(&saved.map(|plan| &plan.changes)));
        let mut parts = vec!["fix", format, vm.as_str(), settings.as_str(), changes.as_str(), run.job.command.as_str()];
        parts.extend(before.iter().map(String::as_str));
        let fix = StageKey::new(&parts);
        let target = json(serde_json::to_string(&(&run.job.target, run.job.format, run.job.compress)));
        let job = StageKey::new(&["job", fix.as_str(), &target]);
        Self { copy: copy.collect(), fix, job }
    }
}

struct Migration<'a, 'r> {
    run: &'a Run<'r>,
    fetched: Fetched,
    disks: Vec<FlatDisk>,
    before: Vec<String>,
    saved: Option<(Plan, GuestFingerprint)>,
    keys: Keys,
    output: Output,
}

impl Migration<'_, '_> {
    fn go(&mut self, flattening: Began) -> Result<Value, Failure> {
        let run = self.run;
        if let Some(report) = self.finished()? {
            run.end(flattening, StageStatus::Unchanged, 0);
            self.output.remove_work()?;
            return Ok(report);
        }
        if let Some((_, guest)) = &self.saved {
            saved_plan::refuse_changed(guest, &self.before)?;
        }
        let ours = convert::promoted(&self.output, &self.keys.job);
        self.output.refuse_existing(run.job, self.disks.len(), &ours)?;
        self.forget_what_is_to_be_done_again()?;
        let all_promoted = ours.len() == self.disks.len();
        let tasks = if all_promoted { Vec::new() } else { self.tasks() };
        let missing: Vec<&FlatDisk> = tasks
            .iter()
            .filter(|task| rivers::finished(&self.output.records, task).is_none())
            .map(|task| &self.disks[task.index])
            .collect();
        self.output.check_space(&missing)?;
        let nothing_to_copy = missing.is_empty();
        let verify = Verify {
            files: tasks.iter().flat_map(|task| self.disks[task.index].files()).collect(),
            transport: self.fetched.transport.clone(),
        };
        let mut copying = Copying::start(tasks, verify, self.output.records.clone(), run.services)?;
        let key = self.keys.job.as_str().to_owned();
        let mut summary = Summary::new(&self.fetched.vm, &self.fetched.source.uri, &self.disks, &self.before, &key);

        let fixed = self.guest_river(&copying, &mut summary);
        let copied = match (&fixed, copying.failed()) {
            // A guest that cannot be fixed stops the copy, unless the copy itself is what failed.
            (Err(_), false) => {
                drop(copying);
                Ok(Vec::new())
            }
            _ => copying.join(),
        };
        let bytes = copied.as_ref().map_or(0, |copied| copied.iter().map(|disk: &Copied| disk.bytes_data).sum());
        let status = match &copied {
            Err(_) => StageStatus::Failed,
            Ok(_) if nothing_to_copy => StageStatus::Unchanged,
            Ok(_) => StageStatus::Done,
        };
        run.end(flattening, status, bytes);
        copied.map_err(|error| Failure::new(Stage::Flatten, error))?;
        let commit = fixed?;
        if run.job.until < Stage::Convert {
            return document(&summary.report(run));
        }
        let after = look::fingerprints(&self.disks, self.fetched.transport.as_deref())?;
        summary.source_after(&after).map_err(|error| Failure::new(Stage::Flatten, error))?;
        let images = self.convert(commit)?;
        self.deliver(&mut summary, &images)
    }

    /// The report of a former run that did exactly this, with its images in place.
    fn finished(&self) -> Result<Option<Value>> {
        if self.run.job.from.is_some() {
            return Ok(None);
        }
        let Ok(text) = std::fs::read(self.output.dir.join("report.json")) else { return Ok(None) };
        let Ok(report) = serde_json::from_slice::<Report>(&text) else { return Ok(None) };
        let whole = report.images.len() == self.disks.len()
            && report.images.iter().all(|image| self.output.dir.join(&image.path).is_file());
        let tested =
            !self.run.job.wants(Stage::Test) || report.test.as_ref().is_some_and(|test| test::failure(test).is_none());
        if !whole || report.key.as_deref() != Some(self.keys.job.as_str()) || !tested {
            return Ok(None);
        }
        self.run.services.warn("nothing to do: this migration was finished before");
        serde_json::to_value(&report).map(Some).map_err(|error| PluginError::defect(error.to_string()))
    }

    /// Drops the records that no longer count: those that `--from` names, and those of images that hold another job's fixes.
    fn forget_what_is_to_be_done_again(&self) -> Result<()> {
        let records = &self.output.records;
        let from = self.run.job.from.unwrap_or(Stage::Test);
        if from < Stage::Convert {
            records.remove(FIX)?;
        }
        let committed = self.output.work.join(format!("{COMMIT_BEGAN}.json")).exists();
        let fix_counts = records.read::<FixRecord>(FIX, &self.keys.fix).is_some();
        let commit_counts = records.read::<()>(COMMIT_BEGAN, &self.keys.fix).is_some();
        let dirty = committed && !(fix_counts && commit_counts);
        if dirty || from <= Stage::Flatten {
            for index in 0..self.disks.len() {
                records.remove(&rivers::record_name(index))?;
                remove_if_there(&self.output.part(index))?;
            }
            records.remove(COMMIT_BEGAN)?;
        }
        Ok(())
    }

    fn tasks(&self) -> Vec<CopyTask> {
        let task = |(index, disk): (usize, &FlatDisk)| CopyTask {
            index,
            source: std::sync::Arc::clone(&disk.source),
            part: self.output.part(index),
            format: working_format(self.run),
            key: self.keys.copy[index].clone(),
        };
        self.disks.iter().enumerate().map(task).collect()
    }

    /// INSPECT, PLAN and FIX on overlays. Returns whether there is something to commit.
    fn guest_river(&self, copying: &Copying, summary: &mut Summary) -> Result<bool, Failure> {
        let run = self.run;
        if !run.job.wants(Stage::Inspect) {
            return Ok(false);
        }
        if let Some(record) = self.output.records.read::<FixRecord>(FIX, &self.keys.fix) {
            for stage in [Stage::Inspect, Stage::Plan, Stage::Fix] {
                run.pass_over(stage, StageStatus::Unchanged);
            }
            let commit = !record.changes.is_empty();
            self.take_over(record, summary);
            return Ok(commit);
        }
        let converter = run
            .registry
            .converter(run.job.plugins.converter.as_deref(), OVERLAY_FORMAT)
            .map_err(|error| Failure::new(Stage::Inspect, error))?;
        let attached = attach::attach(&self.disks, &self.output.work, converter.stage.as_ref())
            .map_err(|error| Failure::new(Stage::Inspect, error))?;
        // The source's own failure, seen by the appliance as a broken disk, is the one to report.
        let blame =
            |failure: Failure| attached.source_error().map_or(failure, |error| Failure::new(Stage::Flatten, error));
        let writable = run.job.wants(Stage::Fix);
        let mut opened = inspect::inspect(run, &self.fetched.vm, attached.disks.clone(), writable, &self.output.work)
            .map_err(blame)?;
        let inspection = opened.inspection.clone();
        summary.inspection = Some(inspection.clone());
        summary.findings.clone_from(&inspection.findings);
        if !run.job.wants(Stage::Plan) {
            opened.close().map_err(|error| blame(Failure::new(Stage::Inspect, error)))?;
            return Ok(false);
        }
        let fixers = run.registry.fixers(inspection.os.family).map_err(|error| Failure::new(Stage::Plan, error))?;
        let plan = run.stage(Stage::Plan, |_| {
            let plan = match &self.saved {
                Some((plan, _)) => plan.clone(),
                None => plan::plan(run, &fixers, &self.fetched.vm, &inspection, None, opened.guest()?)?,
            };
            plan::refuse_blocked(&plan)?;
            Ok(plan)
        });
        let plan = plan.map_err(blame)?;
        summary.findings.clone_from(&plan.findings);
        let mut record = FixRecord { inspection, plan, changes: Vec::new(), converged: None };
        if run.job.wants(Stage::Fix) {
            let fixed = run.stage(Stage::Fix, |_| {
                if copying.failed() {
                    return Err(PluginError::interrupted());
                }
                let guest = opened.guest()?;
                let changes = fix::apply(run, &record.plan, guest)?;
                let fixed = fix::converge(run, &fixers, &self.fetched.vm, &record.inspection, guest, changes)?;
                // The overlay is whole only when the appliance has let go of it.
                opened.close()?;
                Ok(fixed)
            });
            let fixed = fixed.map_err(blame)?;
            (record.changes, record.converged) = (fixed.changes, Some(fixed.converged));
        } else {
            run.pass_over(Stage::Fix, StageStatus::Skipped);
            opened.close().map_err(|error| blame(Failure::new(Stage::Plan, error)))?;
        }
        if let Some(error) = attached.source_error() {
            return Err(Failure::new(Stage::Flatten, error));
        }
        drop(attached);
        for index in 0..self.disks.len() {
            sync(&attach::overlay_path(&self.output.work, index))?;
        }
        self.output.records.write(FIX, &self.keys.fix, &record)?;
        let commit = !record.changes.is_empty();
        self.take_over(record, summary);
        Ok(commit)
    }

    fn take_over(&self, record: FixRecord, summary: &mut Summary) {
        summary.inspection = Some(record.inspection);
        summary.findings = record.plan.findings;
        summary.changes = record.changes;
        summary.converged = record.converged;
    }

    /// CONVERT: the images under their final names.
    fn convert(&self, commit: bool) -> Result<Vec<PathBuf>, Failure> {
        let run = self.run;
        run.stage(Stage::Convert, |plugin| {
            let format = if must_convert(run) { run.job.format.as_str() } else { OVERLAY_FORMAT };
            let converter = if commit || must_convert(run) {
                let converter = run.registry.converter(run.job.plugins.converter.as_deref(), format)?;
                *plugin = Some(converter.label.clone());
                Some(converter.stage)
            } else {
                None
            };
            let promoted = convert::promoted(&self.output, &self.keys.job).len() == self.disks.len();
            if let (true, false, Some(converter)) = (commit, promoted, &converter) {
                convert::commit(run, &self.output, self.disks.len(), converter.as_ref(), &self.keys.fix)?;
            }
            let converter = converter.filter(|_| must_convert(run));
            convert::finish(run, &self.output, self.disks.len(), converter.as_deref(), &self.keys.job)
        })
    }

    /// Everything beside the images: the domain, the boot test, the digests, the report.
    fn deliver(&self, summary: &mut Summary, images: &[PathBuf]) -> Result<Value, Failure> {
        let run = self.run;
        let sizes: Vec<u64> = self.disks.iter().map(|disk| disk.source.size().next_multiple_of(512)).collect();
        let has_domain = matches!(run.job.command, Command::Migrate | Command::Apply);
        let domain = if has_domain {
            let domain = self.domain(summary, images, &sizes)?;
            write_file(&self.output.domain(), domain.as_bytes())?;
            domain
        } else {
            String::new()
        };
        // The digests are read while the guest boots: both only look at the images.
        let (records, tested) = std::thread::scope(|scope| {
            let digests = scope.spawn(|| super::digests::records(run, &self.output.dir, images, &sizes));
            let tested = if run.job.wants(Stage::Test) {
                test::test(
                    run,
                    &test::Subject {
                        vm: &self.fetched.vm,
                        inspection: summary.inspection.as_ref(),
                        images,
                        sizes: &sizes,
                        format: run.job.format.as_str(),
                        domain_xml: &domain,
                        dir: &self.output.dir,
                        work: &self.output.work,
                    },
                )
                .map(Some)
            } else {
                Ok(None)
            };
            (digests.join().unwrap_or_else(|_| Err(PluginError::defect("the digest thread panicked"))), tested)
        });
        summary.images = records.map_err(|error| Failure::new(Stage::Convert, error))?;
        summary.test = tested?;
        let report = if has_domain || run.job.command == Command::Fix {
            self.write_plan(summary)?;
            summary.write_report(run, &self.output)?
        } else {
            summary.report(run)
        };
        if !run.job.keep_work {
            self.output.remove_work()?;
        }
        let document = document(&report)?;
        match summary.test.as_ref().and_then(test::failure) {
            Some(failure) => Err(Failure { result: Some(document), ..failure }),
            None => Ok(document),
        }
    }

    fn domain(&self, summary: &Summary, images: &[PathBuf], sizes: &[u64]) -> Result<String> {
        let format = self.run.job.format.as_str();
        let final_images = super::test::final_images(images, sizes, format)?;
        let (vm, options) = (&self.fetched.vm, &self.run.job.target);
        for network in unmapped_networks(vm, options) {
            self.run.services.warn(format!(
                "the network {} has no counterpart in `target.networks`: its cards go to the network `default`",
                crate::events::escape(&network)
            ));
        }
        domain_xml(vm, summary.inspection.as_ref(), &final_images, options)
    }

    /// What was changed, as `plan --out` would have written it.
    fn write_plan(&self, summary: &Summary) -> Result<()> {
        let Some(inspection) = summary.inspection.clone() else { return Ok(()) };
        let plan = Plan {
            schema: 1,
            vm: self.fetched.vm.clone(),
            inspection,
            findings: summary.findings.clone(),
            changes: summary.changes.iter().map(|record| record.change.clone()).collect(),
            guest: None,
        };
        let text = serde_json::to_vec_pretty(&plan).map_err(|error| PluginError::defect(error.to_string()))?;
        write_file(&self.output.dir.join("plan.json"), &text)
    }
}

fn sync(path: &std::path::Path) -> Result<()> {
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| PluginError::from_io(path.display(), &error))
}

fn document(report: &Report) -> Result<Value, Failure> {
    serde_json::to_value(report).map_err(|error| PluginError::defect(error.to_string()).into())
}
