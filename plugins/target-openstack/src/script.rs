//! The script that makes volumes and ports, and says how the server is made of them.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Machine, unicast_mac};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_target_words::{boot_places, head, images, label, quote};

use super::options::Options;
use super::properties::bus;

/// The unit of volumes.
pub const GIB: u64 = 1 << 30;

/// What every script does before it knows its machine.
const CREATE: &str = include_str!("create.sh");

/// The script of a machine.
pub fn script(
    machine: &Machine,
    properties: &BTreeMap<&'static str, String>,
    options: &Options,
    file_name: &str,
) -> Result<String> {
    let cpus = machine.cpus.consistent();
    let notes = format!(
        "Written by vmdk2kvm. It needs the program openstack and its credentials, and starts nothing: it ends with the command that makes the server,\n\
         which OpenStack starts at once. A flavor has to have {} processors and {} MiB of memory; its disk is not used.\n\
         These variables change what is made:\n  NETWORK   what cards are on that the job names no network for\n  FLAVOR    the flavor of the server",
        cpus.count,
        machine.memory_bytes.div_ceil(1 << 20).max(1)
    );
    let name = label(&machine.name, 63);
    let mut script = head("Makes the volumes and ports of", &machine.name, file_name, &notes);
    script.line(CREATE.trim_end());
    script.line("properties=(");
    for (key, value) in properties {
        script.line(format_args!("    --property {}", quote(&format!("{key}={value}"))));
    }
    script.line(")");
    script.line(format_args!("flavor=${{FLAVOR:-{}}}", quote(options.flavor.as_deref().unwrap_or("FLAVOR"))));
    let is_unmapped = machine.cards.iter().any(|card| super::network(card, options).is_none());
    if is_unmapped {
        script.line("if [[ -z ${NETWORK:-} ]]; then");
        script.line("    say 'name the network of the cards that the job names none for, with NETWORK=...'");
        script.line("    exit 64");
        script.line("fi");
    }
    script.line("");
    let disk = |number: usize| format!("{name}-disk{number}");
    for number in 1..=machine.disks.len() {
        script.command("taken volume", [disk(number).as_str()]);
        script.command("taken image", [disk(number).as_str()]);
    }
    for number in 1..=machine.cards.len() {
        script.command("taken port", [format!("{name}-port{number}").as_str()]);
    }
    script.line("");
    let places = boot_places(machine);
    for (index, (image, new)) in images(machine)?.into_iter().zip(&machine.disks).enumerate() {
        let (volume, size) = (disk(index + 1), new.size_bytes.div_ceil(GIB).max(1).to_string());
        let mut values = vec![volume.as_str(), image, &new.format, &size];
        if let Some(kind) = options.storage.get(&(index + 1).to_string()) {
            values.extend(["--type", kind.as_str()]);
        }
        if places[index] == Some(1) {
            values.push("--bootable");
        }
        script.command("volume", values);
        // From 0, and below it for one that is not booted from.
        let place = places[index].map_or_else(|| "-1".to_owned(), |place| (place - 1).to_string());
        script.line(format_args!(
            "words+=(--block-device \"uuid=${{volumes[{index}]}},source_type=volume,destination_type=volume,disk_bus={},boot_index={place}\")",
            bus(new.bus)
        ));
    }
    for (index, card) in machine.cards.iter().enumerate() {
        let port = quote(&format!("{name}-port{}", index + 1));
        let network = super::network(card, options).map_or_else(|| "\"$NETWORK\"".to_owned(), quote);
        let mac =
            card.mac.as_deref().and_then(unicast_mac).map(|mac| format!(" --mac-address {mac}")).unwrap_or_default();
        script.line(format_args!("port {port} {network}{mac}"));
    }
    if machine.cards.is_empty() {
        script.line("words+=(--nic none)");
    }
    let shown = quote(&format!("name={}", escape(&machine.name)));
    script.line("");
    script.line("say 'all is made, and nothing started. This makes the server, and starts it:'");
    script.line(format_args!(
        "printf ' %q' openstack server create --flavor \"$flavor\" \"${{words[@]}}\" --property {shown} -- {}",
        quote(&name)
    ));
    script.line("printf '\\n'");
    Ok(script.text())
}
