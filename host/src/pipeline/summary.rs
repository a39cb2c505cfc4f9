//! The report of a run, collected while it goes on, and everything it leaves in the output folder beside the images.

use std::collections::BTreeMap;
use std::time::SystemTime;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Finding, Inspection, Machine, VmSpec};

use super::disk::Disk;
use super::fetch::Fetched;
use super::keys::Keys;
use super::output::Output;
use super::run::Run;
use crate::report::{
    ChangeRecord, ImageRecord, Report, SCHEMA, Source, SourceDisk, TargetRecord, TestRecord, Tool, WarmRecord,
    WayRecord,
};

/// What a run has found out so far.
pub(super) struct Summary {
    pub vm: VmSpec,
    pub inspection: Option<Inspection>,
    /// The new machine, without its images.
    pub machine: Option<Machine>,
    pub ways: Vec<WayRecord>,
    pub findings: Vec<Finding>,
    pub changes: Vec<ChangeRecord>,
    pub converged: Option<bool>,
    pub images: Vec<ImageRecord>,
    pub targets: Vec<TargetRecord>,
    pub test: Option<TestRecord>,
    pub warm: Option<WarmRecord>,
    source: Source,
    chain: Vec<vmdk2kvm_plugin_api::model::ChainReport>,
    began: SystemTime,
    key: String,
    key_parts: BTreeMap<String, String>,
}

impl Summary {
    /// Begins with what FLATTEN found.
    pub fn new(fetched: &Fetched, disks: &[Disk], keys: &Keys) -> Self {
        let source_of = |disk: &Disk| SourceDisk {
            name: disk.name.clone(),
            files: disk.files(),
            before: disk.before.clone(),
            after: None,
            verified: false,
        };
        Self {
            vm: fetched.vm.clone(),
            inspection: None,
            machine: None,
            ways: disks.iter().filter_map(Disk::way_record).collect(),
            findings: fetched.vm.findings.clone(),
            changes: Vec::new(),
            converged: None,
            images: Vec::new(),
            targets: Vec::new(),
            test: None,
            warm: None,
            source: Source {
                uri: crate::config::secret::mask_uri(&fetched.source.uri),
                disks: disks.iter().map(source_of).collect(),
                held: fetched.hold.took.clone(),
                frozen: fetched.hold.frozen,
            },
            chain: disks.iter().map(|disk| disk.report.clone()).collect(),
            began: SystemTime::now(),
            key: keys.job.as_str().to_owned(),
            key_parts: keys.parts.clone(),
        }
    }

    /// Notes which files have the digests that the source states.
    pub fn source_verified(&mut self, files: &[String]) {
        for disk in &mut self.source.disks {
            disk.verified = disk.files.iter().any(|file| files.contains(file));
        }
    }

    /// Notes the state of the source at the end; another state than at the beginning is an error, because what was read is then of no
    /// known state.
    pub fn source_after(&mut self, disks: &[Disk]) -> Result<()> {
        for (record, disk) in self.source.disks.iter_mut().zip(disks) {
            record.after = Some(disk.fingerprint()?);
        }
        match self.source.disks.iter().find(|disk| disk.after.as_ref() != Some(&disk.before)) {
            None => Ok(()),
            Some(disk) => {
                Err(vmdk2kvm_plugin_api::PluginError::unusable(format!("{} changed while it was read", disk.name))
                    .hint("shut the virtual machine down, and run the command again"))
            }
        }
    }

    /// The report as it stands.
    pub fn report(&self, run: &Run<'_>) -> Report {
        let seconds = run.started.elapsed().as_secs_f64();
        Report {
            schema: SCHEMA,
            tool: Tool::this(),
            command: run.job.command.as_str().to_owned(),
            started: crate::report::rfc3339(self.began),
            finished: crate::report::rfc3339(SystemTime::now()),
            seconds,
            vm: self.vm.clone(),
            inspection: self.inspection.clone(),
            machine: self.machine.clone(),
            ways: self.ways.clone(),
            targets: self.targets.clone(),
            source: self.source.clone(),
            stages: run.records(),
            chain: self.chain.clone(),
            findings: self.findings.clone(),
            changes: self.changes.clone(),
            converged: self.converged,
            images: self.images.clone(),
            test: self.test.clone(),
            warnings: run.services.warnings(),
            error: None,
            accelerator: self
                .test
                .as_ref()
                .map(|test| test.verdict.accelerator.clone())
                .filter(|word| !word.is_empty()),
            processors: std::thread::available_parallelism().ok().and_then(|count| u32::try_from(count.get()).ok()),
            containment: Some(run.containment.clone()),
            warm: self.warm.clone(),
            key: Some(self.key.clone()),
            key_parts: Some(self.key_parts.clone()),
        }
    }

    /// Writes the report in its three forms.
    pub fn write_report(&self, run: &Run<'_>, output: &Output) -> Result<Report> {
        let report = self.report(run);
        crate::report::write(&output.dir, &report)?;
        Ok(report)
    }
}
