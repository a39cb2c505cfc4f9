//! Families that are no lab guests, as trees with their real files' syntax: what the fixers plan for each, that it boots on what
//! the plan says (drivers inside, stable names everywhere), and that planning again gives nothing.

use std::fs;

use crate::support::{Tree, disk, kinds};
use vmdk2kvm_linux_guest::initramfs::{contents, has_driver};
use vmdk2kvm_plugin_api::model::{Firmware, GuestDiskInfo};

/// The rule that makes udev read `.link` files.
const LINKS: (&str, &str) = ("usr/lib/udev/rules.d/80-net-setup-link.rules", "x");
const LINK: &str = "linux-network write_file /etc/systemd/network/10-vmdk2kvm-ens192.link";

/// A guest of a family.
struct Family<'a> {
    firmware: Firmware,
    root: &'a str,
    disk: GuestDiskInfo,
    files: &'a [(&'a str, &'a str)],
    /// Release, image where the family names it otherwise, boot archive.
    kernel: (&'a str, Option<&'a str>, &'a str),
    /// Files inside of the boot archive, besides a module.
    inside: &'a [(&'a str, &'a str)],
    plan: &'a [&'a str],
    /// Files afterwards, and what they hold.
    after: &'a [(&'a str, &'a str)],
    inside_after: &'a [(&'a str, &'a str)],
}

fn check(family: &Family<'_>) {
    let tree = Tree::new(family.firmware, Some(family.root), vec![family.disk.clone()]);
    for (path, text) in family.files {
        tree.write(path, text);
    }
    let (release, image, archive) = family.kernel;
    match image {
        Some(image) => {
            tree.write(image, "image");
            tree.modules(release);
        }
        None => tree.kernel(release),
    }
    let module = format!("usr/lib/modules/{release}/kernel/ext4.ko.xz");
    tree.initramfs(archive, &[&[(module.as_str(), "ext4")], family.inside].concat());
    let plan = tree.plan();
    assert_eq!(kinds(&plan), family.plan);
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    tree.apply(&plan);
    assert_eq!(kinds(&tree.plan()), [""; 0]);
    for (path, want) in family.after {
        let text = fs::read_to_string(tree.path(path)).unwrap();
        assert!(text.contains(want), "{path}: {text}");
    }
    let inside = contents(&fs::read(tree.path(archive)).unwrap()).unwrap();
    for driver in ["virtio_blk", "virtio_pci", "virtio_scsi", "virtio_net", "virtio", "virtio_ring", "ext4"] {
        assert!(has_driver(&inside, release, driver), "{driver}");
    }
    for (path, want) in family.inside_after {
        assert_eq!(inside.file(path).map(String::from_utf8_lossy).as_deref(), Some(*want), "{path}");
    }
    assert!(tree.inspection().findings.is_empty(), "{:?}", tree.inspection().findings);
}

