//! The VMs of a batch, checked, and the job of each.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::model::Finding;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::limits::{BOOT, Limits};
use super::list::Retries;
use super::request::Around;
use crate::config::{Command, Input, Job, Layer, Layers, Request, Settings, resolve};
use crate::journal::StageKey;
use crate::pipeline::remembered;

/// A batch that was found to be without faults.
#[derive(Debug)]
pub(super) struct Batch {
    /// JOBS as given.
    pub label: String,
    /// Takes the VMs' folders and the reports.
    pub dir: PathBuf,
    /// How many at once.
    pub limits: Limits,
    /// What is tried again.
    pub retries: Retries,
    /// What somebody should know before it starts.
    pub warnings: Vec<String>,
    /// In the list's order.
    pub vms: Vec<Vm>,
    /// The settings of all, those of no list among them.
    pub defaults: Option<Layer>,
}

/// One VM of a batch.
#[derive(Debug)]
pub(super) struct Vm {
    /// Its name, which is a file's name, and unlike that of every other.
    pub name: String,
    /// The source, which holds no password.
    pub source: String,
    /// Takes its result.
    pub output: PathBuf,
    /// The group whose cut-over is one.
    pub group: Option<String>,
    /// Whether it is migrated in rounds.
    pub warm: bool,
    /// The places that it is read from.
    pub keys: Vec<String>,
    /// Bytes that it uses at its source, as far as they are known.
    pub bytes: Option<u64>,
    /// What its inventory says of it.
    pub findings: Vec<Finding>,
    /// Its own settings.
    pub layer: Layer,
}

/// The job of a VM under all layers.
pub(super) fn job(
    defaults: Option<&Layer>,
    limits: &Limits,
    vm: (&Layer, Option<&PathBuf>),
    around: &Around<'_>,
    command: Command,
) -> Result<Job> {
    let (own, output) = vm;
    let mut listed = Vec::new();
    if let Some(places) = limits.of(BOOT) {
        let tree = json!({ "test": { "at_once": places } });
        listed.push(Layer { label: "the limits".to_owned(), base: None, tree: object(tree) });
    }
    listed.extend(defaults.cloned());
    listed.push(own.clone());
    let mut layers = Layers { listed, ..around.layers.clone() };
    if let Some(output) = output {
        layers.flags.insert("output".to_owned(), json!(output));
    }
    let request = Request { command, input: Input::Source, plan_out: None };
    // A cut-over goes on with what its rounds were told.
    let (request, layers) = remembered(&request, &layers, around.surroundings)?;
    resolve(&request, &layers, around.surroundings)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

impl Batch {
    /// The job that migrates, or plans, a VM.
    pub fn job(&self, vm: &Vm, around: &Around<'_>, command: Command) -> Result<Job> {
        job(self.defaults.as_ref(), &self.limits, (&vm.layer, Some(&vm.output)), around, command)
    }
}

/// Identifies a job: a VM that is done under another one is looked at again, by its own journal.
pub(super) fn key(job: &Job) -> Result<String> {
    // The folder is where the record lies, too: another machine may have it under another name.
    let mut job = Job { settings: Settings { output: None, ..job.settings.clone() }, ..job.clone() };
    // How a machine is brought to a stand, and how many rounds it has, is said for one command and no part of the result.
    job.settings.source.power_off = false;
    let rounds = std::mem::replace(&mut job.settings.warm, Settings::default().warm);
    job.settings.warm.enabled = rounds.enabled;
    let text = serde_json::to_string(&job).map_err(|error| PluginError::defect(error.to_string()))?;
    Ok(StageKey::new(&["batch", &text]).as_str().to_owned())
}
