//! The target `libvirt`: a machine as the domain XML of libvirt's QEMU driver.
//!
//! Pure functions from a machine to XML: [`domain`] is the document, `devices` its devices, `xml` the one way from elements to text.

mod devices;
pub mod domain;
mod xml;

use vmdk2kvm_plugin_api::model::{Finding, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, Result};

/// The name of the target.
const TARGET: &str = "libvirt";

/// The plugin.
#[derive(Clone, Copy)]
pub struct TargetLibvirt;

impl Plugin for TargetLibvirt {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(*self))
    }
}

impl Converter for TargetLibvirt {
    fn targets(&self) -> Vec<String> {
        vec![TARGET.to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let xml = domain::domain_xml(&request.machine)?;
        let file = RenderedFile::new(format!("{}.xml", request.file_name), xml);
        Ok(Rendered::new(vec![file]).with(|rendered| rendered.findings = findings(&request.machine)))
    }
}

/// What libvirt cannot express, or does otherwise than at the source.
fn findings(machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut formats: Vec<&str> = machine.disks.iter().map(|disk| disk.format.as_str()).collect();
    formats.sort_unstable();
    formats.dedup();
    for format in formats.into_iter().filter(|format| !domain::opens(format)) {
        let message = format!("libvirt cannot open {format} disks: only QEMU itself can run this domain");
        findings.push(
            Finding::new("libvirt-format", Severity::Warn, message).hint("migrate with --format qcow2 or --format raw"),
        );
    }
    let mut networks: Vec<&str> = Vec::new();
    for card in machine.cards.iter().filter(|card| card.network.is_none()) {
        let name = card.old_network.as_deref().unwrap_or_default();
        if !networks.contains(&name) {
            networks.push(name);
        }
    }
    findings.extend(networks.into_iter().map(|name| {
        let message = format!(
            "the network {} has no counterpart in `machine.networks`: its cards go to the network `{}`",
            escape(name),
            devices::DEFAULT_NETWORK
        );
        Finding::new("network-unmapped", Severity::Warn, message)
            .hint("name one with --set machine.networks.\"OLD\"=NEW")
    }));
    findings
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: TargetLibvirt,
    name: "target-libvirt",
    summary: "Writes a machine down as a libvirt domain",
    kinds: ["converter"],
    capabilities: ["libvirt"],
    preference: 100,
}
