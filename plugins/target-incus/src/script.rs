//! The script that brings the images in and makes the instance.

use vmdk2kvm_plugin_api::model::Machine;
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_target_words::{boot_places, head, images, label, quote};

use super::instance::{bus, root};
use super::options::Options;

/// What every script does before it knows its machine.
const CREATE: &str = include_str!("create.sh");

const NOTES: &str = "Written by vmdk2kvm. It is run on the host of Incus, and starts nothing. STORAGE in the environment names another pool.
The first disk to start from becomes a volume; the others stay files beside this script, as raw ones.";

/// The script of a machine.
pub fn script(machine: &Machine, options: &Options, file_name: &str) -> Result<String> {
    let root = root(machine)
        .ok_or_else(|| PluginError::unusable("the machine has no disk, and Incus makes an instance of one"))?;
    let name = label(&machine.name, 63);
    let mut script = head("Makes the virtual machine", &machine.name, file_name, NOTES);
    script.line(format_args!("name={}", quote(&name)));
    script.line("alias=vmdk2kvm-$name");
    let places = boot_places(machine);
    let paths = images(machine)?;
    script.line(CREATE.trim_end().replace("@STORAGE@", &quote(options.storage.as_deref().unwrap_or("default"))));
    script.line("");
    let disk = &machine.disks[root];
    let properties = [
        format!("size={}B", disk.size_bytes),
        format!("io.bus={}", bus(disk.bus)),
        format!("boot.priority={}", machine.disks.len()),
    ];
    let [size, on, priority] = &properties;
    script.command("root", [paths[root], &disk.format, size, on, priority]);
    for (index, disk) in machine.disks.iter().enumerate().filter(|(index, _)| *index != root) {
        // The root's is the number of disks, and what is higher is started from first.
        let priority = places[index].map_or(0, |place| machine.disks.len() + 1 - place).to_string();
        let device = format!("disk{}", index + 1);
        script.command("disk", [&device, paths[index], &disk.format, bus(disk.bus), &priority]);
    }
    script.line("say \"the instance $name is made, and off: incus start $name\"");
    Ok(script.text())
}
