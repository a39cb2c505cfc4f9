//! The Linux fixers on whole trees: everything is applied, and planning again gives nothing.
//!
//! The trees resemble guests as years on VMware leave them: (a) BIOS, one disk, ifupdown; (b) UEFI, LVM, systemd-networkd.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Tree, change, disk, kinds};
use vmdk2kvm_linux_guest::initramfs::{contents, has_driver};
use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{Action, Firmware, InitramfsTool, PackageManager, Severity};

const KERNEL: &str = "6.1.0-37-amd64";

/// Guest (a).
pub fn bios() -> Tree {
    let tree = Tree::new(Firmware::Bios, Some("/dev/sda1"), vec![disk(0, &[(1, "ext4"), (5, "swap")])]);
    for (path, text) in [
        (
            "etc/fstab",
            "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 /               ext4    errors=remount-ro 0       1\n\
             /dev/sda5 none            swap    sw              0       0\n\
             /dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0\n\
             .host:/         /mnt/hgfs       fuse.vmhgfs-fuse defaults,allow_other,nofail 0 0\n",
        ),
        (
            "etc/default/grub",
            "GRUB_CMDLINE_LINUX=\"console=ttyS0,115200 resume=/dev/sda5 elevator=noop\"\nGRUB_DISABLE_LINUX_UUID=true\n",
        ),
        (
            "boot/grub/grub.cfg",
            "menuentry 'Debian' {\n\tset root='hd0,msdos1'\n\tlinux\t/boot/vmlinuz-6.1.0-37-amd64 root=/dev/sda1 ro resume=/dev/sda5\n}\n",
        ),
        ("boot/grub/device.map", "(hd0)\t/dev/sda\n"),
        ("etc/initramfs-tools/initramfs.conf", "MODULES=list\n"),
        ("etc/initramfs-tools/modules", "# modules\nvmw_pvscsi\n"),
        ("etc/initramfs-tools/conf.d/resume", "RESUME=/dev/sda5\n"),
        ("usr/sbin/update-initramfs", "#!/bin/sh\n"),
        ("etc/modprobe.d/vmware.conf", "alias scsi_hostadapter vmw_pvscsi\nblacklist virtio_balloon\n"),
        ("etc/modules", "vmxnet3\n"),
        ("etc/network/interfaces", "allow-hotplug ens192\niface ens192 inet static\n    address 10.0.2.77/24\n"),
        (
            "etc/udev/rules.d/70-persistent-net.rules",
            "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"00:50:56:aa:bb:01\", ATTR{dev_id}==\"0x0\", ATTR{type}==\"1\", NAME=\"ens192\"\n",
        ),
        ("etc/udev/rules.d/99-vmware-scsi-timeout.rules", "ACTION==\"add\", ATTRS{vendor}==\"VMware*\", RUN+=\"x\"\n"),
        ("etc/cron.d/vmware-time", "17 * * * * root /usr/bin/vmware-toolbox-cmd timesync status\n"),
    ] {
        tree.write(path, text);
    }
    tree.kernel(KERNEL);
    tree.initramfs(
        &format!("boot/initrd.img-{KERNEL}"),
        &[("conf/conf.d/resume", "RESUME=/dev/sda5\n"), (&format!("lib/modules/{KERNEL}/kernel/ext4.ko"), "ext4")],
    );
    tree
}

/// Guest (b).
pub fn uefi() -> Tree {
    let parts = [(1, "vfat"), (2, "ext4"), (3, "LVM2_member")];
    let tree = Tree::new(Firmware::Uefi, Some("/dev/vg/root"), vec![disk(0, &parts)]);
    for (path, text) in [
        (
            "etc/fstab",
            "/dev/mapper/vg-root /               ext4    errors=remount-ro 0       1\n\
             /dev/sda2       /boot           ext4    defaults        0       2\n\
             /dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 /boot/efi vfat umask=0077 0 1\n\
             /dev/mapper/vg-swap_1 none            swap    sw              0       0\n",
        ),
        (
            "boot/grub/grub.cfg",
            "menuentry 'Debian' {\n\tlinux /vmlinuz-6.1.0-37-amd64 root=/dev/mapper/vg-root ro\n}\n",
        ),
        ("boot/efi/EFI/debian/shimx64.efi", "shim"),
        ("boot/efi/EFI/debian/grubx64.efi", "grub"),
        (
            "boot/efi/EFI/debian/grub.cfg",
            "search.fs_uuid 1 root hd0,gpt2\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n",
        ),
        (
            "etc/systemd/network/10-ens192.network",
            "[Match]\nMACAddress=00:50:56:aa:bb:01\nName=ens192\n\n[Network]\nAddress=10.0.2.78/24\n",
        ),
        ("usr/lib/udev/rules.d/80-net-setup-link.rules", ""),
        ("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so", ""),
        ("etc/initramfs-tools/initramfs.conf", "MODULES=list\n"),
        ("usr/sbin/update-initramfs", "#!/bin/sh\n"),
    ] {
        tree.write(path, text);
    }
    tree.kernel(KERNEL);
    tree.kernel("6.1.0-9-amd64");
    for kernel in [KERNEL, "6.1.0-9-amd64"] {
        tree.initramfs(
            &format!("boot/initrd.img-{kernel}"),
            &[
                ("usr/lib/systemd/network/99-default.link", "[Match]\n"),
                (&format!("lib/modules/{kernel}/kernel/ext4.ko"), "ext4"),
            ],
        );
    }
    tree
}

