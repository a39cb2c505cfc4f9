//! The target `nimbus`: a machine as the JSON that a made-up cloud takes.

use serde_json::json;
use vmdk2kvm_plugin_api::model::{CardModel, Finding, Firmware, Machine, Render, Rendered, RenderedFile, Severity};
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, PluginError, Result, export_plugin};

struct Nimbus;

impl Converter for Nimbus {
    fn targets(&self) -> Vec<String> {
        vec!["nimbus".to_owned()]
    }

    fn render(&self, request: &Render) -> Result<Rendered> {
        let machine = &request.machine;
        let zone = request.options["zone"].as_str().unwrap_or("north");
        let disk = |disk: &vmdk2kvm_plugin_api::model::MachineDisk| {
            json!({ "upload": disk.image, "format": disk.format, "gigabytes": disk.size_bytes.div_ceil(1 << 30) })
        };
        let instance = json!({
            "name": machine.name,
            "zone": zone,
            "boot": if machine.firmware == Firmware::Uefi { "uefi" } else { "bios" },
            "cores": machine.cpus.count,
            "megabytes": machine.memory_bytes >> 20,
            "volumes": machine.disks.iter().map(disk).collect::<Vec<_>>(),
            "addresses": machine.cards.iter().map(|card| card.mac.clone()).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&instance).map_err(|error| PluginError::defect(error.to_string()))?;
        let file = RenderedFile::new(format!("{}.nimbus.json", request.file_name), text + "\n");
        Ok(Rendered::new(vec![file]).with(|rendered| rendered.findings = lost(machine)))
    }
}

/// What the cloud does not have.
fn lost(machine: &Machine) -> Vec<Finding> {
    let other = machine.cards.iter().any(|card| card.model != CardModel::Virtio);
    let message = "Nimbus has virtio network cards alone: the guest needs their driver";
    other.then(|| Finding::new("target-lost-card", Severity::Warn, message)).into_iter().collect()
}

impl Plugin for Nimbus {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(Nimbus))
    }
}

export_plugin! {
    plugin: Nimbus,
    name: "nimbus-target",
    summary: "Writes a machine down for the Nimbus cloud",
    kinds: ["converter"],
    capabilities: ["nimbus"],
}
