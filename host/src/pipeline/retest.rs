//! `test DIR`: the boot test alone, on the result of a migration.

use std::path::Path;

use serde_json::Value;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::conclude;
use super::paths::text;
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
    let mut machine = report.machine.clone().ok_or_else(|| {
        PluginError::unusable(format!("{} has a report that names no machine", dir.display())).hint("migrate again")
    })?;
    for (disk, image) in machine.disks.iter_mut().zip(&report.images) {
        let path = dir.join(&image.path);
        if !path.is_file() {
            return Err(PluginError::unusable(format!("{} is missing", path.display())).hint("migrate again").into());
        }
        // The folder may have been moved since.
        disk.image = text(&path)?;
        disk.format.clone_from(&image.format);
    }
    let tested = test::test(run, &Subject { machine: &machine, inspection: report.inspection.as_ref(), dir, work })?;
    report.stages.retain(|record| record.name != Stage::Test);
    report.stages.extend(run.records().into_iter().filter(|record| record.name == Stage::Test));
    report.test = Some(tested);
    crate::report::write(dir, &report)?;
    conclude::conclude(&report)
}

fn read(dir: &Path) -> Result<Report> {
    let path = dir.join("report.json");
    let text = std::fs::read(&path).map_err(|error| {
        PluginError::from_io(path.display(), &error).hint("name the folder that a `migrate` was told with -o")
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| PluginError::unusable(format!("{} is not a report: {error}", path.display())))
}
