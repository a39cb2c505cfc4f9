//! `inspect`: what a guest is.

use vmdk2kvm_plugin_api::model::{Firmware, Inspection, VmSpec};

use super::findings::findings;
use super::inventory;
use super::network::interfaces;
use super::table::{Table, facts, heading};

/// The machine and what its disks say.
pub fn inspection(vm: &VmSpec, inspection: &Inspection) -> String {
    let os = &inspection.os;
    let family = os.family.as_str();
    let product = if os.product.is_empty() { format!("{} {}", os.distro, os.version) } else { os.product.clone() };
    let firmware = inspection.firmware.map(|firmware| match firmware {
        Firmware::Bios => "BIOS",
        Firmware::Uefi => "UEFI",
        _ => "unknown",
    });
    let tools = match (inspection.vmware_tools.installed, &inspection.vmware_tools.kind) {
        (false, _) => "not installed".to_owned(),
        (true, kind) => [kind.as_str(), &inspection.vmware_tools.packages.join(" ")].join(" ").trim().to_owned(),
    };
    let mut text = inventory::vm(vm);
    text.push('\n');
    text.push_str(&facts(&[
        ("system", product.trim().to_owned()),
        ("family", family.to_owned()),
        ("architecture", os.arch.clone()),
        ("host name", os.hostname.clone()),
        ("disks made for", firmware.unwrap_or_default().to_owned()),
        ("bootloader", inspection.bootloader.clone().unwrap_or_default()),
        ("root", inspection.root.clone().unwrap_or_default()),
        ("network", inspection.network.stacks.join(", ")),
        ("tools", tools),
    ]));
    let mut mounts = Table::new(&["MOUNTED AT", "DEVICE", "TYPE", "UUID"]);
    for mount in &inspection.mounts {
        let uuid = mount.uuid.clone().unwrap_or_default();
        mounts.row([mount.mountpoint.clone(), mount.device.clone(), mount.fstype.clone(), uuid]);
    }
    let mut kernels = Table::new(&["KERNEL", "VIRTIO IN KERNEL", "VIRTIO AT BOOT"]);
    for kernel in &inspection.kernels {
        kernels.row([
            kernel.version.clone(),
            short_names(&kernel.virtio.in_kernel),
            short_names(&kernel.virtio.in_initramfs),
        ]);
    }
    for table in [mounts, kernels, interfaces(&inspection.network)] {
        let rows = table.render("");
        if !rows.is_empty() {
            text.push_str(&heading(rows.trim_end()));
        }
    }
    text.push_str(&findings(&inspection.findings));
    text
}

/// Drivers without what they all begin with; `none` when there are none, which is what one looks for.
fn short_names(drivers: &[String]) -> String {
    let names = drivers.iter().map(|name| name.strip_prefix("virtio_").unwrap_or(name));
    if drivers.is_empty() { "none".to_owned() } else { names.collect::<Vec<_>>().join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_reads_as_facts_tables_and_findings() {
        let vm: VmSpec = serde_json::from_value(serde_json::json!({
            "schema": 1, "name": "web", "firmware": "bios", "cpus": {"count": 1, "sockets": 1, "cores_per_socket": 1},
            "memory_bytes": 1_073_741_824
        }))
        .unwrap();
        let inspected: Inspection = serde_json::from_value(serde_json::json!({
            "schema": 1, "os": {"family": "linux", "distro": "debian", "version": "12", "arch": "x86_64"},
            "firmware": "bios", "bootloader": "grub2", "root": "/dev/sda1",
            "mounts": [{"device": "/dev/sda1", "mountpoint": "/", "fstype": "ext4", "uuid": "u-1"}],
            "kernels": [{"version": "6.1.0-1", "virtio": {"in_kernel": ["virtio_blk", "virtio_net"], "in_initramfs": []}}],
            "network": {"stacks": ["ifupdown"], "interfaces": [{"name": "ens192", "addresses": ["10.0.2.77/24"]}]},
            "vmware_tools": {"installed": true, "kind": "package", "packages": ["open-vm-tools"]},
            "findings": [{"code": "a", "severity": "info", "message": "one"},
                {"code": "b", "severity": "block", "message": "two\u{1b}", "hint": "do"}]
        }))
        .unwrap();
        assert_eq!(
            inspection(&vm, &inspected),
            "\
name      web
firmware  BIOS
cpus      1 (1 socket x 1 core)
memory    1.00 GiB

system          debian 12
family          linux
architecture    x86_64
disks made for  BIOS
bootloader      grub2
root            /dev/sda1
network         ifupdown
tools           package open-vm-tools

MOUNTED AT  DEVICE     TYPE  UUID
/           /dev/sda1  ext4  u-1

KERNEL   VIRTIO IN KERNEL  VIRTIO AT BOOT
6.1.0-1  blk net           none

INTERFACE  MAC  ADDRESS
ens192     -    10.0.2.77/24

blocked: two\\x1b [b]
  do
note: one [a]
"
        );
    }
}