#[test]
fn the_bios_guest_is_right_after_one_plan() {
    let tree = bios();
    let plan = tree.plan();
    assert_eq!(
        kinds(&plan),
        [
            "linux-fstab write_file /etc/fstab",
            "linux-resume write_file /etc/initramfs-tools/conf.d/resume",
            "linux-cmdline write_file /etc/default/grub",
            "linux-cmdline write_file /boot/grub/grub.cfg",
            "linux-cmdline remove /boot/grub/device.map",
            "linux-vmware-tools remove /etc/modprobe.d/vmware.conf",
            "linux-vmware-tools write_file /etc/modules",
            "linux-vmware-tools remove /etc/udev/rules.d/99-vmware-scsi-timeout.rules",
            "linux-vmware-tools remove /etc/cron.d/vmware-time",
            "linux-initramfs write_file /etc/initramfs-tools/modules",
            "linux-initramfs extend_initramfs /boot/initrd.img-6.1.0-37-amd64",
        ]
    );
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    tree.apply(&plan);
    assert_eq!(kinds(&tree.plan()), [""; 0]);

    let fstab = fs::read_to_string(tree.path("etc/fstab")).unwrap();
    assert!(fstab.starts_with("UUID=uuid-0-1 /               ext4"), "{fstab}");
    let grub = fs::read_to_string(tree.path("boot/grub/grub.cfg")).unwrap();
    assert!(grub.contains(
        "set root='hd0,msdos1'\n\tlinux\t/boot/vmlinuz-6.1.0-37-amd64 root=UUID=uuid-0-1 ro resume=UUID=uuid-0-5\n"
    ));
    let inside = contents(&fs::read(tree.path(&format!("boot/initrd.img-{KERNEL}"))).unwrap()).unwrap();
    for driver in ["virtio_blk", "virtio_pci", "virtio_scsi", "virtio_net", "virtio", "virtio_ring", "ext4"] {
        assert!(has_driver(&inside, KERNEL, driver), "{driver}");
    }
    assert_eq!(inside.file("conf/conf.d/resume"), Some(&b"RESUME=UUID=uuid-0-5\n"[..]));
    // What a person sees afterwards says that nothing is left to do.
    assert!(tree.inspection().findings.is_empty(), "{:?}", tree.inspection().findings);
}

#[test]
fn the_uefi_guest_is_right_after_one_plan() {
    let tree = uefi();
    let codes: Vec<String> = tree.inspection().findings.into_iter().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        [
            "initramfs-without-virtio",
            "initramfs-without-virtio",
            "fstab-unstable-device",
            "fstab-unstable-device",
            "nic-name-unpinned",
            "uefi-no-fallback-loader",
        ]
    );
    let plan = tree.plan();
    assert_eq!(
        kinds(&plan),
        [
            "linux-fstab write_file /etc/fstab",
            "linux-uefi-fallback copy_file /boot/efi/EFI/BOOT/grubx64.efi",
            "linux-uefi-fallback copy_file /boot/efi/EFI/BOOT/grub.cfg",
            "linux-uefi-fallback copy_file /boot/efi/EFI/BOOT/BOOTX64.EFI",
            "linux-network write_file /etc/systemd/network/10-vmdk2kvm-ens192.link",
            "linux-initramfs write_file /etc/initramfs-tools/modules",
            "linux-initramfs extend_initramfs /boot/initrd.img-6.1.0-37-amd64",
            "linux-initramfs extend_initramfs /boot/initrd.img-6.1.0-9-amd64",
        ]
    );
    tree.apply(&plan);
    assert_eq!(kinds(&tree.plan()), [""; 0]);
    let fstab = fs::read_to_string(tree.path("etc/fstab")).unwrap();
    assert!(
        fstab.contains("\nUUID=uuid-0-2       /boot ") && fstab.contains("\nUUID=uuid-0-1 /boot/efi vfat"),
        "{fstab}"
    );
    let inside = contents(&fs::read(tree.path("boot/initrd.img-6.1.0-9-amd64")).unwrap()).unwrap();
    assert!(inside.file("usr/lib/systemd/network/10-vmdk2kvm-ens192.link").is_some());
    assert!(tree.inspection().findings.is_empty(), "{:?}", tree.inspection().findings);
}

