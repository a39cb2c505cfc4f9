//! The machine as its targets want it written: each target's plugin renders it, and the host writes the files.

use vmdk2kvm_plugin_api::model::{Finding, Machine, Render, RenderedFile};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::output::Output;
use super::run::Run;
use crate::events::Event;
use crate::journal::write_file;
use crate::report::TargetRecord;

/// No target writes more files than this.
const MOST_FILES: usize = 100;

/// Writes the machine down for the job's targets.
pub(super) fn write(
    run: &Run<'_>,
    output: &Output,
    machine: &Machine,
    findings: &mut Vec<Finding>,
) -> Result<Vec<TargetRecord>> {
    let (target, plugin) = run.registry.target(None)?;
    let rendered = plugin.stage.render(&Render::new(&target, machine.clone(), &output.name))?;
    let mut names: Vec<String> = Vec::new();
    for file in &rendered.files {
        check(file, &output.name, &names).map_err(|error| error.blamed_on(&plugin.label))?;
        names.push(file.name.clone());
    }
    for file in &rendered.files {
        write_file(&output.dir.join(&file.name), file.text.as_bytes())?;
    }
    for finding in rendered.findings {
        run.services.events().emit(Event::Finding(finding.clone()));
        findings.push(finding);
    }
    Ok(vec![TargetRecord { name: target, plugin: plugin.label, files: names }])
}

/// A name leads nowhere else, says whose it is, and is not that of another file.
fn check(file: &RenderedFile, beginning: &str, taken: &[String]) -> Result<()> {
    let plain = !file.name.contains(['/', '\0']) && file.name.starts_with(beginning);
    if plain && !taken.contains(&file.name) && taken.len() < MOST_FILES {
        return Ok(());
    }
    Err(PluginError::defect(format!("a target cannot write the file {:?}", file.name)))
}
