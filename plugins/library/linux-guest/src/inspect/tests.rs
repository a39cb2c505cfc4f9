//! Whole inspections of small guests.

use super::*;
use crate::fixture::{self, MapGuest};
use crate::initramfs::tests::archive;

const DEP: &str = "kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio.ko:\n\
    kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio.ko\nkernel/drivers/scsi/virtio_scsi.ko:\n";

fn guest() -> MapGuest {
    let mut guest = MapGuest::new(&[
        ("/etc/os-release", "ID=debian\nVERSION_ID=12\n"),
        (
            "/etc/fstab",
            "/dev/sda1 / ext4 defaults 0 1\nUUID=uuid-0-5 none swap sw 0 0\n/dev/sr0 /cd iso9660 noauto 0 0\n\
            /dev/mapper/a--b-c /data xfs defaults 0 0\nUUID=lv /var ext4 defaults\ntmpfs /tmp tmpfs x\n",
        ),
        ("/boot/grub/grub.cfg", "menuentry 'x' {\n\tlinux /vmlinuz-6.1.0-9-amd64 root=/dev/sda1 ro\n}\n"),
        ("/boot/vmlinuz-6.1.0-9-amd64", "x"),
        ("/boot/vmlinuz-6.1.0-37-amd64", "x"),
        ("/lib/modules/6.1.0-9-amd64/modules.dep", DEP),
        ("/lib/modules/6.1.0-37-amd64/modules.dep", DEP),
        ("/lib/modules/6.1.0-37-amd64/modules.builtin", "kernel/drivers/virtio/virtio_ring.ko\n"),
        ("/lib/modules/4.0-left-over/modules.dep", DEP),
        ("/etc/network/interfaces", "auto ens192\niface ens192 inet dhcp\n"),
        ("/etc/vmware-tools/locations", "x"),
    ]);
    let inside = archive(&[("lib/modules/6.1.0-37-amd64/kernel/drivers/virtio/virtio.ko", "x")]);
    guest.0.insert("/boot/initrd.img-6.1.0-37-amd64".to_owned(), inside);
    guest.0.insert("/boot/initrd.img-6.1.0-9-amd64".to_owned(), b"nonsense".to_vec());
    guest
}

#[test]
fn says_what_is_there() {
    let layout = DiskLayout {
        firmware: Some(Firmware::Bios),
        root: Some("/dev/sda1".to_owned()),
        mounts: vec![],
        disks: fixture::context().inspection.disks,
    };
    let found = inspect(&guest(), &layout).unwrap();
    assert_eq!(found.os.family, OsFamily::Linux);
    assert_eq!(found.bootloader_config.as_deref(), Some("/boot/grub/grub.cfg"));
    let kernels: Vec<&str> = found.kernels.iter().map(|kernel| kernel.version.as_str()).collect();
    assert_eq!(kernels, ["6.1.0-37-amd64", "6.1.0-9-amd64"]);
    let newest = &found.kernels[0];
    assert_eq!(newest.initramfs.as_deref(), Some("/boot/initrd.img-6.1.0-37-amd64"));
    assert_eq!(newest.virtio.in_kernel, ["virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_scsi"]);
    assert_eq!(newest.virtio.built_in, ["virtio_ring"]);
    assert_eq!(newest.virtio.in_initramfs, ["virtio", "virtio_ring"]);
    assert_eq!(found.network.stacks, ["ifupdown"]);
    assert_eq!(found.vmware_tools.kind, "tarball");
    let codes: Vec<&str> = found.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(
        codes,
        [
            "initramfs-unreadable",
            "initramfs-without-virtio",
            "initramfs-without-virtio",
            "fstab-unstable-device",
            "cmdline-unstable-device",
            "nic-name-unpinned",
            "vmware-tools-installed",
        ]
    );
    assert_eq!(found.findings[3].message, "/etc/fstab mounts /dev/sda1 at /, a name that the move changes");
    assert_eq!(found.findings[4].message, "/boot/grub/grub.cfg has root=/dev/sda1, a name that the move changes");
}

#[test]
fn every_copy_of_a_kernel_counts() {
    const INITRD: &str = "/boot/efi/0123/6.12.1/initrd.img-6.12.1";
    for (files, expected) in [
        (&["/boot/vmlinuz-6.12.1", "/boot/efi/0123/6.12.1/linux", INITRD][..], &[None, Some(INITRD)][..]),
        (&["/boot/efi/0123/6.12.1/linux", INITRD], &[Some(INITRD)]),
        (&["/efi/0123/6.12.1/linux"], &[None]),
        (&[INITRD], &[]),
    ] {
        let mut files: Vec<(&str, &str)> = files.iter().map(|path| (*path, "x")).collect();
        files.extend([("/etc/os-release", "ID=debian\n"), ("/lib/modules/6.12.1/modules.dep", DEP)]);
        let found = inspect(&MapGuest::new(&files), &DiskLayout::default()).unwrap();
        let initramfs: Vec<Option<&str>> = found.kernels.iter().map(|kernel| kernel.initramfs.as_deref()).collect();
        assert_eq!(initramfs, expected, "{files:?}");
    }
}

#[test]
fn a_guest_that_is_no_linux() {
    let found = inspect(&MapGuest::new(&[("/Windows/explorer.exe", "x")]), &DiskLayout::default()).unwrap();
    assert_eq!(found.os.family, OsFamily::Unknown);
    assert!(found.kernels.is_empty() && found.findings.is_empty());
}

#[test]
fn mounts_of_fstab() {
    let context = fixture::context();
    let mounts = fstab_mounts(&guest(), &context.inspection.disks, Some(&context.vm)).unwrap();
    let lines: Vec<String> =
        mounts.iter().map(|m| format!("{} {} {} {:?}", m.device, m.mountpoint, m.fstype, m.uuid)).collect();
    assert_eq!(
        lines,
        ["/dev/sda1 / ext4 Some(\"uuid-0-1\")", "/dev/a-b/c /data xfs None", "/dev/disk/by-uuid/lv /var ext4 None"]
    );
}

#[test]
fn a_menu_on_the_system_partition_wins_over_a_wrapper() {
    let files = [("/boot/grub2/grub.cfg", "x"), ("/boot/efi/EFI/redhat/grub.cfg", "menuentry 'a' {\n}\n")];
    let find = |files: &[(&str, &str)], firmware| bootloader::find(&MapGuest::new(files), firmware).unwrap().unwrap();
    assert_eq!(find(&files, Some(Firmware::Uefi)).1, "/boot/efi/EFI/redhat/grub.cfg");
    assert_eq!(find(&files, Some(Firmware::Bios)).1, "/boot/grub2/grub.cfg");
    let wrapper = [("/boot/grub/grub.cfg", "x"), ("/boot/efi/EFI/debian/grub.cfg", "configfile $prefix/grub.cfg\n")];
    assert_eq!(find(&wrapper, Some(Firmware::Uefi)).1, "/boot/grub/grub.cfg");
}

#[test]
fn a_unified_kernel_image_is_said() {
    let files =
        [("/etc/os-release", "ID=arch\n"), ("/efi/EFI/Linux/arch-linux.efi", "MZ"), ("/usr/bin/prltoolsd", "x")];
    let found = inspect(&MapGuest::new(&files), &DiskLayout::default()).unwrap();
    let codes: Vec<&str> = found.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["unified-kernel-image", "other-hypervisor-tools"]);
}
