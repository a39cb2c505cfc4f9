//! The script, and the same to read.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::Machine;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_target_words::{head, quote};

use super::keys::{Key, Storage};

/// What every script does before it knows its machine.
const CREATE: &str = include_str!("create.sh");

const NOTES: &str = "Written by vmdk2kvm. It is run as root on a node of Proxmox VE, where the images are, and starts nothing. These variables change what is made:
  VMID      its number; unless told the next free one
  STORAGE   where volumes lie that the job names no storage for; unless told local-lvm
  BRIDGE    what cards are on that the job names no bridge for; unless told vmbr0
The images are copied: there must be space for both.";

/// The script of a machine.
pub fn script(machine: &Machine, keys: &[Key], file_name: &str) -> Result<String> {
    let mut script = head("Makes the virtual machine", &machine.name, file_name, NOTES);
    script.line(CREATE.trim_end());
    script.line("");
    script.line(format_args!("words=(--description {})", quote(&escape(&machine.name))));
    for Key { name, storage, value } in keys {
        match storage {
            Some(Storage { name: storage, image }) => {
                let storage = storage.as_deref().map_or_else(|| "\"$STORAGE\"".to_owned(), quote);
                let image = quote(image.as_deref().unwrap_or_default());
                script.line(format_args!("volume {name} {storage} {image} {}", quote(value)));
            }
            None => script.line(format_args!("words+=(--{name} {})", words(value))),
        }
    }
    script.line("qm create \"$VMID\" \"${words[@]}\"");
    script.line("say \"the machine $VMID is made, and off: qm start $VMID\"");
    Ok(script.text())
}

/// A value, in which the script's own variable stays one.
fn words(value: &str) -> String {
    match value.split_once("$BRIDGE") {
        Some((before, after)) => {
            format!("{}\"$BRIDGE\"{}", quote(before), if after.is_empty() { String::new() } else { quote(after) })
        }
        None => quote(value),
    }
}

/// The configuration as lines, for people.
pub fn conf(machine: &Machine, keys: &[Key]) -> String {
    let mut text = format!(
        "# {}\n# To read: Proxmox VE writes its own file when the script beside this one has made the machine.\n",
        escape(&machine.name)
    );
    for Key { name, storage, value } in keys {
        let storage = storage.as_ref().map(|storage| {
            let from = storage.image.as_deref().map(|image| format!(",import-from={}", escape(image)));
            format!("{}:0{},", storage.name.as_deref().unwrap_or("$STORAGE"), from.unwrap_or_default())
        });
        text.push_str(&format!("{name}: {}{value}\n", storage.unwrap_or_default()));
    }
    text
}
