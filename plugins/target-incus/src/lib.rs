//! The target `incus`: a machine as an instance of Incus.
//!
//! Pure functions from a machine to text: `instance` is its configuration, `script` brings the images in and makes it.

mod instance;
mod options;
mod script;

use vmdk2kvm_plugin_api::model::{Card, Finding, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, PluginError, Result};
use vmdk2kvm_target_words::{Feature, losses, options as read_options, unmapped};

use options::Options;

/// The name of the target.
pub const TARGET: &str = "incus";

/// What Incus has no word for.
const CANNOT: [Feature; 9] = [
    Feature::BlockDevices,
    Feature::OldBoard,
    Feature::Serials,
    Feature::Ata,
    Feature::CardModels,
    Feature::EmptyDrives,
    Feature::VirtioVideo,
    Feature::NoConsole,
    Feature::NoParavirtual,
];

/// What it gives to images of Windows alone.
const OF_WINDOWS: [Feature; 2] = [Feature::LocalClock, Feature::Enlightenments];

/// The plugin.
#[derive(Clone, Copy)]
pub struct TargetIncus;

impl Plugin for TargetIncus {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(*self))
    }
}

impl Converter for TargetIncus {
    fn targets(&self) -> Vec<String> {
        vec![TARGET.to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let options: Options = read_options(request)?;
        options.check()?;
        let machine = &request.machine;
        let yaml = |value: &serde_json::Value| {
            serde_norway::to_string(value)
                .map_err(|error| PluginError::defect(format!("the instance could not be written: {error}")))
        };
        let name = &request.file_name;
        let files = vec![
            RenderedFile::new(format!("{name}.incus.sh"), script::script(machine, &options, name)?)
                .with(|file| file.mode = 0o700),
            RenderedFile::new(format!("{name}.incus.yaml"), yaml(&instance::instance(machine, &options))?),
            RenderedFile::new(format!("{name}.incus.metadata.yaml"), yaml(&instance::metadata(machine))?),
        ];
        Ok(Rendered::new(files).with(|rendered| rendered.findings = findings(machine, &options)))
    }
}

fn findings(machine: &Machine, options: &Options) -> Vec<Finding> {
    let warn = |code: &str, message: &str| Finding::new(code, Severity::Warn, message);
    let mut findings = losses(TARGET, machine, &CANNOT);
    if !instance::is_windows(machine) {
        findings.extend(losses(TARGET, machine, &OF_WINDOWS));
    }
    if machine.disks.len() > 1 {
        let message =
            "Incus makes a volume of the first disk to start from alone: the others stay raw files beside the script";
        findings.push(warn("target-disk-outside", message));
    }
    if options.storage.is_none() {
        let message = "no pool is named as `target.incus.storage`: the script's STORAGE is taken, default unless told";
        findings.push(warn("storage-unmapped", message).hint("name one with --set target.incus.storage=POOL"));
    }
    let alone: Vec<&Card> = machine.cards.iter().filter(|card| instance::attachment(card, options).is_none()).collect();
    findings.extend(unmapped(TARGET, &alone, "its cards are on Incus' network incusbr0"));
    findings
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: TargetIncus,
    name: "target-incus",
    summary: "Renders a machine as an instance of Incus",
    kinds: ["converter"],
    capabilities: ["incus"],
}