#[test]
fn rhel_9() {
    check(&Family {
        firmware: Firmware::Uefi,
        root: "/dev/rhel/root",
        disk: disk(0, &[(1, "vfat"), (2, "xfs"), (3, "LVM2_member")]),
        files: &[
            LINKS,
            (
                "etc/os-release",
                "ID=\"rhel\"\nVERSION_ID=\"9.4\"\nID_LIKE=\"fedora\"\nPRETTY_NAME=\"Red Hat Enterprise Linux 9.4 (Plow)\"\n",
            ),
            (
                "etc/fstab",
                "/dev/mapper/rhel-root   /                       xfs     defaults        0 0\n\
                 /dev/sda2               /boot                   xfs     defaults        0 0\n\
                 UUID=uuid-0-1           /boot/efi               vfat    umask=0077,shortname=winnt 0 2\n",
            ),
            (
                "etc/default/grub",
                "GRUB_CMDLINE_LINUX=\"rd.lvm.lv=rhel/root fips=1 boot=/dev/sda2\"\nGRUB_ENABLE_BLSCFG=true\n",
            ),
            ("etc/kernel/cmdline", "root=/dev/mapper/rhel-root ro rd.lvm.lv=rhel/root fips=1 boot=/dev/sda2\n"),
            ("boot/grub2/grub.cfg", "insmod blscfg\nblscfg\nset kernelopts=\"root=/dev/mapper/rhel-root ro\"\n"),
            (
                "boot/loader/entries/0123-5.14.0-427.el9.x86_64.conf",
                "title Red Hat Enterprise Linux\nversion 5.14.0-427.el9.x86_64\nlinux /vmlinuz-5.14.0-427.el9.x86_64\n\
                 initrd /initramfs-5.14.0-427.el9.x86_64.img $tuned_initrd\n\
                 options root=/dev/mapper/rhel-root ro rd.lvm.lv=rhel/root fips=1 boot=/dev/sda2 $tuned_params\n",
            ),
            ("boot/efi/EFI/BOOT/BOOTX64.EFI", "shim"),
            (
                "boot/efi/EFI/redhat/grub.cfg",
                "search --no-floppy --root-dev-only --fs-uuid --set=dev uuid-0-2\nset prefix=($dev)/grub2\nexport $prefix\nconfigfile $prefix/grub.cfg\n",
            ),
            (
                "etc/lvm/devices/system.devices",
                "VERSION=1.1.1\nIDTYPE=sys_wwid IDNAME=naa.6000c29f5d0a7c8e DEVNAME=/dev/sda3 PVID=kOzQ1 PART=3\n",
            ),
            (
                "etc/NetworkManager/system-connections/ens192.nmconnection",
                "[connection]\nid=ens192\ntype=ethernet\ninterface-name=ens192\n\n[ipv4]\naddress1=10.0.0.9/24,10.0.0.1\nmethod=manual\n",
            ),
            ("usr/bin/dracut", "#!/bin/sh\n"),
            ("usr/bin/vmtoolsd", ""),
            ("var/lib/rpm/rpmdb.sqlite", ""),
            ("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n"),
        ],
        kernel: ("5.14.0-427.el9.x86_64", None, "boot/initramfs-5.14.0-427.el9.x86_64.img"),
        inside: &[
            ("usr/lib/systemd/network/99-default.link", "[Match]\n"),
            ("etc/cmdline.d/90lvm.conf", " rd.lvm.lv=rhel/root\n"),
            ("etc/cmdline.d/95resume.conf", " resume=/dev/sda2\n"),
            ("etc/lvm/devices/system.devices", "IDTYPE=sys_wwid IDNAME=naa.6 DEVNAME=/dev/sda3 PVID=kOzQ1\n"),
        ],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-lvm remove /etc/lvm/devices/system.devices",
            "linux-cmdline write_file /etc/default/grub",
            "linux-cmdline write_file /etc/kernel/cmdline",
            "linux-cmdline write_file /boot/loader/entries/0123-5.14.0-427.el9.x86_64.conf",
            LINK,
            "linux-vmware-tools remove_packages open-vm-tools",
            "linux-vmware-tools write_file /.autorelabel",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-5.14.0-427.el9.x86_64.img",
        ],
        after: &[
            ("etc/fstab", "/dev/mapper/rhel-root   /                       xfs"),
            ("boot/loader/entries/0123-5.14.0-427.el9.x86_64.conf", "fips=1 boot=UUID=uuid-0-2 $tuned_params\n"),
        ],
        inside_after: &[
            ("etc/cmdline.d/95resume.conf", " resume=UUID=uuid-0-2\n"),
            ("etc/cmdline.d/90lvm.conf", " rd.lvm.lv=rhel/root\n"),
            ("etc/lvm/devices/system.devices", "IDTYPE=devname IDNAME=. DEVNAME=. PVID=kOzQ1\n"),
        ],
    });
}

