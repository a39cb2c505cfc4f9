//! The target `kubevirt`: a machine as a VirtualMachine of KubeVirt, with the volumes that its disks are uploaded to.
//!
//! Pure functions from a machine to text: `manifest` is the VirtualMachine and its DataVolumes, `devices` its devices, `upload` the script.

mod devices;
mod manifest;
mod options;
mod upload;

use vmdk2kvm_plugin_api::model::{DiskBus, Finding, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, PluginError, Result};
use vmdk2kvm_target_words::{Feature, losses, lost, options as read_options, unmapped, without_storage};

use options::Options;

/// The name of the target.
pub const TARGET: &str = "kubevirt";

/// What KubeVirt has no word for. It gives every machine a channel for the agent, and the other devices can be left out.
const CANNOT: [Feature; 7] = [
    Feature::Genid,
    Feature::OldBoard,
    Feature::BlockDevices,
    Feature::Ide,
    Feature::EmptyDrives,
    Feature::VirtioVideo,
    Feature::LocalClock,
];

/// The plugin.
#[derive(Clone, Copy)]
pub struct TargetKubevirt;

impl Plugin for TargetKubevirt {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(*self))
    }
}

impl Converter for TargetKubevirt {
    fn targets(&self) -> Vec<String> {
        vec![TARGET.to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let options: Options = read_options(request)?;
        options.check()?;
        let machine = &request.machine;
        let manifest = manifest::documents(machine, &options)
            .iter()
            .map(|document| Ok(format!("---\n{}", serde_norway::to_string(document)?)))
            .collect::<std::result::Result<String, serde_norway::Error>>()
            .map_err(|error| PluginError::defect(format!("the manifest could not be written: {error}")))?;
        let script = upload::script(machine, &options, &request.file_name)?;
        let files = vec![
            RenderedFile::new(format!("{}.kubevirt.yaml", request.file_name), manifest),
            RenderedFile::new(format!("{}.kubevirt.sh", request.file_name), script).with(|file| file.mode = 0o700),
        ];
        Ok(Rendered::new(files).with(|rendered| rendered.findings = findings(machine, &options)))
    }
}

fn findings(machine: &Machine, options: &Options) -> Vec<Finding> {
    let warn = |code: &str, message: String| Finding::new(code, Severity::Warn, message);
    // A time zone of the job's makes the clock local.
    let cannot: Vec<Feature> =
        CANNOT.into_iter().filter(|it| *it != Feature::LocalClock || options.timezone.is_none()).collect();
    let mut findings = losses(TARGET, machine, &cannot);
    if machine.tpm {
        let message = "a TPM that remembers needs a storage class for the state of machines in the cluster (`vmStateStorageClass`)";
        findings.push(warn("target-needs-state-storage", message.to_owned()));
    } else {
        findings.extend(losses(TARGET, machine, &[Feature::KeptVariables]));
    }
    if machine.disks.iter().any(|disk| disk.serial.is_some() && disk.plain_serial().is_none()) {
        findings.push(lost(TARGET, "serial", "takes letters, digits and `_.+-` in serial numbers: one is left out"));
    }
    let (pod, others): (Vec<_>, Vec<_>) = devices::unmapped_cards(machine, options);
    let fate = "its card is on the pod network, where it gets another address by DHCP";
    findings.extend(unmapped(TARGET, &pod, fate));
    for card in others {
        let name = devices::network_of_nothing(card);
        let fate = format!("the machine waits for a NetworkAttachmentDefinition `{name}` in its namespace");
        let warnings = unmapped(TARGET, &[card], &fate);
        findings.extend(warnings.into_iter().filter(|warning| !findings.contains(warning)).collect::<Vec<_>>());
    }
    let fate = "the cluster's usual one is taken";
    findings.extend(without_storage(TARGET, machine.disks.len(), &options.storage, "storage class", fate));
    let strange = machine.disks.iter().map(|disk| &disk.format).find(|format| !upload::takes(format));
    if let Some(format) = strange {
        let message = format!("uploads take qcow2 and raw images for certain, and perhaps not {}", escape(format));
        findings.push(warn("target-format", message).hint("migrate with --format qcow2 or --format raw"));
    }
    findings
}

/// KubeVirt's word for a bus.
const fn bus(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::Virtio => "virtio",
        DiskBus::VirtioScsi => "scsi",
        // IDE is refused.
        _ => "sata",
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: TargetKubevirt,
    name: "target-kubevirt",
    summary: "Renders a machine as a VirtualMachine of KubeVirt",
    kinds: ["converter"],
    capabilities: ["kubevirt"],
}
