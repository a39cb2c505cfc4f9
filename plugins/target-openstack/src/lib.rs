//! The target `openstack`: a machine as the images, volumes and ports that a server is made of.
//!
//! Pure functions from a machine to text: `properties` are those of the images, `script` makes everything but the server.

mod options;
mod properties;
mod script;

use vmdk2kvm_plugin_api::model::{Card, CardNetwork, Finding, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, PluginError, Result};
use vmdk2kvm_target_words::{Feature, losses, of_network, options as read_options, unmapped, without_storage};

use options::Options;

/// The name of the target.
pub const TARGET: &str = "openstack";

/// What Nova has no word for.
const CANNOT: [Feature; 8] = [
    Feature::BlockDevices,
    Feature::Uuid,
    Feature::Genid,
    Feature::Serials,
    Feature::MixedCards,
    Feature::EmptyDrives,
    Feature::NoConsole,
    Feature::NoParavirtual,
];

/// The plugin.
#[derive(Clone, Copy)]
pub struct TargetOpenstack;

impl Plugin for TargetOpenstack {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(*self))
    }
}

impl Converter for TargetOpenstack {
    fn targets(&self) -> Vec<String> {
        vec![TARGET.to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let options: Options = read_options(request)?;
        let machine = &request.machine;
        let properties = properties::properties(machine);
        let text = serde_json::to_string_pretty(&properties)
            .map_err(|error| PluginError::defect(format!("the properties could not be written: {error}")))?;
        let script = script::script(machine, &properties, &options, &request.file_name)?;
        let files = vec![
            RenderedFile::new(format!("{}.openstack.sh", request.file_name), script).with(|file| file.mode = 0o700),
            RenderedFile::new(format!("{}.openstack.json", request.file_name), text + "\n"),
        ];
        Ok(Rendered::new(files).with(|rendered| rendered.findings = findings(machine, &options)))
    }
}

/// The network that the job names for a card. A bridge of a host means nothing in a cloud.
fn network<'a>(card: &'a Card, options: &'a Options) -> Option<&'a str> {
    let of_machine = match &card.network {
        Some(CardNetwork::Network(name)) => Some(name),
        _ => None,
    };
    of_network(&options.networks, card).or(of_machine).map(String::as_str)
}

fn findings(machine: &Machine, options: &Options) -> Vec<Finding> {
    let warn = |code: &str, message: String| Finding::new(code, Severity::Warn, message);
    let mut findings = losses(TARGET, machine, &CANNOT);
    // One word stands for local time and Hyper-V's interfaces.
    if !properties::is_windows(machine) {
        findings.extend(losses(TARGET, machine, &[Feature::LocalClock, Feature::Enlightenments]));
    }
    if machine.tpm {
        let message =
            "a TPM needs a key manager in the cloud; it begins empty, and keys that were in the old one are lost";
        findings.push(warn("target-needs-key-manager", message.to_owned()));
    }
    let larger = machine.disks.iter().zip(1..).filter(|(disk, _)| disk.size_bytes % script::GIB != 0);
    let larger: Vec<String> = larger.map(|(_, number)| number.to_string()).collect();
    if !larger.is_empty() {
        let message = format!("volumes have whole GiB: disk {} becomes larger", larger.join(", "));
        findings.push(warn("target-larger-disk", message));
    }
    let alone: Vec<&Card> = machine.cards.iter().filter(|card| network(card, options).is_none()).collect();
    findings.extend(unmapped(TARGET, &alone, "its cards are on the network that the script's NETWORK names"));
    let fate = "the cloud's usual one is taken";
    findings.extend(without_storage(TARGET, machine.disks.len(), &options.storage, "volume type", fate));
    findings
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: TargetOpenstack,
    name: "target-openstack",
    summary: "Renders a machine as a script that makes it at OpenStack",
    kinds: ["converter"],
    capabilities: ["openstack"],
}