#[test]
fn centos_7() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/sda1",
        disk: disk(0, &[(1, "xfs"), (2, "swap")]),
        files: &[
            ("etc/os-release", "ID=\"centos\"\nVERSION_ID=\"7\"\n"),
            (
                "etc/fstab",
                "/dev/sda1 / xfs defaults 0 0\r\n/dev/disk/by-id/wwn-0x6000c29d-part2 swap swap defaults 0 0\r\n",
            ),
            ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"crashkernel=auto resume=/dev/sda2\"\n"),
            (
                "boot/grub2/grub.cfg",
                "menuentry 'CentOS' {\n\tlinux16 /boot/vmlinuz root=/dev/sda1 ro resume=/dev/sda2\n}\n",
            ),
            ("boot/grub2/device.map", "(hd0)      /dev/sda\n"),
            ("usr/lib/udev/rules.d/80-net-name-slot.rules", "x"),
            ("usr/lib/systemd/systemd-udevd", ""),
            (
                "etc/sysconfig/network-scripts/ifcfg-ens192",
                "TYPE=Ethernet\nBOOTPROTO=none\nDEVICE=ens192\nIPADDR=10.0.0.9\nPREFIX=24\n",
            ),
            ("etc/lvm/cache/.cache", "persistent_filter_cache {\n\tvalid_devices=[\n\t\t\"/dev/sda2\"\n\t]\n}\n"),
            ("usr/sbin/dracut", "#!/bin/sh\n"),
            ("sbin/dracut", "#!/bin/sh\n"),
            ("etc/dracut.conf", "# add_drivers+=\"\"\n"),
        ],
        kernel: ("3.10.0-1160.el7.x86_64", None, "boot/initramfs-3.10.0-1160.el7.x86_64.img"),
        inside: &[("usr/lib/udev/rules.d/60-net.rules", "x")],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-lvm remove /etc/lvm/cache/.cache",
            "linux-cmdline write_file /etc/default/grub",
            "linux-cmdline write_file /boot/grub2/grub.cfg",
            "linux-cmdline remove /boot/grub2/device.map",
            "linux-network write_file /etc/udev/rules.d/70-persistent-net.rules",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-3.10.0-1160.el7.x86_64.img",
        ],
        after: &[("etc/fstab", "UUID=uuid-0-1 / xfs defaults 0 0\r\nUUID=uuid-0-2 swap swap defaults 0 0\r\n")],
        inside_after: &[(
            "etc/udev/rules.d/70-persistent-net.rules",
            "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"00:50:56:aa:bb:01\", ATTR{type}==\"1\", NAME=\"ens192\"\n",
        )],
    });
}

#[test]
fn sles_15() {
    check(&Family {
        firmware: Firmware::Uefi,
        root: "/dev/sda2",
        disk: disk(0, &[(1, "vfat"), (2, "btrfs"), (3, "swap")]),
        files: &[
            LINKS,
            ("etc/os-release", "ID=\"sles\"\nVERSION_ID=\"15.5\"\nID_LIKE=\"suse\"\n"),
            (
                "etc/fstab",
                "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2  /                  btrfs  defaults                      0  0\n\
                 UUID=uuid-0-2  /var               btrfs  subvol=/@/var                 0  0\n\
                 UUID=uuid-0-2  /.snapshots        btrfs  subvol=/@/.snapshots          0  0\n\
                 /dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part3  swap               swap   defaults                      0  0\n",
            ),
            (
                "etc/default/grub",
                "GRUB_CMDLINE_LINUX_DEFAULT=\"splash=silent resume=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part3 quiet\"\n",
            ),
            (
                "boot/grub2/grub.cfg",
                "menuentry 'SLES' {\n  linux /boot/vmlinuz root=UUID=uuid-0-2 ${extra_cmdline} resume=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part3\n}\n",
            ),
            ("boot/efi/EFI/sles/shim.efi", "shim"),
            ("boot/efi/EFI/sles/grub.efi", "grub"),
            ("boot/efi/EFI/sles/MokManager.efi", "mok"),
            (
                "boot/efi/EFI/sles/grub.cfg",
                "search --fs-uuid --set=root uuid-0-2\nset prefix=(${root})/boot/grub2\nsource \"${prefix}/grub.cfg\"\n",
            ),
            ("etc/sysconfig/network/ifcfg-ens192", "BOOTPROTO='static'\nSTARTMODE='auto'\nIPADDR='10.0.0.9/24'\n"),
            ("usr/bin/dracut", "#!/bin/sh\n"),
            ("usr/lib/dracut/dracut.conf.d/01-dist.conf", "hostonly=\"yes\"\n"),
        ],
        kernel: ("5.14.21-150500.55-default", None, "boot/initrd-5.14.21-150500.55-default"),
        inside: &[("usr/lib/systemd/network/99-default.link", "[Match]\n")],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-cmdline write_file /etc/default/grub",
            "linux-cmdline write_file /boot/grub2/grub.cfg",
            "linux-uefi-fallback copy_file /boot/efi/EFI/BOOT/grub.efi",
            "linux-uefi-fallback copy_file /boot/efi/EFI/BOOT/MokManager.efi",
            "linux-uefi-fallback copy_file /boot/efi/EFI/BOOT/grub.cfg",
            "linux-uefi-fallback copy_file /boot/efi/EFI/BOOT/BOOTX64.EFI",
            LINK,
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initrd-5.14.21-150500.55-default",
        ],
        after: &[
            ("etc/fstab", "UUID=uuid-0-2  /                  btrfs"),
            ("etc/default/grub", "\"splash=silent resume=UUID=uuid-0-3 quiet\"\n"),
        ],
        inside_after: &[],
    });
}

