//! The settings of a migration in rounds, which its cut-over goes on with: written down by the rounds, and laid below what the cut-over is told itself.

use std::path::Path;

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::state;
use crate::config::secret::{MASK, mask, without_password};
use crate::config::{self, Command, Input, Job, Layer, Layers, Request, Surroundings};
use crate::journal::{Records, StageKey};
use crate::pipeline::output::work_folder_below;

/// The record of the settings.
const SETTINGS: &str = "settings";
/// No record of settings is longer, in bytes.
const LONGEST: u64 = 1 << 20;
/// What is said anew with each command, and not remembered.
const SAID_ANEW: [&str; 3] = ["output", "log", "work_dir"];

/// Writes the settings of a job down, without secrets.
pub(super) fn remember(job: &Job, records: &Records) -> Result<()> {
    let mut settings = serde_json::to_value(&job.settings).map_err(|error| PluginError::defect(error.to_string()))?;
    if let Some(uri) = &job.settings.source.uri {
        settings["source"]["uri"] = without_password(uri).into();
    }
    // A place of a secret is none, and a plugin's own table may hold one.
    mask(&mut settings["plugin"]);
    tidy(&mut settings);
    if let Value::Object(members) = &mut settings {
        members.retain(|name, _| !SAID_ANEW.contains(&name.as_str()));
    }
    // To be switched off is allowed for one command only.
    settings["source"]["power_off"] = false.into();
    settings["warm"]["enabled"] = false.into();
    records.write(&state::name(SETTINGS), &StageKey::new(&["settings"]), &settings)
}

/// Takes out what says nothing, and masked secrets.
fn tidy(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(tidy);
        members.retain(|_, member| !member.is_null() && member != MASK);
    }
}

/// A request with the settings that its rounds were told, as the lowest layer behind the files: every other request as it is. A cut-over without rounds is one
/// of a finished result.
pub fn remembered(request: &Request, layers: &Layers, surroundings: &Surroundings) -> Result<(Request, Layers)> {
    let (mut request, mut layers) = (request.clone(), layers.clone());
    if request.command != Command::Cutover {
        return Ok((request, layers));
    }
    let now = config::settings(&layers, surroundings)?;
    let dir = now.output.ok_or_else(|| PluginError::defect("a cut-over without a folder"))?;
    match read(&work_folder_below(now.work_dir.as_deref(), &dir))? {
        Some(layer) => layers.listed.insert(0, layer),
        None => request.input = Input::Result { dir },
    }
    Ok((request, layers))
}

fn read(work: &Path) -> Result<Option<Layer>> {
    let path = work.join(format!("{}.json", state::name(SETTINGS)));
    let Ok(found) = path.symlink_metadata() else { return Ok(None) };
    let broken =
        || PluginError::unusable(format!("{} cannot be read", path.display())).hint("run `migrate --warm` once more");
    if !found.is_file() || found.len() > LONGEST {
        return Err(broken());
    }
    let text = std::fs::read(&path).map_err(|error| PluginError::from_io(path.display(), &error))?;
    let mut stored: Map<String, Value> = serde_json::from_slice(&text).map_err(|_| broken())?;
    match stored.remove("record") {
        Some(Value::Object(tree)) => Ok(Some(Layer { label: path.display().to_string(), base: None, tree })),
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::Fence;

    #[test]
    fn a_cut_over_goes_on_with_what_the_rounds_were_told_and_no_secret_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join(".vmdk2kvm-work");
        std::fs::create_dir(&work).unwrap();
        let tree = |value: Value| value.as_object().unwrap().clone();
        let flags = tree(json!({
            "source": {"uri": "far://root:hunter2@h/web", "power_off": true}, "output": dir.path(), "format": "raw",
            "secrets": {"password": {"file": "/k"}}, "plugin": {"far": {"token": "hunter2", "lane": 3}},
            "machine": {"networks": {"*": "br0"}}, "warm": {"enabled": true}, "keys": ["all:file:/l"]
        }));
        let layers = Layers { flags, ..Layers::default() };
        let request = Request { command: Command::Migrate, input: Input::Source, plan_out: None };
        let around = Surroundings::default();
        let job = config::resolve(&request, &layers, &around).unwrap();
        assert!(job.settings.source.snapshot && job.settings.source.enable_cbt);
        remember(&job, &Records::in_folder(&work, Fence::default())).unwrap();
        let stored = std::fs::read_to_string(work.join("round-settings.json")).unwrap();
        assert!(!stored.contains("hunter2"), "{stored}");

        let flags = tree(json!({"output": dir.path(), "test": {"plugin": "none"}}));
        let cutover = Request { command: Command::Cutover, input: Input::Source, plan_out: None };
        let (request, layers) = remembered(&cutover, &Layers { flags, ..Layers::default() }, &around).unwrap();
        let job = config::resolve(&request, &layers, &around).unwrap();
        let source = &job.settings.source;
        assert_eq!((source.uri.as_deref(), source.snapshot, source.power_off), (Some("far://root@h/web"), true, false));
        assert_eq!((job.settings.format.as_str(), job.settings.keys.len()), ("raw", 1));
        assert_eq!(job.settings.plugin["far"], json!({"lane": 3}));
        assert_eq!(job.settings.skip, [crate::events::Stage::Test], "what is said now counts, too");
        assert!(!job.settings.secrets.is_empty() && job.settings.machine.networks.contains_key("*"));

        let elsewhere = tempfile::tempdir().unwrap();
        let flags = tree(json!({"output": elsewhere.path()}));
        let (request, _) = remembered(&cutover, &Layers { flags, ..Layers::default() }, &around).unwrap();
        assert_eq!(request.input, Input::Result { dir: elsewhere.path().to_owned() });
    }
}
