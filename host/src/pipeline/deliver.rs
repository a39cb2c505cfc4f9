//! What is made once the images have their final names: the domain, the boot test, the digests, the plan, the report.

use std::path::PathBuf;

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{Plan, VmSpec};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::convert::must_convert;
use super::digests;
use super::output::Output;
use super::run::Run;
use super::summary::Summary;
use super::test::{self, Subject};
use crate::config::Command;
use crate::copy::CopyOutcome;
use crate::events::Stage;
use crate::journal::write_file;
use crate::report::Report;
use crate::target::libvirt::{domain_xml, opens, unmapped_networks};
use crate::worker::Failure;

/// A result whose images are in place.
pub(super) struct Delivery<'a, 'r> {
    pub run: &'a Run<'r>,
    pub vm: &'a VmSpec,
    pub output: &'a Output,
    pub images: Vec<PathBuf>,
    /// Virtual sizes in bytes, in the order of the images.
    pub sizes: Vec<u64>,
    /// What this run copied, or found copied.
    pub copied: Vec<CopyOutcome>,
}

impl Delivery<'_, '_> {
    /// Makes everything, and removes the work folder: the last step of a run.
    pub fn deliver(&self, summary: &mut Summary) -> Result<Value, Failure> {
        self.output.records.fence().check()?;
        let job = self.run.job;
        let has_domain = matches!(job.command, Command::Migrate | Command::Apply);
        let domain = if has_domain { self.write_domain(summary)? } else { String::new() };
        // The digests are read while the guest boots: both only look at the images.
        let (records, tested) = std::thread::scope(|scope| {
            let records = || match self.is_copy() {
                true => digests::of_copies(self.run, &self.output.dir, &self.images, &self.copied),
                false => digests::records(self.run, &self.output.dir, &self.images, &self.sizes),
            };
            let digests = scope.spawn(records);
            let tested = job.wants(Stage::Test).then(|| self.test(summary, &domain)).transpose();
            (digests.join().unwrap_or_else(|_| Err(PluginError::defect("the digest thread panicked"))), tested)
        });
        summary.images = records.map_err(|error| Failure::new(Stage::Convert, error))?;
        summary.test = tested?;
        let report = if has_domain || job.command == Command::Fix {
            self.write_plan(summary)?;
            summary.write_report(self.run, self.output)?
        } else {
            summary.report(self.run)
        };
        if !job.keep_work {
            self.output.remove_work()?;
        }
        test::conclude(&report)
    }

    /// Whether every image is as it was copied.
    fn is_copy(&self) -> bool {
        let job = self.run.job;
        let unchanged = matches!(job.command, Command::Flatten | Command::Convert) && !must_convert(job);
        unchanged && self.copied.len() == self.images.len()
    }

    fn test(&self, summary: &Summary, domain_xml: &str) -> Result<crate::report::TestRecord, Failure> {
        let subject = Subject {
            vm: self.vm,
            inspection: summary.inspection.as_ref(),
            images: &self.images,
            sizes: &self.sizes,
            format: self.run.job.format.as_str(),
            domain_xml,
            dir: &self.output.dir,
            work: &self.output.scratch,
        };
        test::test(self.run, &subject)
    }

    fn write_domain(&self, summary: &Summary) -> Result<String> {
        let format = self.run.job.format.as_str();
        let final_images = test::final_images(&self.images, &self.sizes, format)?;
        let options = &self.run.job.target;
        for network in unmapped_networks(self.vm, options) {
            self.run.services.warn(format!(
                "the network {} has no counterpart in `target.networks`: its cards go to the network `default`",
                crate::events::escape(&network)
            ));
        }
        if !opens(format) {
            self.run.services.warn(format!("libvirt cannot open {format} disks: only QEMU itself can run this domain"));
        }
        let domain = domain_xml(self.vm, summary.inspection.as_ref(), &final_images, options)?;
        write_file(&self.output.domain(), domain.as_bytes())?;
        Ok(domain)
    }

    /// What was changed, as `plan --out` would have written it.
    fn write_plan(&self, summary: &Summary) -> Result<()> {
        let Some(inspection) = summary.inspection.clone() else { return Ok(()) };
        let plan = Plan {
            schema: 1,
            vm: self.vm.clone(),
            inspection,
            findings: summary.findings.clone(),
            changes: summary.changes.iter().map(|record| record.change.clone()).collect(),
            guest: None,
        };
        let text = serde_json::to_vec_pretty(&plan).map_err(|error| PluginError::defect(error.to_string()))?;
        write_file(&self.output.dir.join("plan.json"), &text)
    }
}

/// The document of a report.
pub(super) fn document(report: &Report) -> Result<Value> {
    serde_json::to_value(report).map_err(|error| PluginError::defect(error.to_string()))
}
