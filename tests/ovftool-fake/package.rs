//! An OVF with its disks and its manifest.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Lab;
use crate::say::Say;

/// Exports disks, each `{raw, controller, bus, unit, bytes}`.
pub fn export(lab: &Lab, disks: &[Value], target: &Path, name: &str, say: &Say) -> Result<(), String> {
    let folder = target.parent().unwrap();
    let mut manifest = String::new();
    let mut note = |file: &str| {
        let digest = format!("{:x}", Sha256::digest(std::fs::read(folder.join(file)).unwrap()));
        let digest = if lab.has("digest") && file.contains("disk1") { "0".repeat(64) } else { digest };
        writeln!(manifest, "SHA256({file})= {digest}").unwrap();
    };
    let (mut references, mut section, mut items) = (String::new(), String::new(), String::new());
    for (index, disk) in disks.iter().enumerate() {
        let number = index + 1;
        let file = format!("{name}-disk{number}.vmdk");
        if lab.has("half") && index == 1 {
            // What an aborted export wrote is removed.
            std::fs::remove_file(folder.join(format!("{name}-disk1.vmdk"))).unwrap();
            return Err("Lost connection to the server".to_owned());
        }
        let made = Command::new("qemu-img")
            .args(["convert", "-q", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"])
            .arg(disk["raw"].as_str().unwrap())
            .arg(folder.join(&file))
            .status();
        assert!(made.expect("qemu-img (package qemu-utils)").success());
        note(&file);
        let (bus, unit) = (disk["bus"].as_u64().unwrap(), disk["unit"].as_u64().unwrap());
        let (kind, subtype) = match disk["controller"].as_str().unwrap() {
            "sata" => (20, "vmware.sata.ahci"),
            "ide" => (5, ""),
            _ => (6, "VirtualSCSI"),
        };
        write!(references, "<File ovf:href=\"{file}\" ovf:id=\"file{number}\"/>").unwrap();
        let mebibytes = disk["bytes"].as_u64().unwrap() >> 20;
        write!(section, "<Disk ovf:capacity=\"{mebibytes}\" ovf:capacityAllocationUnits=\"byte * 2^20\" ovf:diskId=\"vmdisk{number}\" ovf:fileRef=\"file{number}\"/>").unwrap();
        write!(
            items,
            "<Item><rasd:Address>{bus}</rasd:Address><rasd:InstanceID>{}</rasd:InstanceID><rasd:ResourceSubType>{subtype}</rasd:ResourceSubType><rasd:ResourceType>{kind}</rasd:ResourceType></Item>\
             <Item><rasd:AddressOnParent>{unit}</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/vmdisk{number}</rasd:HostResource><rasd:InstanceID>{}</rasd:InstanceID><rasd:Parent>{}</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>",
            100 + number,
            200 + number,
            100 + number
        )
        .unwrap();
        say.progress(number * 100 / disks.len());
    }
    let ovf = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\"><References>{references}</References><DiskSection>{section}</DiskSection>\
         <VirtualSystem ovf:id=\"{name}\"><VirtualHardwareSection>{items}</VirtualHardwareSection></VirtualSystem></Envelope>\n"
    );
    std::fs::write(target, ovf).unwrap();
    note(&format!("{name}.ovf"));
    if !lab.has("no manifest") {
        std::fs::write(folder.join(format!("{name}.mf")), manifest).unwrap();
    }
    if lab.has("missing disk") {
        std::fs::remove_file(folder.join(format!("{name}-disk1.vmdk"))).unwrap();
    }
    Ok(())
}