#[test]
fn arch_with_systemd_boot() {
    check(&Family {
        firmware: Firmware::Uefi,
        root: "/dev/sda2",
        disk: disk(0, &[(1, "vfat"), (2, "ext4")]),
        files: &[
            LINKS,
            ("etc/os-release", "NAME=\"Arch Linux\"\nID=arch\nBUILD_ID=rolling\n"),
            ("etc/fstab", "# /dev/sda2\nUUID=uuid-0-2 / ext4 rw,relatime 0 1\nUUID=uuid-0-1 /boot vfat rw 0 2\n"),
            ("boot/EFI/systemd/systemd-bootx64.efi", "sd-boot"),
            ("boot/loader/loader.conf", "default arch.conf\n"),
            (
                "boot/loader/entries/arch.conf",
                "title Arch Linux\nlinux /vmlinuz-linux\ninitrd /initramfs-linux.img\noptions root=/dev/sda2 rw\n",
            ),
            ("etc/mkinitcpio.conf", "MODULES=(vmw_pvscsi)\nHOOKS=(base udev autodetect modconf block filesystems)\n"),
            ("usr/bin/mkinitcpio", "#!/bin/sh\n"),
            ("etc/systemd/network/20-wired.network", "[Match]\nName=ens192\n\n[Network]\nDHCP=yes\n"),
            ("usr/lib/modules/6.9.7-arch1-1/pkgbase", "linux\n"),
            ("lib/modules/6.9.7-arch1-1/pkgbase", "linux\n"),
        ],
        kernel: ("6.9.7-arch1-1", Some("boot/vmlinuz-linux"), "boot/initramfs-linux.img"),
        inside: &[],
        plan: &[
            "linux-cmdline write_file /boot/loader/entries/arch.conf",
            "linux-uefi-fallback copy_file /boot/EFI/BOOT/BOOTX64.EFI",
            LINK,
            "linux-initramfs write_file /etc/mkinitcpio.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-linux.img",
        ],
        after: &[
            ("boot/loader/entries/arch.conf", "options root=UUID=uuid-0-2 rw\n"),
            ("etc/mkinitcpio.conf", "MODULES=(virtio_pci virtio_blk virtio_scsi virtio_net vmw_pvscsi)\n"),
        ],
        inside_after: &[],
    });
}

