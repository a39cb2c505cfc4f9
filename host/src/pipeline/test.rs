//! TEST: boots a throw-away copy of the result and waits for evidence.

use std::path::{Path, PathBuf};

use serde_json::Value;
use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{FinalImage, Inspection, TestRequest, VerdictKind, VmSpec};

use super::convert::text;
use super::run::Run;
use crate::events::Stage;
use crate::journal::create_private_folder;
use crate::report::{Report, TestRecord};
use crate::worker::Failure;

/// Folder of the boot's evidence in the output folder.
pub(super) const EVIDENCE: &str = "boot";

/// What is tested.
pub(super) struct Subject<'a> {
    pub vm: &'a VmSpec,
    pub inspection: Option<&'a Inspection>,
    pub images: &'a [PathBuf],
    pub sizes: &'a [u64],
    pub format: &'a str,
    pub domain_xml: &'a str,
    pub dir: &'a Path,
    pub work: &'a Path,
}

/// Runs the boot test.
pub(super) fn test(run: &Run<'_>, subject: &Subject<'_>) -> Result<TestRecord, Failure> {
    run.stage(Stage::Test, |plugin| {
        let tester = run.registry.tester(run.job.test.plugin.as_deref())?;
        *plugin = Some(tester.label.clone());
        let evidence = subject.dir.join(EVIDENCE);
        create_private_folder(&evidence)?;
        let verdict = tester.stage.test(&TestRequest {
            vm: subject.vm.clone(),
            inspection: subject.inspection.cloned(),
            images: final_images(subject.images, subject.sizes, subject.format)?,
            domain_xml: subject.domain_xml.to_owned(),
            evidence_dir: text(&evidence)?,
            work_dir: text(subject.work)?,
            timeout_seconds: run.job.test.timeout_seconds,
            expect: run.job.test.expect.clone(),
        })?;
        Ok(TestRecord { plugin: tester.label, verdict })
    })
}

/// The finished images as plugins and the domain are told of them.
pub(super) fn final_images(paths: &[PathBuf], sizes: &[u64], format: &str) -> Result<Vec<FinalImage>> {
    let image = |(path, size): (&PathBuf, &u64)| {
        Ok(FinalImage { path: text(path)?, format: format.to_owned(), virtual_size: *size })
    };
    paths.iter().zip(sizes).map(image).collect()
}

/// How a run with this report ends.
pub(super) fn conclude(report: &Report) -> Result<Value, Failure> {
    let document = super::deliver::document(report)?;
    match report.test.as_ref().and_then(failure) {
        Some(failure) => Err(Failure { result: Some(document), ..failure }),
        None => Ok(document),
    }
}

/// The failure of a run whose result does not boot.
pub(super) fn failure(test: &TestRecord) -> Option<Failure> {
    use vmdk2kvm_plugin_api::{ErrorKind, PluginError};
    if test.verdict.verdict == VerdictKind::Passed {
        return None;
    }
    let message = format!("migrated, but the boot test failed: {}", test.verdict.reason);
    let mut error = PluginError::new(ErrorKind::TestFailed, message)
        .hint(format!("see report.html and the folder {EVIDENCE} in the output folder"));
    error.plugin = Some(test.plugin.clone());
    Some(Failure::new(Stage::Test, error))
}
