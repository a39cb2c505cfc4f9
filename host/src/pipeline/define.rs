//! `define DIR`: the machine of a finished result, defined at its target. The folder is only read.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Define, Finding, Render};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::former;
use super::run::Run;
use super::targets::Targets;
use crate::config::Input;
use crate::events::Event;
use crate::machine::{ask_again, safe_name};
use crate::report::Report;
use crate::worker::Failure;

/// Asks the target's plugin.
pub(super) fn define(run: &Run<'_>) -> Result<Value, Failure> {
    let settings = &run.job.settings;
    let Input::Result { dir } = &run.job.input else {
        return Err(PluginError::defect("`define` needs a folder").into());
    };
    if settings.targets.len() > 1 {
        return Err(PluginError::new(ErrorKind::Usage, "a machine is defined at one target at a time")
            .hint("name one with --target")
            .into());
    }
    let report = former::read(dir)?;
    let mut machine = former::machine(dir, &report)?;
    Targets::warn_of_unknown(run);
    let asked = ask_again(&mut machine, report.inspection.as_ref(), &settings.machine);
    let (name, target) = run.registry.target(settings.targets.first().map(String::as_str))?;
    let mut render = Render::new(&name, machine, safe_name(&report.vm.name));
    if let Some(options) = settings.target.get(&name) {
        render.options.clone_from(options);
    }
    let request = Define::new(render, run_id(&report)).with(|request| {
        request.connect.clone_from(&settings.define.connect);
        request.pool.clone_from(&settings.define.pool);
        request.replace = settings.define.replace;
    });
    run.check_cancelled()?;
    let defined = target.stage.define(&request)?;
    let findings: Vec<Finding> = asked.into_iter().chain(defined.findings).collect();
    findings.iter().for_each(|finding| run.services.events().emit(Event::Finding(finding.clone())));
    Ok(json!({
        "target": name, "plugin": target.label, "name": defined.name, "unchanged": defined.unchanged, "findings": findings,
    }))
}

/// The id of the run that left a result: the same for as long as that is the same, wherever the folder is moved.
fn run_id(report: &Report) -> String {
    let mut digest = Sha256::new();
    let images =
        report.images.iter().flat_map(|image| [image.path.as_str(), image.sha256.as_deref().unwrap_or_default()]);
    for part in [report.key.as_deref().unwrap_or_default(), &report.started].into_iter().chain(images) {
        digest.update(part);
        digest.update([0]);
    }
    format!("{:x}", digest.finalize())[..32].to_owned()
}
