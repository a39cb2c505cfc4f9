//! `test DIR`: the boot test alone, on the result of a migration.

use std::path::{Path, PathBuf};

use serde_json::Value;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::run::Run;
use super::test::{self, Subject};
use crate::config::Input;
use crate::events::Stage;
use crate::report::Report;
use crate::worker::Failure;

/// Runs the test and brings the report up to date.
pub(super) fn retest(run: &Run<'_>) -> Result<Value, Failure> {
    let Input::Result { dir } = &run.job.input else {
        return Err(PluginError::defect("`test` needs a folder").into());
    };
    again(run, dir, read(dir)?, run.private)
}

/// The test on a finished result, with overlays in `work`, and its verdict in the report.
pub(super) fn again(run: &Run<'_>, dir: &Path, mut report: Report, work: &Path) -> Result<Value, Failure> {
    let images: Vec<PathBuf> = report.images.iter().map(|image| dir.join(&image.path)).collect();
    if let Some(gone) = images.iter().find(|image| !image.is_file()) {
        return Err(PluginError::unusable(format!("{} is missing", gone.display())).hint("migrate again").into());
    }
    let sizes: Vec<u64> = report.images.iter().map(|image| image.virtual_size).collect();
    let format = report.images.first().map(|image| image.format.clone()).unwrap_or_default();
    let domain = dir.join(format!("{}.xml", crate::target::safe_name(&report.vm.name)));
    let domain_xml =
        std::fs::read_to_string(&domain).map_err(|error| PluginError::from_io(domain.display(), &error))?;
    let tested = test::test(
        run,
        &Subject {
            vm: &report.vm,
            inspection: report.inspection.as_ref(),
            images: &images,
            sizes: &sizes,
            format: &format,
            domain_xml: &domain_xml,
            dir,
            work,
        },
    )?;
    report.stages.retain(|record| record.name != Stage::Test);
    report.stages.extend(run.records().into_iter().filter(|record| record.name == Stage::Test));
    report.test = Some(tested);
    crate::report::write(dir, &report)?;
    test::conclude(&report)
}

fn read(dir: &Path) -> Result<Report> {
    let path = dir.join("report.json");
    let text = std::fs::read(&path).map_err(|error| {
        PluginError::from_io(path.display(), &error).hint("name the folder that a `migrate` was told with -o")
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| PluginError::unusable(format!("{} is not a report: {error}", path.display())))
}
