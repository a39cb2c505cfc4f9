//! The target `qemu`: a machine as a script that starts it with qemu alone, for people who have no libvirt.
//!
//! Pure functions from a machine to text: [`script`] is the script, `devices` its words for the devices. The part that is the same for all machines is shell in files of its own beside them.

mod devices;
pub mod script;

use vmdk2kvm_plugin_api::model::{CardNetwork, Finding, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, Result};

/// The name of the target.
pub const TARGET: &str = "qemu";

/// The plugin.
#[derive(Clone, Copy)]
pub struct TargetQemu;

impl Plugin for TargetQemu {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(*self))
    }
}

impl Converter for TargetQemu {
    fn targets(&self) -> Vec<String> {
        vec![TARGET.to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let text = script::script(&request.machine, &request.file_name)?;
        let file = RenderedFile::new(format!("{}.qemu.sh", request.file_name), text).with(|file| file.mode = 0o700);
        Ok(Rendered::new(vec![file]).with(|rendered| rendered.findings = findings(&request.machine)))
    }
}

/// What the script does otherwise than the job says.
fn findings(machine: &Machine) -> Vec<Finding> {
    let mut names: Vec<&str> = machine
        .cards
        .iter()
        .filter_map(|card| match card.network.as_ref()? {
            CardNetwork::Network(name) | CardNetwork::Bridge(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let lost = |name| {
        let message = format!("the script connects no card to the network {}: it has user networking", escape(name));
        Finding::new("target-lost-network", Severity::Warn, message)
            .hint("start it with QEMU_NETDEV, e.g. QEMU_NETDEV=bridge,br=br0")
    };
    names.into_iter().map(lost).collect()
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: TargetQemu,
    name: "target-qemu",
    summary: "Renders a machine as a script that starts it with qemu",
    kinds: ["converter"],
    capabilities: ["qemu"],
    preference: 50,
}
