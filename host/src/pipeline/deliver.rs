//! What is made once the images have their final names: the targets' files, the boot test, the digests, the plan, the report.

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{Machine, Plan, VmSpec};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::disk::FinalDisk;
use super::finished;
use super::format::{final_format, must_convert};
use super::output::Output;
use super::paths::text;
use super::run::Run;
use super::summary::Summary;
use super::targets::{Place, Targets};
use super::test::{self, Subject, Tested};
use super::{conclude, digests};
use crate::config::Command;
use crate::events::{Event, Stage};
use crate::journal::write_file;
use crate::machine::{Promises, ask_again, decide};
use crate::report::TargetRecord;
use crate::worker::Failure;

/// A result whose images are in place.
pub(super) struct Delivery<'a, 'r> {
    pub run: &'a Run<'r>,
    pub vm: &'a VmSpec,
    pub output: &'a Output,
    pub disks: Vec<FinalDisk<'a>>,
    /// A former run of this job came as far as this.
    pub resumed: bool,
}

impl Delivery<'_, '_> {
    /// Makes everything, and removes the work folder: the last step of a run.
    pub fn deliver(&self, summary: &mut Summary) -> Result<Value, Failure> {
        self.output.records.fence().check()?;
        let job = self.run.job;
        if job.command.makes_machine() {
            let machine = self.machine(summary)?;
            summary.targets = self.define(&machine, &[], summary)?;
            summary.machine = Some(machine);
        }
        // The digests are read while the guest boots: both only look at the images.
        let (records, tested) = std::thread::scope(|scope| {
            let records = || match self.is_copy() {
                true => digests::of_copies(self.run, &self.output.dir, &self.disks),
                false => digests::records(self.run, &self.output.dir, &self.disks),
            };
            let digests = scope.spawn(records);
            let tested = job.wants(Stage::Test).then(|| self.test(summary)).transpose();
            (digests.join().unwrap_or_else(|_| Err(PluginError::defect("the digest thread panicked"))), tested)
        });
        summary.images = records.map_err(|error| Failure::new(Stage::Convert, error))?;
        if let Some(tested) = tested? {
            if let Some(lesser) = tested.lesser {
                summary.targets = self.define(&lesser.machine, &summary.targets.clone(), summary)?;
                summary.machine = Some(lesser.machine);
                summary.findings.push(lesser.finding);
            }
            summary.test = Some(tested.record);
        }
        let report = if job.command.makes_machine() || job.command == Command::Fix {
            self.write_plan(summary)?;
            summary.write_report(self.run, self.output)?
        } else {
            let report = summary.report(self.run);
            finished::remember(self.run.job, self.output, &report);
            report
        };
        if !job.settings.keep_work {
            self.output.remove_work()?;
        }
        conclude::conclude(&report)
    }

    /// Writes the machine down for the job's targets. `ours` was written before.
    fn define(&self, machine: &Machine, ours: &[TargetRecord], summary: &mut Summary) -> Result<Vec<TargetRecord>> {
        let drafts = Targets::choose(self.run, &self.run.job.settings.targets)?.render(machine, &self.output.name)?;
        let dir = self.output.dir.as_path();
        // A former run of this job had found the names free.
        let all = if self.resumed { drafts.records() } else { ours.to_vec() };
        drafts.write(self.run, &Place { dir, ours: &all }, &mut summary.findings)
    }

    /// Whether every image is as it was copied.
    fn is_copy(&self) -> bool {
        let job = self.run.job;
        let is_copy = |made: &FinalDisk<'_>| made.copied.is_some() && !must_convert(job, made.disk);
        matches!(job.command, Command::Flatten | Command::Convert) && self.disks.iter().all(is_copy)
    }

    fn test(&self, summary: &Summary) -> Result<Tested, Failure> {
        let machine = summary.machine.as_ref();
        let machine = machine.ok_or_else(|| PluginError::defect("a boot test without a machine"))?;
        let (dir, work) = (&self.output.dir, &self.output.scratch);
        test::test(self.run, &Subject { machine, inspection: summary.inspection.as_ref(), dir, work })
    }

    /// The new machine with its images.
    fn machine(&self, summary: &mut Summary) -> Result<Machine> {
        let job = self.run.job;
        let format = job.settings.format.as_str();
        let (mut machine, findings) = match summary.machine.take() {
            // A saved plan has a machine, of which this job may want something else.
            Some(mut machine) if job.command == Command::Apply => {
                let findings = ask_again(&mut machine, summary.inspection.as_ref(), &job.settings.machine);
                (machine, findings)
            }
            Some(machine) => (machine, Vec::new()),
            None => {
                let promises = Promises::of(summary.inspection.as_ref());
                let decided = decide(self.vm, summary.inspection.as_ref(), &promises, format, &job.settings.machine);
                (decided.machine, decided.findings)
            }
        };
        for finding in findings.into_iter().filter(|finding| !summary.findings.contains(finding)).collect::<Vec<_>>() {
            self.run.services.events().emit(Event::Finding(finding.clone()));
            summary.findings.push(finding);
        }
        // A plan may have been made before the machine got this name.
        machine.name.clone_from(&self.vm.name);
        for (disk, made) in machine.disks.iter_mut().zip(&self.disks) {
            disk.image = text(&made.image)?;
            disk.format = final_format(job, made.disk).to_owned();
            disk.size_bytes = made.disk.size();
            disk.block_device = made.disk.device.is_some();
        }
        Ok(machine)
    }

    /// What was changed, as `plan --out` would have written it.
    fn write_plan(&self, summary: &Summary) -> Result<()> {
        let Some(inspection) = summary.inspection.clone() else { return Ok(()) };
        let plan = Plan::new(self.vm.clone(), inspection).with(|plan| {
            plan.findings.clone_from(&summary.findings);
            plan.changes = summary.changes.iter().map(|record| record.change.clone()).collect();
            plan.machine.clone_from(&summary.machine);
        });
        let text = serde_json::to_vec_pretty(&plan).map_err(|error| PluginError::defect(error.to_string()))?;
        write_file(&self.output.dir.join("plan.json"), &text)
    }
}
