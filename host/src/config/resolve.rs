//! From layers to one [`Job`].

use std::path::PathBuf;

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::model::{SourceRef, TestExpectation};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::job::{Command, HoldOptions, Input, Job, KeySource, TestOptions, absolute};
use super::layer::{Layer, from_environment, from_sets, merge, read_file};
use super::resize::Resize;
use super::{Settings, check};
use crate::events::Stage;

/// The layers that the command line names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layers {
    /// `-c`, in order; later wins.
    pub files: Vec<PathBuf>,
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
    /// What it works on.
    pub operand: Operand,
    /// `plan --out`.
    pub plan_out: Option<PathBuf>,
}

/// What a command works on, as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// The source of the settings `source.*`.
    Source,
    /// A saved plan.
    Plan(PathBuf),
    /// Flat images.
    Images(Vec<PathBuf>),
    /// The folder of a former result.
    Result(PathBuf),
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

/// Makes the job of a request.
pub fn job(request: &Request, settings: Settings) -> Result<Job> {
    let usage = |message: String| PluginError::new(ErrorKind::Usage, message);
    let command = request.command;
    let hold = HoldOptions {
        snapshot: settings.source.snapshot,
        enable_cbt: settings.source.enable_cbt,
        power_off: settings.source.power_off,
    };
    let input = match &request.operand {
        Operand::Source => {
            let uri = settings.source.uri.ok_or_else(|| {
                usage(format!("{} needs a SOURCE", command.as_str()))
                    .hint("name a path or a URI, or set source.uri in a settings file")
            })?;
            Input::Source(SourceRef::new(uri).with(|source| {
                source.extra_disks = settings.source.disks;
                source.vm = settings.source.vm;
            }))
        }
        Operand::Plan(path) => Input::Plan { path: absolute(path) },
        Operand::Images(paths) => Input::Images { paths: paths.iter().map(|path| absolute(path)).collect() },
        Operand::Result(dir) => Input::Result { dir: absolute(dir) },
    };
    // Only `migrate` may leave the folder out; the grammar demands it of the others.
    let output = match (&input, command.is_read_only()) {
        (Input::Result { .. }, _) | (_, true) => None,
        _ => Some(settings.output.unwrap_or_else(|| absolute(std::path::Path::new(".")))),
    };
    let until = settings.until.unwrap_or(Stage::Test);
    if let Some(from) = settings.from.filter(|from| *from > until) {
        return Err(usage(format!("the run cannot begin with {} and end with {}", from.as_str(), until.as_str()))
            .hint("the stages run in the order fetch, flatten, inspect, plan, fix, convert, test"));
    }
    let mut skip = settings.skip;
    let plugin = match settings.test.plugin {
        Some(word) if word == "none" && command == Command::Test => {
            return Err(usage("`test` without a boot test has nothing to do".into())
                .hint("leave --test and test.plugin out, or name a tester"));
        }
        Some(word) if word == "none" => {
            skip.push(Stage::Test);
            None
        }
        name => name,
    };
    skip.sort();
    skip.dedup();
    let keys = settings.keys.iter().map(|text| KeySource::parse(text)).collect::<Result<Vec<_>, _>>();
    let resize = settings.resize.iter().map(|text| Resize::parse(text)).collect::<Result<Vec<_>, _>>();
    Ok(Job {
        command,
        input,
        output,
        plan_out: request.plan_out.as_deref().map(absolute),
        name: settings.name,
        format: settings.format,
        compress: settings.compress,
        resize: resize.map_err(PluginError::config)?,
        from: settings.from,
        until,
        skip,
        test: TestOptions {
            plugin,
            timeout_seconds: settings.test.timeout_seconds,
            expect: TestExpectation::default().with(|expect| {
                expect.ssh_address = settings.test.ssh_address;
                expect.ssh_port = settings.test.ssh_port;
            }),
            fallback: settings.test.fallback,
        },
        keep_work: settings.keep_work,
        work_dir: settings.work_dir,
        keys: keys.map_err(PluginError::config)?,
        secrets: settings.secrets,
        hold,
        root: settings.root,
        plugins: settings.plugins,
        plugin: settings.plugin,
        targets: without_repeats(settings.targets),
        target: settings.target,
        machine: settings.machine,
        containment: settings.containment,
        log_level: settings.log.level,
    })
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
