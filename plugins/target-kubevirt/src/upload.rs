//! The script that brings the images into the volumes.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::Machine;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_target_words::{head, images, quote};

use super::manifest;
use super::options::Options;

/// What every upload does.
const UPLOAD: &str = include_str!("upload.sh");

/// The formats that an upload takes for certain.
pub fn takes(format: &str) -> bool {
    matches!(format, "qcow2" | "raw")
}

/// The script of a machine.
pub fn script(machine: &Machine, options: &Options, file_name: &str) -> Result<String> {
    let notes = format!(
        "Written by vmdk2kvm. It starts nothing, and needs kubectl and virtctl. First make the volumes and the machine, which stays off:\n\
         \n    kubectl create -f {file}.kubevirt.yaml\n\n\
         Arguments are handed to virtctl, e.g. --insecure, or --force-bind for a storage class that waits for a consumer.",
        file = escape(file_name)
    );
    let mut script = head("Uploads the disks of", &machine.name, file_name, &notes);
    let namespace = options.namespace.as_deref().map(|name| format!("--namespace {}", quote(name)));
    script.line(format_args!("namespace=({})", namespace.unwrap_or_default()));
    script.line(UPLOAD.trim_end());
    script.line("");
    for (index, image) in images(machine)?.into_iter().enumerate() {
        script.command("upload", [manifest::volume(machine, index + 1).as_str(), image]);
    }
    Ok(script.text())
}
