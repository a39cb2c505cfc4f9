//! `render DIR`: the definition of a finished result for further targets, from its report alone.

use serde_json::Value;
use vmdk2kvm_plugin_api::PluginError;

use super::conclude::document;
use super::former;
use super::run::Run;
use super::targets::Targets;
use crate::config::Input;
use crate::worker::Failure;

/// Writes the files and brings the report up to date.
pub(super) fn render(run: &Run<'_>) -> Result<Value, Failure> {
    let Input::Result { dir } = &run.job.input else {
        return Err(PluginError::defect("`render` needs a folder").into());
    };
    let mut report = former::read(dir)?;
    let machine = former::machine(dir, &report)?;
    Targets::warn_of_unknown(run);
    former::render(run, dir, &mut report, &run.job.settings.targets, &machine)?;
    crate::report::write(dir, &report)?;
    Ok(document(&report)?)
}