#[test]
fn alpine() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/sda3",
        disk: disk(0, &[(1, "ext4"), (2, "swap"), (3, "ext4")]),
        files: &[
            ("etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.1\n"),
            (
                "etc/fstab",
                "UUID=uuid-0-3\t/\text4\trw,relatime 0 1\n/dev/sda2\tswap\tswap\tdefaults\t0 0\n/dev/cdrom\t/media/cdrom\tiso9660\tnoauto,ro 0 0\n",
            ),
            (
                "boot/extlinux.conf",
                "LABEL lts\n  LINUX vmlinuz-lts\n  INITRD initramfs-lts\n  APPEND root=/dev/sda3 modules=sd-mod,ext4 rootfstype=ext4\n",
            ),
            ("etc/update-extlinux.conf", "overwrite=1\nroot=/dev/sda3\n# root=/dev/sda3\ndefault=lts\n"),
            ("etc/mkinitfs/mkinitfs.conf", "features=\"ata base cdrom ext4 scsi usb\"\n"),
            ("sbin/mkinitfs", "#!/bin/sh\n"),
            ("etc/network/interfaces", "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n"),
            ("lib/apk/db/installed", "P:open-vm-tools\nV:12.4.5-r0\n\nP:open-vm-tools-guestinfo\nV:12.4.5-r0\n"),
        ],
        kernel: ("6.6.36-0-lts", Some("boot/vmlinuz-lts"), "boot/initramfs-lts"),
        inside: &[],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-cmdline write_file /boot/extlinux.conf",
            "linux-cmdline write_file /etc/update-extlinux.conf",
            "linux-vmware-tools remove_packages open-vm-tools open-vm-tools-guestinfo",
            "linux-initramfs write_file /etc/mkinitfs/mkinitfs.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-lts",
        ],
        after: &[
            ("boot/extlinux.conf", "APPEND root=UUID=uuid-0-3 modules=sd-mod,ext4"),
            ("etc/update-extlinux.conf", "overwrite=1\nroot=UUID=uuid-0-3\n# root=/dev/sda3\n"),
        ],
        inside_after: &[],
    });
}

#[test]
fn photon() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/sda2",
        disk: disk(0, &[(1, "bios"), (2, "ext4")]),
        files: &[
            LINKS,
            ("etc/os-release", "NAME=\"VMware Photon OS\"\nID=photon\nVERSION_ID=4.0\n"),
            (
                "etc/fstab",
                "#system\tmnt-pt\ttype\toptions\tdump\tfsck\n/dev/sda2\t/\text4\tdefaults,barrier,noatime\t1\t1\n/dev/cdrom\t/mnt/cdrom\tiso9660\tro,noauto\t0\t0\n",
            ),
            (
                "boot/grub2/grub.cfg",
                "set rootpartition=/dev/sda2\nmenuentry \"Photon\" {\n    linux /boot/$photon_linux root=$rootpartition $photon_cmdline\n}\n",
            ),
            (
                "boot/photon.cfg",
                "photon_cmdline=init=/lib/systemd/systemd ro loglevel=3 quiet\nphoton_linux=vmlinuz-5.10.219-1.ph4\n",
            ),
            ("etc/systemd/network/50-static-en.network", "[Match]\nName=ens*\n\n[Network]\nAddress=10.0.0.9/24\n"),
            ("etc/yum.repos.d/photon.repo", "[photon]\nbaseurl=https://packages.vmware.com/photon/4.0\n"),
            ("etc/cloud/cloud.cfg", "datasource_list: [VMware, OVF]\n"),
            ("var/lib/cloud/instance/obj.pkl", "x"),
            ("usr/bin/dracut", "#!/bin/sh\n"),
        ],
        kernel: ("5.10.219-1.ph4", None, "boot/initrd.img-5.10.219-1.ph4"),
        inside: &[],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-cmdline write_file /boot/grub2/grub.cfg",
            LINK,
            "linux-cloud-init write_file /etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initrd.img-5.10.219-1.ph4",
        ],
        after: &[
            ("boot/grub2/grub.cfg", "set rootpartition=UUID=uuid-0-2\n"),
            ("etc/yum.repos.d/photon.repo", "packages.vmware.com/photon"),
        ],
        inside_after: &[],
    });
}

