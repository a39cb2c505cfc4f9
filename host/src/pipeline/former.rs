//! A finished result in its folder: its report, and its machine with the images where they are now.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use vmdk2kvm_plugin_api::model::Machine;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::paths::text;
use super::run::Run;
use super::targets::{Place, Targets};
use crate::machine::safe_name;
use crate::report::Report;

/// Reads the report.
pub(super) fn read(dir: &Path) -> Result<Report> {
    let path = dir.join("report.json");
    let text = std::fs::read(&path).map_err(|error| {
        PluginError::from_io(path.display(), &error).hint("name the folder that a `migrate` was told with -o")
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| PluginError::unusable(format!("{} is not a report: {error}", path.display())))
}

/// The machine. The folder may have been moved since it was made.
pub(super) fn machine(dir: &Path, report: &Report) -> Result<Machine> {
    let again = |message: String| PluginError::unusable(message).hint("migrate again");
    let mut machine =
        report.machine.clone().ok_or_else(|| again(format!("{} has a report that names no machine", dir.display())))?;
    for (disk, image) in machine.disks.iter_mut().zip(&report.images) {
        let path = dir.join(&image.path);
        if !path.metadata().is_ok_and(|found| found.is_file() || found.file_type().is_block_device()) {
            return Err(again(format!("{} is missing", path.display())));
        }
        disk.image = text(&path)?;
        disk.format.clone_from(&image.format);
    }
    Ok(machine)
}

/// Writes the machine down for these targets, beside what was written before, and notes it in the report, which is not written yet.
pub(super) fn render(
    run: &Run<'_>,
    dir: &Path,
    report: &mut Report,
    names: &[String],
    machine: &Machine,
) -> Result<()> {
    let name = safe_name(&report.vm.name);
    let drafts = Targets::choose(run, names)?.render(machine, &name)?;
    let ours = report.targets.clone();
    let place = Place { dir, ours: &ours };
    for record in drafts.write(run, &place, &mut report.findings)? {
        match report.targets.iter_mut().find(|known| known.name == record.name) {
            Some(known) => *known = record,
            None => report.targets.push(record),
        }
    }
    Ok(())
}
