//! `inventory`: the virtual machines of a source.

use vmdk2kvm_plugin_api::model::{Controller, Firmware, NicKind, RemovableKind, VmSpec};

use super::findings::findings;
use super::table::{Table, facts, heading};
use crate::events::bytes;

/// Every virtual machine with its hardware.
pub fn inventory(vms: &[VmSpec]) -> String {
    if vms.is_empty() {
        return "no virtual machine\n".to_owned();
    }
    vms.iter().map(|found| vm(found) + &findings(&found.findings)).collect::<Vec<_>>().join("\n")
}

/// One virtual machine.
pub(super) fn vm(vm: &VmSpec) -> String {
    let guessed = |member: &str, value: String| {
        if vm.guessed.iter().any(|name| name == member) { format!("{value} (guessed)") } else { value }
    };
    let topology = format!(
        "{} ({} x {})",
        vm.cpus.count,
        plural(vm.cpus.sockets, "socket"),
        plural(vm.cpus.cores_per_socket, "core")
    );
    let mut text = facts(&[
        ("name", guessed("name", vm.name.clone())),
        ("uuid", vm.uuid.clone().unwrap_or_default()),
        ("guest", vm.guest_id.clone().unwrap_or_default()),
        ("firmware", guessed("firmware", firmware(vm).to_owned())),
        ("tpm", if vm.tpm { "yes".to_owned() } else { String::new() }),
        ("cpus", guessed("cpus", topology)),
        ("memory", guessed("memory_bytes", bytes(vm.memory_bytes))),
    ]);
    let mut disks = Table::new(&["DISK", "AT", "FORMAT", "CAPACITY", "NAME"]);
    for (index, disk) in vm.disks.iter().enumerate() {
        let capacity = if disk.capacity_bytes == 0 { String::new() } else { bytes(disk.capacity_bytes) };
        let at = format!("{}{}:{}", controller(disk.controller), disk.bus, disk.unit);
        disks.row([
            (index + 1).to_string(),
            at,
            disk.ways.first().map(|way| way.format.clone()).unwrap_or_default(),
            capacity,
            disk.name.clone(),
        ]);
    }
    let mut nics = Table::new(&["NIC", "MAC", "MODEL", "NETWORK"]);
    for (index, nic) in vm.nics.iter().enumerate() {
        let network = nic.network.clone().unwrap_or_default();
        let network = if nic.kind == NicKind::Bridge { format!("bridge {network}") } else { network };
        let (mac, model) = (nic.mac.clone().unwrap_or_default(), nic.model.clone().unwrap_or_default());
        nics.row([(index + 1).to_string(), mac, model, network]);
    }
    let mut drives = Table::new(&["DRIVE", "AT"]);
    for drive in &vm.removable {
        let kind = match drive.kind {
            RemovableKind::Cdrom => "cdrom",
            RemovableKind::Floppy => "floppy",
            _ => "drive",
        };
        drives.row([kind.to_owned(), drive.controller.clone()]);
    }
    for table in [disks, nics, drives] {
        let rows = table.render("");
        if !rows.is_empty() {
            text.push_str(&heading(rows.trim_end()));
        }
    }
    text
}

fn firmware(vm: &VmSpec) -> &'static str {
    match (vm.firmware, vm.secure_boot) {
        (Firmware::Bios, _) => "BIOS",
        (Firmware::Uefi, false) => "UEFI",
        (Firmware::Uefi, true) => "UEFI with Secure Boot",
        _ => "unknown",
    }
}

fn controller(controller: Controller) -> &'static str {
    match controller {
        Controller::Ide => "ide",
        Controller::Sata => "sata",
        Controller::Nvme => "nvme",
        _ => "scsi",
    }
}

fn plural(count: u32, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_reads_as_tables() {
        let vm: VmSpec = serde_json::from_value(serde_json::json!({
            "schema": 1, "name": "web\u{1b}[2J", "firmware": "uefi", "secure_boot": true,
            "cpus": {"count": 2, "sockets": 1, "cores_per_socket": 2}, "memory_bytes": 2_147_483_648_u64,
            "disks": [{"name": "web.vmdk", "controller": "scsi", "bus": 0, "unit": 1, "capacity_bytes": 4_294_967_296_u64,
                "ways": [{"scheme": "file", "object": "web.vmdk", "format": "vmdk"}]}],
            "nics": [{"mac": "00:50:56:00:00:01", "model": "vmxnet3", "network": "VM Network", "kind": "network"}],
            "removable": [{"kind": "cdrom", "controller": "ide"}], "guessed": ["memory_bytes"],
            "findings": [{"code": "ovf-disk-unused", "severity": "warn", "message": "disk 'd2' is not moved"}]
        }))
        .unwrap();
        assert_eq!(
            inventory(&[vm]),
            "\
name      web\\x1b[2J
firmware  UEFI with Secure Boot
cpus      2 (1 socket x 2 cores)
memory    2.00 GiB (guessed)

DISK  AT       FORMAT  CAPACITY  NAME
1     scsi0:1  vmdk    4.00 GiB  web.vmdk

NIC  MAC                MODEL    NETWORK
1    00:50:56:00:00:01  vmxnet3  VM Network

DRIVE   AT
cdrom   ide

warning: disk 'd2' is not moved [ovf-disk-unused]
"
            .replace("DRIVE   AT\ncdrom   ide", "DRIVE  AT\ncdrom  ide")
        );
        assert_eq!(inventory(&[]), "no virtual machine\n");
    }
}