#[test]
fn hostile_files_are_findings_and_not_the_end() {
    let tree = bios();
    fs::remove_file(tree.path("etc/crypttab")).ok();
    fs::create_dir(tree.path("etc/crypttab")).unwrap();
    let plan = tree.plan();
    let codes: Vec<(&str, Severity)> =
        plan.findings.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect();
    assert_eq!(codes, [("unreadable-file", Severity::Warn)]);
    assert_eq!(plan.changes.len(), 11);
}

#[test]
fn a_missing_module_fails_that_change_alone() {
    let tree = bios();
    let plan = tree.plan();
    let path = format!("lib/modules/{KERNEL}/kernel/drivers/virtio/virtio_ring.ko");
    fs::remove_file(tree.path(&path)).unwrap();
    let before = fs::read(tree.path(&format!("boot/initrd.img-{KERNEL}"))).unwrap();
    let change = plan.changes.iter().find(|change| change.action.kind() == "extend_initramfs").unwrap();
    let error = tree.guest().apply(change).unwrap_err();
    assert!(error.message.ends_with("virtio_ring.ko is missing although modules.dep names it"), "{}", error.message);
    assert_eq!(fs::read(tree.path(&format!("boot/initrd.img-{KERNEL}"))).unwrap(), before);
}

/// Requires root, and `sh` and `cat` of this machine, which become the tree's own.
#[test]
fn a_rebuilt_archive_replaces_the_old_one_only_when_it_is_right() {
    let tree = bios();
    for program in ["/bin/sh", "/bin/cat"] {
        tree.program(program);
    }
    tree.write("usr/sbin/update-initramfs", "#!/bin/sh\necho \"making $3\"\ncat /made >\"/boot/initrd.img-$3\"\n");
    fs::set_permissions(tree.path("usr/sbin/update-initramfs"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let archive = format!("boot/initrd.img-{KERNEL}");
    let before = fs::read(tree.path(&archive)).unwrap();
    let target = format!("/{archive}");
    let rebuild = |driver: &str| {
        let change = change(&target).with(|it| {
            it.action = Action::RebuildInitramfs {
                kernel: KERNEL.to_owned(),
                tool: InitramfsTool::InitramfsTools,
                drivers: vec![driver.to_owned()],
            }
        });
        tree.guest().apply(&change)
    };
    let module = format!("lib/modules/{KERNEL}/kernel/virtio_blk.ko");
    tree.initramfs("made", &[(module.as_str(), "x")]);
    let error = rebuild("virtio_scsi").unwrap_err();
    assert_eq!(error.message, format!("{target}: virtio_scsi is still missing after the change"));
    assert_eq!(fs::read(tree.path(&archive)).unwrap(), before);
    assert_eq!(rebuild("virtio_blk").unwrap().detail, format!("making {KERNEL}"));
    assert_eq!(fs::read(tree.path(&archive)).unwrap(), fs::read(tree.path("made")).unwrap());
    let names: Vec<String> = fs::read_dir(tree.path("boot"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.contains("vmdk2kvm")), "{names:?}");
    fs::remove_file(tree.path("usr/sbin/update-initramfs")).unwrap();
    assert_eq!(rebuild("virtio_blk").unwrap_err().message, "update-initramfs is missing in the guest");
}

/// Requires root, and `sh` of this machine, which becomes the tree's own.
#[test]
fn what_rpm_touched_gets_its_labels_again() {
    let tree = bios();
    tree.program("/bin/sh");
    for (path, text) in
        [("usr/bin/rpm", "#!/bin/sh\necho gone\n"), ("usr/sbin/setfiles", "#!/bin/sh\necho \"$@\" >/labelled\n")]
    {
        tree.write(path, text);
        fs::set_permissions(tree.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    tree.write("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n");
    tree.write("etc/selinux/targeted/contexts/files/file_contexts", "");
    let remove = || {
        let action =
            Action::RemovePackages { manager: PackageManager::Rpm, packages: vec!["open-vm-tools".to_owned()] };
        tree.guest().apply(&change("open-vm-tools").with(|it| it.action = action)).unwrap().detail
    };
    assert_eq!(remove(), "gone; SELinux labels restored");
    let labelled = fs::read_to_string(tree.path("labelled")).unwrap();
    assert_eq!(labelled, "/etc/selinux/targeted/contexts/files/file_contexts /etc\n");
    assert!(!tree.path(".autorelabel").exists());
    // What cannot be done here the system does at its first boot.
    tree.write("usr/sbin/setfiles", "#!/bin/sh\nexit 1\n");
    assert_eq!(remove(), "gone; SELinux relabels the files at the first boot");
    assert!(tree.path(".autorelabel").exists());
}
