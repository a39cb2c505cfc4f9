//! `vim-cmd`, as far as it is used: lists, records, power, snapshots.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vmdk2kvm_tests::esxi_disk::{descriptor, sparse_extent, value_of};

use crate::faults::{self, Fault};
use crate::{Bad, Done, Host};

/// Runs a verb.
pub fn run(host: &Host, verb: &str, arguments: &[&str]) -> Done {
    if let Some(Fault::Says(words)) = faults::next(host, "vim-cmd", verb) {
        return Err(Bad::new(words));
    }
    match (verb, arguments) {
        ("vmsvc/getallvms", []) => {
            list(host);
            Ok(())
        }
        ("vmsvc/get.config", [id]) => vm(host, id).map(|vm| print_config(host, &vm)),
        ("vmsvc/power.getstate", [id]) => {
            let vm = vm(host, id)?;
            println!("Retrieved runtime info\nPowered {}", vm["power"].as_str().unwrap());
            Ok(())
        }
        ("vmsvc/power.shutdown", [id]) => {
            let number = vm(host, id)?["id"].clone();
            host.change(|state| {
                let vms = state["vms"].as_array_mut().unwrap();
                vms.iter_mut().find(|vm| vm["id"] == number).unwrap()["power"] = "off".into();
            });
            Ok(())
        }
        ("vmsvc/snapshot.create", [id, name, description, "0", "0"]) => create(host, &vm(host, id)?, name, description),
        ("vmsvc/snapshot.remove", [id, snapshot, "0"]) => remove(host, &vm(host, id)?, snapshot),
        _ => Err(Bad::new(format!("Invalid command '{verb}'."))),
    }
}

fn vm(host: &Host, id: &str) -> Result<Value, Bad> {
    let state = host.state();
    let number: u64 = id.parse().map_err(|_| Bad::new("Insufficient arguments."))?;
    let found = state["vms"].as_array().unwrap().iter().find(|vm| vm["id"] == number);
    found
        .cloned()
        .ok_or_else(|| Bad::new(format!("(vim.fault.NotFound) {{\n   faultCause = (vmodl.MethodFault) null\n}} {id}")))
}

fn list(host: &Host) {
    let state = host.state();
    let vms = state["vms"].as_array().unwrap();
    let width =
        |member: &str| vms.iter().map(|vm| vm[member].as_str().unwrap().chars().count()).max().unwrap_or(4).max(4);
    let (name, file) = (width("name"), width("vmx"));
    println!("{:<7}{:<name$}   {:<file$}   Guest OS   Version   Annotation", "Vmid", "Name", "File");
    for vm in vms {
        let text = |member: &str| vm[member].as_str().unwrap_or_default();
        println!(
            "{:<7}{:<name$}   {:<file$}   other      vmx-19    {}",
            vm["id"].to_string(),
            text("name"),
            text("vmx"),
            text("notes")
        );
    }
}

fn print_config(host: &Host, vm: &Value) {
    let text = |member: &str| vm[member].as_str().unwrap_or_default();
    let datastore = text("vmx").strip_prefix('[').and_then(|rest| rest.split_once(']')).unwrap().0.to_owned();
    let id = std::fs::read_link(host.root.join("volumes").join(&datastore)).unwrap();
    println!(
        "Configuration:\n\n(vim.vm.ConfigInfo) {{\n   changeVersion = \"2026-11-30T00:00:00.0Z\",\n   name = \"{}\",\n   guestFullName = \"Other\",\n   \
         npivDesiredNodeWwns = <unset>,\n   annotation = \"{}\",\n   files = (vim.vm.FileInfo) {{\n      vmPathName = \"{}\",\n      \
         snapshotDirectory = \"[{datastore}] x/\"\n   }},\n   tools = (vim.vm.ToolsConfigInfo) null,\n   datastoreUrl = (vim.vm.ConfigInfo.DatastoreUrlPair) [\n      \
         (vim.vm.ConfigInfo.DatastoreUrlPair) {{\n         name = \"{datastore}\",\n         url = \"/vmfs/volumes/{}\"\n      }}\n   ],\n   \
         changeTrackingEnabled = {},\n}}",
        text("name"),
        text("notes"),
        text("vmx"),
        id.display(),
        vm["tracking"].as_bool().unwrap_or(false),
    );
}

/// The VMX of a VM on this machine.
fn vmx(host: &Host, vm: &Value) -> PathBuf {
    let (datastore, path) = vm["vmx"].as_str().unwrap().strip_prefix('[').unwrap().split_once("] ").unwrap();
    host.file(&format!("/vmfs/volumes/{datastore}/{path}")).unwrap()
}

/// The places of a VM's disks and the files that they have now.
fn disks(host: &Host, vmx: &Path) -> Vec<(String, String, PathBuf)> {
    let text = std::fs::read_to_string(vmx).unwrap();
    let of_line = |line: &str| {
        let (key, value) = line.split_once(" = ")?;
        let place = key.strip_suffix(".fileName")?.to_owned();
        let value = value.trim_matches('"').to_owned();
        let file = match value.starts_with('/') {
            true => host.file(&value)?,
            false => vmx.with_file_name(&value),
        };
        Some((place, value, file))
    };
    text.lines().filter_map(of_line).collect()
}

