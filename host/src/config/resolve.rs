//! From layers to one [`Job`].

use std::path::PathBuf;

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::command::Command;
use super::job::{Input, Job, absolute};
use super::layer::{Layer, from_environment, from_sets, merge, read_file};
use super::{Settings, check};
use crate::events::Stage;

/// The layers that the command line names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layers {
    /// `-c`, in order; later wins.
    pub files: Vec<PathBuf>,
    /// What a list of several machines says of all and of one. Lies above the files and below the environment.
    pub listed: Vec<Layer>,
    /// `--set`, in order; later wins.
    pub sets: Vec<String>,
    /// Options that are settings too, by their keys. They win over everything.
    pub flags: Map<String, Value>,
}

/// The layers that are there without being named.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Surroundings {
    /// The settings of the machine and of the user, where they would be.
    pub files: Vec<PathBuf>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
}

/// Where settings are: the folder of this machine, then that of the user, when there can be one.
pub fn settings_folders() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    [Some(PathBuf::from("/etc")), user].into_iter().flatten().map(|folder| folder.join("vmdk2kvm")).collect()
}

impl Surroundings {
    /// Those of this process: `/etc/vmdk2kvm/config.toml`, then the user's own.
    pub fn of_process() -> Self {
        let files = settings_folders().into_iter().map(|folder| folder.join("config.toml")).collect();
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { files, variables: variables.collect() }
    }
}

/// What the command line asks of the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The command.
    pub command: Command,
    /// What it works on, as given.
    pub input: Input,
    /// `plan --out`.
    pub plan_out: Option<PathBuf>,
}

/// Lays all layers over each other: defaults, the machine's file, the user's, each `-c`, the environment, `--set`,
/// flags.
pub fn settings(layers: &Layers, surroundings: &Surroundings) -> Result<Settings> {
    let mut all = Vec::new();
    for path in &surroundings.files {
        all.extend(read_file(path)?);
    }
    for path in &layers.files {
        all.push(read_file(path)?.ok_or_else(|| {
            PluginError::config(format!("{}: there is no such file", path.display())).hint("-c names a settings file")
        })?);
    }
    all.extend(layers.listed.iter().cloned());
    all.push(from_environment(surroundings.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    all.push(from_sets(&layers.sets)?);
    all.push(Layer { label: "the command line".into(), base: None, tree: layers.flags.clone() });
    let mut tree = Map::new();
    for mut layer in all {
        check::check(&mut layer)?;
        forget_replaced(&mut tree, &layer.tree);
        merge(&mut tree, layer.tree);
    }
    serde_json::from_value(Value::Object(tree))
        .map_err(|error| PluginError::defect(format!("checked settings do not fit: {error}")))
}

/// A secret lies in one place, and a network becomes one other: a later layer's entry replaces an earlier one's and is not merged with it.
fn forget_replaced(tree: &mut Map<String, Value>, layer: &Map<String, Value>) {
    for path in ["secrets", "machine.networks"] {
        let parts = path.split('.');
        let new = parts.clone().try_fold(layer, |table, part| table.get(part)?.as_object());
        let old = parts.clone().try_fold(&mut *tree, |table, part| table.get_mut(part)?.as_object_mut());
        if let (Some(old), Some(new)) = (old, new) {
            old.retain(|name, _| !new.contains_key(name));
        }
    }
}

/// Makes the job of a request: the settings without what does not concern its command, and with what follows from others.
pub fn job(request: &Request, mut settings: Settings) -> Result<Job> {
    let usage = |message: String| PluginError::new(ErrorKind::Usage, message);
    let command = request.command;
    if request.input == Input::Source && settings.source.uri.is_none() {
        return Err(usage(format!("{} needs a SOURCE", command.as_str()))
            .hint("name a path or a URI, or set source.uri in a settings file"));
    }
    // Only `migrate` may leave the folder out; the grammar demands it of the others.
    settings.output = match (&request.input, command.has_output()) {
        (Input::Result { .. }, _) | (_, false) => None,
        _ => Some(settings.output.unwrap_or_else(|| absolute(std::path::Path::new(".")))),
    };
    if let Some(from) = settings.from.filter(|from| *from > settings.until) {
        let (from, until) = (from.as_str(), settings.until.as_str());
        return Err(usage(format!("the run cannot begin with {from} and end with {until}"))
            .hint("the stages run in the order fetch, flatten, inspect, plan, fix, convert, test"));
    }
    if command == Command::Migrate && settings.warm.enabled {
        refuse_in_rounds(&settings)?;
        settings.source.snapshot = true;
        settings.source.enable_cbt = true;
    }
    if settings.test.plugin.take_if(|word| word == "none").is_some() {
        if command == Command::Test {
            return Err(usage("`test` without a boot test has nothing to do".into())
                .hint("leave --test and test.plugin out, or name a tester"));
        }
        settings.skip.push(Stage::Test);
    }
    settings.skip.sort();
    settings.skip.dedup();
    settings.targets = without_repeats(settings.targets);
    let (input, plan_out) = (request.input.absolute(), request.plan_out.as_deref().map(absolute));
    Ok(Job { command, input, plan_out, settings })
}

/// Refuses what has no meaning for rounds.
fn refuse_in_rounds(settings: &Settings) -> Result<()> {
    let usage = |what: &str, hint: &str| {
        Err(PluginError::new(ErrorKind::Usage, format!("{what} has no meaning with --warm")).hint(hint))
    };
    if !settings.resize.is_empty() {
        return usage("--resize", "the rounds keep the sizes of the disks: grow them after the cut-over");
    }
    if settings.from.is_some() || settings.until < Stage::Test {
        return usage(
            "--from and --until",
            "leave them out: rounds copy the disks, and `vmdk2kvm cutover DIR` does the rest",
        );
    }
    Ok(())
}

/// A target that is named twice is one target.
fn without_repeats(names: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    names.into_iter().for_each(|name| {
        if !kept.contains(&name) {
            kept.push(name)
        }
    });
    kept
}

/// Both steps: the job of a request under these layers.
pub fn resolve(request: &Request, layers: &Layers, surroundings: &Surroundings) -> Result<Job> {
    job(request, settings(layers, surroundings)?)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
