//! A guest in which half of what the fixers look for is no file: links in rings, out of the guest and into the appliance, FIFOs,
//! devices, sockets, folders, files of a terabyte. One appliance, one plan of all fixers, everything that was planned is tried.
//! Requires libguestfs0, qemu-system-x86, e2fsprogs, and a kernel in /boot for the appliance; root, for the devices.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "../../library/appliance/tests/support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use support::{file, image, request, run};
use vmdk2kvm_appliance::Settings;
use vmdk2kvm_guestfs_offline_linux::open::attach;
use vmdk2kvm_linux_guest::{DiskLayout, FixSettings, fixers, inspect};
use vmdk2kvm_plugin_api::model::{Firmware, PlanContext};
use vmdk2kvm_plugin_api::{ErrorKind, Guest};
use vmdk2kvm_plugin_testing::FakeHost;

/// Something of the appliance that no guest has.
const APPLIANCE: &str = "/init";

/// Where the fixers look, in the order in which the kinds are dealt out.
const PLACES: [&str; 41] = [
    "etc/crypttab",
    "etc/default/grub",
    "etc/default/grub.d",
    "etc/kernel/cmdline",
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    "boot/grub/menu.lst",
    "boot/grub/device.map",
    "boot/loader/entries",
    "boot/extlinux.conf",
    "etc/cmdline.d",
    "etc/dracut.conf",
    "etc/dracut.conf.d",
    "boot/initrd.img-6.1",
    "etc/initramfs-tools/conf.d",
    "etc/initramfs-tools/initramfs.conf",
    "etc/initramfs-tools/modules",
    "etc/lvm/lvm.conf",
    "etc/lvm/devices/system.devices",
    "etc/lvm/cache/.cache",
    "etc/mdadm.conf",
    "etc/mdadm/mdadm.conf",
    "etc/modprobe.d",
    "etc/modules",
    "etc/modules-load.d",
    "etc/network/interfaces",
    "etc/network/interfaces.d",
    "etc/netplan",
    "etc/NetworkManager/system-connections",
    "etc/systemd/network",
    "etc/udev/rules.d",
    "etc/cron.d",
    "etc/apt/sources.list.d",
    "etc/X11/xorg.conf",
    "var/lib/dpkg/status",
    "etc/sysconfig/network-scripts",
    "etc/sysconfig/network",
    "etc/wicked/ifconfig",
    "etc/netctl",
    "etc/conf.d/net",
    "etc/cloud/cloud.cfg.d",
];

fn put(kind: usize, at: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    let name = at.to_str().unwrap();
    match kind {
        0 => symlink(at.file_name().unwrap(), at).unwrap(),
        1 => symlink(format!("{}{APPLIANCE}", "../".repeat(30)), at).unwrap(),
        2 => symlink(format!("/proc/1/root{APPLIANCE}"), at).unwrap(),
        3 => symlink(APPLIANCE, at).unwrap(),
        4 => drop(run("mkfifo", &[name])),
        5 => drop(run("mknod", &[name, "c", "1", "5"])),
        6 => fs::create_dir(at).unwrap(),
        7 => fs::File::create(at).unwrap().set_len(1 << 40).unwrap(),
        8 => symlink("..", at).unwrap(),
        _ => {
            // The name of a socket is short, wherever the tree is.
            let folder = tempfile::tempdir_in("/tmp").unwrap();
            drop(UnixListener::bind(folder.path().join("s")).unwrap());
            run("mv", &[folder.path().join("s").to_str().unwrap(), name]);
        }
    }
}

#[test]
fn a_plan_ends_well_and_inside_of_the_guest() {
    let folder = tempfile::tempdir().unwrap();
    let disk = image(folder.path(), |tree| {
        file(tree, "etc/fstab", "/dev/sda / ext4 defaults 0 1\n");
        file(tree, "etc/os-release", "ID=debian\n");
        file(tree, "usr/sbin/update-initramfs", "#!/bin/sh\n");
        file(tree, "lib/modules/6.1/modules.dep", "kernel/virtio_blk.ko:\nkernel/virtio_pci.ko:\n");
        file(tree, "boot/vmlinuz-6.1", "image");
        for (number, place) in PLACES.iter().enumerate() {
            put(number % 10, &tree.join(place));
        }
    });
    let host = FakeHost::new().without_settings();
    let (guest, found) = attach(&request(&disk, folder.path(), true), &Settings::default(), &host).unwrap();
    for place in PLACES {
        // Nothing of the appliance, nothing that never ends; a finding of the fixers or nothing at all.
        match guest.read(&format!("/{place}"), 1 << 20) {
            Ok(found) => assert!(found.is_none_or(|bytes| bytes.is_empty()), "{place} was read"),
            Err(error) => assert_eq!(error.kind, ErrorKind::Unusable, "{place}: {error}"),
        }
    }
    let layout = DiskLayout {
        firmware: Some(Firmware::Bios),
        root: Some("/dev/sda".to_owned()),
        mounts: found.mounts.clone(),
        disks: found.volumes.disks.clone(),
    };
    let inspection = inspect(&guest, &layout).unwrap();
    let context = PlanContext::new(request(&disk, folder.path(), true).vm, inspection);
    let mut findings = 0;
    let mut targets = Vec::new();
    for fixer in fixers(&FixSettings::default()) {
        let plan = fixer.plan(&context, &guest).unwrap_or_else(|error| panic!("{}: {error}", fixer.name()));
        findings += plan.findings.len();
        for change in plan.changes {
            targets.push(change.target.clone());
            if change.action.kind() == "rebuild_initramfs" {
                continue;
            }
            if let Err(error) = guest.apply(&change) {
                assert!(
                    matches!(error.kind, ErrorKind::Unusable | ErrorKind::Io | ErrorKind::Output),
                    "{}: {error}",
                    change.target
                );
            }
        }
    }
    assert!(findings >= 12, "{findings} findings");
    assert!(targets.contains(&"/etc/fstab".to_owned()), "{targets:?}");
    guest.close().unwrap();
    assert!(run("e2fsck", &["-fn", disk.to_str().unwrap()]).contains("files"));
}
