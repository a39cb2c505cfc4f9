//! What each step of a job depends on, as a digest: a record of a former run counts only under the same one.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::model::{Plan, VmSpec};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::disk::Disk;
use super::format::working_format;
use super::run::Run;
use crate::device::Device;
use crate::events::Stage;
use crate::journal::StageKey;

/// The keys of a job.
pub(super) struct Keys {
    /// FIX: the state of all disks, the machine, the settings, and the plugins as they are installed.
    pub fix: StageKey,
    /// The images: what FIX left, in the format that is asked for.
    pub images: StageKey,
    /// The whole job, by which a finished one is recognised. A newer plugin does not undo it.
    pub job: StageKey,
    /// What `job` is made of, by names: words, and digests of what is long.
    pub parts: BTreeMap<String, String>,
}

impl Keys {
    /// `saved` is a plan that is carried out instead of a new one.
    pub fn new(run: &Run<'_>, vm: &VmSpec, disks: &[Disk], saved: Option<&Plan>) -> Result<Self> {
        let job = run.job;
        let formats = json(&disks.iter().map(|disk| working_format(job, disk)).collect::<Vec<_>>())?;
        let devices: Vec<_> = disks.iter().map(|disk| disk.device.as_ref().map(Device::identity)).collect();
        let devices = json(&devices)?;
        // How the source was spelled, and what a plugin says about it, changes nothing; what it holds is in the fingerprints.
        let vm = json(&vm.clone().with(|vm| {
            vm.origin = None;
            vm.findings.clear();
        }))?;
        let settings = json(&(
            &job.settings.plugin,
            &job.settings.plugins,
            &job.settings.keys,
            &job.settings.root,
            job.wants(Stage::Fix),
        ))?;
        let changes = json(&saved.map(|plan| &plan.changes))?;
        let inputs: Vec<&str> = [job.command.as_str(), &vm, &settings, &changes]
            .into_iter()
            .chain(disks.iter().map(|disk| disk.before.as_str()))
            .collect();
        let installed = run.registry.fingerprint();
        // The new machine is decided with the fixes, from what they promise.
        let machine = json(&job.settings.machine)?;
        let fix = StageKey::new(
            &[["fix", formats.as_str(), installed.as_str(), machine.as_str()].as_slice(), &inputs].concat(),
        );
        let result = json(&(
            &job.settings.machine,
            &job.settings.targets,
            &job.settings.target,
            job.settings.format,
            job.settings.compress,
            &devices,
        ))?;
        let digest = |texts: &[&str]| StageKey::new(texts).as_str().to_owned();
        let prints: Vec<&str> = disks.iter().map(|disk| disk.before.as_str()).collect();
        let parts = [
            ("command", job.command.as_str().to_owned()),
            ("source", digest(&prints)),
            ("machine", digest(&[&vm])),
            ("format", job.settings.format.as_str().to_owned()),
            ("compression", job.settings.compress.to_string()),
            ("devices", devices),
            ("plan", digest(&[&changes])),
            ("settings", digest(&[&settings])),
            ("target", digest(&[&json(&(&job.settings.targets, &job.settings.target))?])),
            ("new machine", digest(&[&machine])),
        ];
        Ok(Self {
            parts: parts.map(|(name, value)| (name.to_owned(), value)).into(),
            images: StageKey::new(&["images", fix.as_str(), &result]),
            job: StageKey::new(&[["job", result.as_str()].as_slice(), &inputs].concat()),
            fix,
        })
    }
}

/// The copy of a disk: what it reads, with which plugin, into which format.
pub(super) fn of_copy(run: &Run<'_>, disk: &Disk) -> StageKey {
    let format = working_format(run.job, disk);
    let device = disk.device.as_ref().map_or("", Device::identity);
    StageKey::new(&["copy", format, device, &disk.before, disk.plugin.as_deref().unwrap_or_default()])
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| PluginError::defect(error.to_string()))
}
