//! The target `proxmox`: a machine as the command that makes it at a node of Proxmox VE.
//!
//! Pure functions from a machine to text: `keys` is its configuration in the words of `qm`, of which both files are made; `script` is the script.

mod keys;
mod options;
mod script;

use vmdk2kvm_plugin_api::model::{Card, Finding, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, Result};
use vmdk2kvm_target_words::{Feature, losses, lost, options as read_options, unmapped, without_storage};

use options::Options;

/// The name of the target.
pub const TARGET: &str = "proxmox";

/// The plugin.
#[derive(Clone, Copy)]
pub struct TargetProxmox;

impl Plugin for TargetProxmox {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(*self))
    }
}

impl Converter for TargetProxmox {
    fn targets(&self) -> Vec<String> {
        vec![TARGET.to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let options: Options = read_options(request)?;
        options.check()?;
        let machine = &request.machine;
        let keys = keys::keys(machine, &options)?;
        let script = script::script(machine, &keys, &request.file_name)?;
        let files = vec![
            RenderedFile::new(format!("{}.proxmox.sh", request.file_name), script).with(|file| file.mode = 0o700),
            RenderedFile::new(format!("{}.proxmox.conf", request.file_name), script::conf(machine, &keys)),
        ];
        Ok(Rendered::new(files).with(|rendered| rendered.findings = findings(machine, &options)))
    }
}

fn findings(machine: &Machine, options: &Options) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Hyper-V's interfaces come with the kind of system, and so does local time.
    if keys::enlightened_alone(machine) {
        findings.extend(losses(TARGET, machine, &[Feature::Enlightenments]));
    }
    if machine.disks.iter().any(|disk| disk.serial.is_some() && keys::serial(disk).is_none()) {
        let message = "takes at most 20 letters, digits and `_.+-` as a serial number: one is left out";
        findings.push(lost(TARGET, "serial", message));
    }
    let alone: Vec<&Card> = machine.cards.iter().filter(|card| options.bridge(card).is_none()).collect();
    findings.extend(unmapped(
        TARGET,
        &alone,
        "its cards are on the bridge that the script's BRIDGE names, vmbr0 unless told",
    ));
    let fate = "the script's STORAGE is taken, local-lvm unless told";
    findings.extend(without_storage(TARGET, machine.disks.len(), &options.storage, "storage", fate));
    let strange = machine.disks.iter().map(|disk| &disk.format).find(|format| !keys::imports(format));
    if let Some(format) = strange {
        let message = format!("Proxmox VE imports qcow2, raw and vmdk images, and not {}", escape(format));
        let finding = Finding::new("target-format", Severity::Warn, message);
        findings.push(finding.hint("migrate with --format qcow2 or --format raw"));
    }
    findings
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: TargetProxmox,
    name: "target-proxmox",
    summary: "Renders a machine as a script that makes it at Proxmox VE",
    kinds: ["converter"],
    capabilities: ["proxmox"],
}