/// Whether a VM that runs writes to a file: the extents of its topmost disks.
pub fn is_locked(host: &Host, file: &Path) -> bool {
    let state = host.state();
    let Ok(file) = file.canonicalize() else { return false };
    state["vms"].as_array().unwrap().iter().filter(|vm| vm["power"] == "on").any(|vm| {
        disks(host, &vmx(host, vm)).iter().any(|(_, _, disk)| {
            let text = std::fs::read_to_string(disk).unwrap_or_default();
            let extents = text.lines().filter(|line| line.starts_with("RW ")).filter_map(|line| line.split('"').nth(1));
            extents.map(|name| disk.with_file_name(name)).any(|extent| extent.canonicalize().is_ok_and(|it| it == file))
        })
    })
}

fn create(host: &Host, vm: &Value, name: &str, description: &str) -> Done {
    let vmx = vmx(host, vm);
    let vmsd = vmx.with_extension("vmsd");
    let mut list = std::fs::read_to_string(&vmsd).unwrap_or_default();
    let number = list.matches(".uid = ").count();
    let id = 1 + (0..100).filter(|id| list.contains(&format!(".uid = \"{id}\""))).max().unwrap_or(0);
    let mut machine = std::fs::read_to_string(&vmx).unwrap();
    list += &format!(
        "snapshot{number}.uid = \"{id}\"\nsnapshot{number}.displayName = \"{}\"\nsnapshot{number}.description = \"{description}\"\n",
        name.replace('|', "|7C").replace('"', "|22")
    );
    let disks = disks(host, &vmx);
    list += &format!("snapshot{number}.numDisks = \"{}\"\n", disks.len());
    for (index, (place, written, file)) in disks.iter().enumerate() {
        let old = std::fs::read_to_string(file).unwrap();
        let base = written.trim_end_matches(".vmdk").split("-0000").next().unwrap().to_owned();
        let (top, extent) = (format!("{base}-{id:06}.vmdk"), format!("{base}-{id:06}-delta.vmdk"));
        let sectors: u64 =
            old.lines().find_map(|line| line.strip_prefix("RW ")?.split(' ').next()?.parse().ok()).unwrap();
        let new = descriptor(
            id,
            value_of(&old, "CID").as_deref(),
            "vmfsSparse",
            sectors,
            "VMFSSPARSE",
            extent.rsplit('/').next().unwrap(),
            Some(written),
        );
        let beside =
            |name: &str| if name.starts_with('/') { host.file(name).unwrap() } else { vmx.with_file_name(name) };
        std::fs::write(beside(&extent), sparse_extent(sectors, &[])).unwrap();
        std::fs::write(beside(&top), new).unwrap();
        machine =
            machine.replace(&format!("{place}.fileName = \"{written}\""), &format!("{place}.fileName = \"{top}\""));
        list += &format!(
            "snapshot{number}.disk{index}.fileName = \"{written}\"\nsnapshot{number}.disk{index}.node = \"{place}\"\n"
        );
    }
    std::fs::write(&vmx, machine).unwrap();
    std::fs::write(&vmsd, list).unwrap();
    host.note(&json!({"snapshot": name}));
    println!("Create Snapshot:");
    Ok(())
}

/// Removes the newest snapshot: no guest writes here, so nothing is to be merged.
fn remove(host: &Host, vm: &Value, snapshot: &str) -> Done {
    let vmx = vmx(host, vm);
    let vmsd = vmx.with_extension("vmsd");
    let list = std::fs::read_to_string(&vmsd).unwrap_or_default();
    let uid = format!(".uid = \"{snapshot}\"");
    let Some(number) = list.lines().find_map(|line| Some(line.strip_suffix(&uid)?.to_owned())) else {
        return Err(Bad::new("Snapshot not found"));
    };
    let mut machine = std::fs::read_to_string(&vmx).unwrap();
    let get = |member: &str| {
        let key = format!("{number}.{member} = ");
        list.lines().find_map(|line| Some(line.strip_prefix(&key)?.trim_matches('"').to_owned()))
    };
    for (place, written, file) in disks(host, &vmx) {
        let before = (0..9).find(|disk| get(&format!("disk{disk}.node")).as_deref() == Some(&place));
        let before = before.and_then(|disk| get(&format!("disk{disk}.fileName"))).unwrap();
        machine =
            machine.replace(&format!("{place}.fileName = \"{written}\""), &format!("{place}.fileName = \"{before}\""));
        let _ = std::fs::remove_file(&file);
        let _ = std::fs::remove_file(
            file.with_file_name(format!("{}-delta.vmdk", file.file_stem().unwrap().to_str().unwrap())),
        );
    }
    let rest: String =
        list.lines().filter(|line| !line.starts_with(&format!("{number}."))).map(|line| format!("{line}\n")).collect();
    std::fs::write(&vmx, machine).unwrap();
    std::fs::write(&vmsd, rest).unwrap();
    println!("Remove Snapshot:");
    Ok(())
}