#[test]
fn centos_6_with_grub_legacy() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/sda1",
        disk: disk(0, &[(1, "ext4"), (2, "swap")]),
        files: &[
            ("etc/os-release", ""),
            ("etc/redhat-release", "CentOS release 6.10 (Final)\n"),
            ("etc/fstab", "LABEL=root / ext4 defaults 1 1\n/dev/sda2 swap swap defaults 0 0\n"),
            (
                "boot/grub/grub.conf",
                "#boot=/dev/sda\ndefault=0\nsplashimage=(hd0,0)/boot/grub/splash.xpm.gz\ntitle CentOS\n\troot (hd0,0)\n\
                 \tkernel /boot/vmlinuz-2.6.32-754.el6.x86_64 ro root=/dev/sda1 rd_NO_LUKS quiet\n\tinitrd /boot/initramfs-2.6.32-754.el6.x86_64.img\n",
            ),
            ("boot/grub/device.map", "(hd0)     /dev/sda\n"),
            (
                "etc/sysconfig/network-scripts/ifcfg-eth0",
                "DEVICE=eth0\nHWADDR=00:50:56:AA:BB:01\nBOOTPROTO=dhcp\nONBOOT=yes\n",
            ),
            (
                "etc/udev/rules.d/70-persistent-net.rules",
                "# PCI device 0x15ad:0x07b0 (vmxnet3)\nSUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"00:50:56:aa:bb:01\", ATTR{type}==\"1\", KERNEL==\"eth*\", NAME=\"eth0\"\n",
            ),
            ("sbin/dracut", "#!/bin/sh\n"),
            ("etc/modprobe.d/dist.conf", "alias eth0 vmxnet3\nalias scsi_hostadapter mptspi\nalias net-pf-10 off\n"),
        ],
        kernel: ("2.6.32-754.el6.x86_64", None, "boot/initramfs-2.6.32-754.el6.x86_64.img"),
        inside: &[],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-cmdline write_file /boot/grub/grub.conf",
            "linux-cmdline remove /boot/grub/device.map",
            "linux-vmware-tools write_file /etc/modprobe.d/dist.conf",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-2.6.32-754.el6.x86_64.img",
        ],
        after: &[
            ("boot/grub/grub.conf", "#boot=/dev/sda\ndefault=0\n"),
            (
                "boot/grub/grub.conf",
                "\troot (hd0,0)\n\tkernel /boot/vmlinuz-2.6.32-754.el6.x86_64 ro root=UUID=uuid-0-1 rd_NO_LUKS",
            ),
            ("etc/modprobe.d/dist.conf", "alias net-pf-10 off\n"),
        ],
        inside_after: &[],
    });
}

/// kernel-install's layout on the EFI system partition.
#[test]
fn fedora_with_kernel_install() {
    let id = "0123456789abcdef0123456789abcdef";
    let archive = format!("boot/efi/{id}/6.8.5-301.fc40.x86_64/initrd");
    let image = format!("boot/efi/{id}/6.8.5-301.fc40.x86_64/linux");
    let entry = format!("boot/efi/loader/entries/{id}-6.8.5-301.fc40.x86_64.conf");
    let entry_change = format!("linux-cmdline write_file /{entry}");
    let archive_change = format!("linux-initramfs extend_initramfs /{archive}");
    check(&Family {
        firmware: Firmware::Uefi,
        root: "/dev/sda2",
        disk: disk(0, &[(1, "vfat"), (2, "btrfs")]),
        files: &[
            LINKS,
            ("etc/os-release", "ID=fedora\nVERSION_ID=40\n"),
            (
                "etc/fstab",
                "UUID=uuid-0-2 / btrfs subvol=root,compress=zstd:1 0 0\nUUID=uuid-0-2 /home btrfs subvol=home 0 0\n",
            ),
            ("boot/efi/EFI/systemd/systemd-bootx64.efi", "sd-boot"),
            ("boot/efi/EFI/BOOT/BOOTX64.EFI", "sd-boot"),
            (&entry, "title Fedora\noptions root=/dev/sda2 rootflags=subvol=root\n"),
            (
                "etc/NetworkManager/system-connections/lan.nmconnection",
                "[connection]\ntype=ethernet\n[ethernet]\nmac-address=00:50:56:AA:BB:01\n",
            ),
            ("usr/bin/dracut", "#!/bin/sh\n"),
        ],
        kernel: ("6.8.5-301.fc40.x86_64", Some(&image), &archive),
        inside: &[],
        plan: &[&entry_change, "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf", &archive_change],
        after: &[(&entry, "options root=UUID=uuid-0-2 rootflags=subvol=root\n")],
        inside_after: &[],
    });
}
