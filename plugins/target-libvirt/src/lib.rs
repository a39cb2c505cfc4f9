//! The target `libvirt`: a machine as the domain XML of libvirt's QEMU driver, and its definition at a daemon.
//!
//! Rendering is pure; the document is the library's. [`define`] speaks with a daemon: [`known`] says whose a domain is that is there
//! already, [`pool`] brings images in, [`reach`] says what would keep the domain from starting, [`undo`] takes back what was done.

mod define;
mod known;
mod options;
mod pool;
mod reach;
mod undo;

use vmdk2kvm_libvirt::DEFAULT_NETWORK;
use vmdk2kvm_libvirt::domain::{self, Words};
use vmdk2kvm_plugin_api::model::{Define, Defined, Finding, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, Result};

use options::Options;

/// The name of the target.
const TARGET: &str = "libvirt";

/// The plugin.
#[derive(Clone)]
pub struct TargetLibvirt(Host);

impl Plugin for TargetLibvirt {
    fn new(host: Host) -> Result<Self> {
        Ok(Self(host))
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(self.clone()))
    }
}

impl Converter for TargetLibvirt {
    fn targets(&self) -> Vec<String> {
        vec![TARGET.to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let words = Words { hypervisor: Options::of(request)?.hypervisor(), mark: None };
        let xml = domain::domain_xml(&request.machine, &words)?;
        let file = RenderedFile::new(format!("{}.xml", request.file_name), xml);
        Ok(Rendered::new(vec![file]).with(|rendered| rendered.findings = findings(&request.machine)))
    }

    fn define(&self, request: &Define) -> Result<Defined> {
        define::define(&self.0, request)
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
        let which =
            if name.is_empty() { "a network without a name".into() } else { format!("the network {}", escape(name)) };
        let default = DEFAULT_NETWORK;
        let message =
            format!("{which} has no counterpart in `machine.networks`: its cards go to the network `{default}`");
        Finding::new("network-unmapped", Severity::Warn, message)
            .hint("name one with --set machine.networks.\"OLD\"=NEW")
    }));
    findings
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: TargetLibvirt,
    name: "target-libvirt",
    summary: "Renders a machine as a libvirt domain, and defines it there",
    kinds: ["converter"],
    capabilities: ["libvirt"],
    preference: 100,
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Card, CardModel, CardNetwork, Cpus, DiskBus, Firmware, MachineDisk};
    use vmdk2kvm_plugin_testing::FakeHost;

    use super::*;

    fn render(machine: Machine) -> Rendered {
        let converter = TargetLibvirt::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
        assert_eq!(converter.targets(), [TARGET]);
        converter.render(&Render::new(TARGET, machine, "web-server")).unwrap()
    }

    fn machine() -> Machine {
        Machine::new("web server", Firmware::Bios, Cpus::new(1, 1), 1 << 30)
    }

    fn card(old: Option<&str>, new: Option<&str>) -> Card {
        Card::new(CardModel::Virtio).with(|card| {
            card.old_network = old.map(str::to_owned);
            card.network = new.map(|name| CardNetwork::Network(name.to_owned()));
        })
    }

    #[test]
    fn the_file_bears_the_safe_name() {
        let rendered = render(machine());
        let [file] = &rendered.files[..] else { panic!("{rendered:?}") };
        assert_eq!((file.name.as_str(), file.mode), ("web-server.xml", 0o600));
        assert!(file.text.contains("<name>web server</name>"), "{}", file.text);
        assert!(rendered.findings.is_empty());
    }

    #[test]
    fn networks_without_a_word_are_named_once() {
        let cards = [
            card(Some("A"), None),
            card(Some("B\u{1b}"), None),
            card(Some("A"), None),
            card(None, None),
            card(Some("C"), Some("lab")),
        ];
        let findings = render(machine().with(|machine| machine.cards = cards.to_vec())).findings;
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        let rest = "has no counterpart in `machine.networks`: its cards go to the network `default`";
        let named =
            ["the network A", "the network B\\x1b", "a network without a name"].map(|it| format!("{it} {rest}"));
        assert_eq!(messages, named);
        assert!(findings.iter().all(|finding| finding.code == "network-unmapped"));
    }

    #[test]
    fn a_format_that_only_qemu_opens_is_a_finding() {
        let disk = MachineDisk::new("vhdx", 1 << 30, DiskBus::Virtio).with(|disk| disk.image = "/o/w.vhdx".into());
        let findings = render(machine().with(|machine| machine.disks = vec![disk.clone(), disk])).findings;
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(finding.code, "libvirt-format");
        assert_eq!(finding.message, "libvirt cannot open vhdx disks: only QEMU itself can run this domain");
    }
}
