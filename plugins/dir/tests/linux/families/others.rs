//! SUSE, Arch, Alpine, Photon, Ubuntu and Debian.

use super::{Family, LINK, LINKS, check};
use crate::support::disk;
use vmdk2kvm_plugin_api::model::Firmware;

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
                "menuentry 'SLES' {\n  linux /boot/vmlinuz-5.14.21-150500.55-default root=UUID=uuid-0-2 ${extra_cmdline} resume=/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part3\n}\n",
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
        links: &[],
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
        links: &[],
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
        links: &[],
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
        links: &[],
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
fn ubuntu_with_netplan_and_cloud_init() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/ubuntu-vg/ubuntu-lv",
        disk: disk(0, &[(1, "bios"), (2, "ext4"), (3, "LVM2_member")]),
        files: &[
            LINKS,
            ("etc/os-release", "PRETTY_NAME=\"Ubuntu 22.04.4 LTS\"\nID=ubuntu\nVERSION_ID=\"22.04\"\nID_LIKE=debian\n"),
            (
                "etc/fstab",
                "# / was on /dev/ubuntu-vg/ubuntu-lv during curtin installation\n\
                 /dev/disk/by-id/dm-uuid-LVM-Xy1 / ext4 defaults 0 1\n\
                 /dev/disk/by-uuid/uuid-0-2 /boot ext4 defaults 0 1\n/swap.img\tnone\tswap\tsw\t0\t0\n",
            ),
            (
                "boot/grub/grub.cfg",
                "menuentry 'Ubuntu' {\n\tlinux\t/vmlinuz-5.15.0-101-generic root=/dev/mapper/ubuntu--vg-ubuntu--lv ro\n}\n",
            ),
            (
                "etc/netplan/00-installer-config.yaml",
                "# by subiquity\nnetwork:\n  ethernets:\n    ens160:\n      addresses: [10.0.0.9/24]\n  version: 2\n",
            ),
            (
                "etc/netplan/50-cloud-init.yaml",
                "network:\n  ethernets:\n    ens160:\n      dhcp4: true\n  version: 2\n",
            ),
            ("etc/cloud/cloud.cfg", "datasource_list: [ NoCloud, VMware, OVF, None ]\n"),
            ("var/lib/cloud/instance/obj.pkl", "x"),
            (
                "var/lib/dpkg/status",
                "Package: open-vm-tools\nStatus: install ok installed\nVersion: 2:12.3.5\n\n\
                 Package: ubuntu-server\nStatus: install ok installed\nRecommends: open-vm-tools\n",
            ),
            ("etc/initramfs-tools/initramfs.conf", "MODULES=most\n"),
            ("usr/sbin/update-initramfs", "#!/bin/sh\n"),
        ],
        links: &[],
        kernel: ("5.15.0-101-generic", None, "boot/initrd.img-5.15.0-101-generic"),
        inside: &[("usr/lib/systemd/network/99-default.link", "[Match]\n")],
        plan: &[
            "linux-network write_file /etc/systemd/network/10-vmdk2kvm-ens160.link",
            "linux-cloud-init write_file /etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg",
            "linux-vmware-tools remove_packages open-vm-tools",
            "linux-initramfs write_file /etc/initramfs-tools/modules",
            "linux-initramfs extend_initramfs /boot/initrd.img-5.15.0-101-generic",
        ],
        after: &[("etc/netplan/00-installer-config.yaml", "# by subiquity\nnetwork:\n  ethernets:\n    ens160:\n")],
        inside_after: &[],
    });
}

#[test]
fn debian_with_an_encrypted_root_and_units() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/mapper/sda2_crypt",
        disk: disk(0, &[(1, "ext4"), (2, "crypto_LUKS"), (3, "swap"), (4, "xfs")]),
        files: &[
            LINKS,
            ("etc/fstab", "/dev/mapper/sda2_crypt / ext4 errors=remount-ro 0 1\n/dev/sda1 /boot ext4 defaults 0 2"),
            ("etc/crypttab", "sda2_crypt /dev/sda2 none luks,discard\n"),
            (
                "etc/systemd/system/srv.mount",
                "[Mount]\nWhat=/dev/sda4\nWhere=/srv\nType=xfs\n[Install]\nWantedBy=local-fs.target\n",
            ),
            ("etc/systemd/system/swap.swap", "[Swap]\nWhat=/dev/sda3\n"),
            (
                "boot/grub/grub.cfg",
                "menuentry 'Debian' {\n\tlinux /vmlinuz-6.1.0-37-amd64 root=/dev/mapper/sda2_crypt cryptopts=target=sda2_crypt,source=/dev/sda2 ro\n}\n",
            ),
            (
                "etc/grub.d/40_custom",
                "#!/bin/sh\nexec tail -n +3 $0\nmenuentry 'old' {\n  linux /vmlinuz.old root=/dev/sda4\n}\n",
            ),
            (
                "etc/network/interfaces",
                "auto ens192\niface ens192 inet static\n  address 10.0.0.9/24\n  post-up /sbin/ethtool -G ens192 rx 4096\n",
            ),
            ("etc/initramfs-tools/initramfs.conf", "MODULES=most\n"),
            ("usr/sbin/update-initramfs", "#!/bin/sh\n"),
            ("etc/init.d/vboxadd", "#!/bin/sh\n"),
            ("etc/rc5.d/README", ""),
        ],
        links: &[("etc/rc5.d/S01vboxadd", "../init.d/vboxadd")],
        kernel: ("6.1.0-37-amd64", None, "boot/initrd.img-6.1.0-37-amd64"),
        inside: &[("cryptroot/crypttab", "sda2_crypt /dev/sda2 none luks\n")],
        plan: &[
            "linux-crypttab write_file /etc/crypttab",
            "linux-fstab write_file /etc/fstab",
            "linux-mount-units write_file /etc/systemd/system/srv.mount",
            "linux-mount-units write_file /etc/systemd/system/swap.swap",
            "linux-cmdline write_file /boot/grub/grub.cfg",
            "linux-cmdline write_file /etc/grub.d/40_custom",
            "linux-network write_file /etc/network/interfaces",
            LINK,
            "linux-other-tools remove /etc/rc5.d/S01vboxadd",
            "linux-initramfs write_file /etc/initramfs-tools/modules",
            "linux-initramfs extend_initramfs /boot/initrd.img-6.1.0-37-amd64",
        ],
        after: &[
            ("etc/fstab", "UUID=uuid-0-1 /boot ext4 defaults 0 2"),
            ("etc/systemd/system/srv.mount", "[Mount]\nWhat=/dev/disk/by-uuid/uuid-0-4\nWhere=/srv\n"),
            ("boot/grub/grub.cfg", "cryptopts=target=sda2_crypt,source=UUID=uuid-0-2 ro\n"),
            ("etc/network/interfaces", "rx 4096 || true\n"),
        ],
        inside_after: &[("cryptroot/crypttab", "sda2_crypt UUID=uuid-0-2 none luks\n")],
    });
}

/// wicked's own files, and the names that SLES 12 gives by rule.
#[test]
fn sles_12() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/sda2",
        disk: disk(0, &[(1, "swap"), (2, "ext3")]),
        files: &[
            LINKS,
            ("etc/os-release", "ID=\"sles\"\nVERSION_ID=\"12.5\"\n"),
            (
                "etc/fstab",
                "UUID=uuid-0-1 swap swap defaults 0 0\n/dev/disk/by-id/scsi-36000c2912345678-part2 / ext3 acl,user_xattr 1 1\n",
            ),
            (
                "boot/grub2/grub.cfg",
                "menuentry 'SLES' {\n\tlinux /boot/vmlinuz-4.12.14-122.37-default root=/dev/disk/by-id/scsi-36000c2912345678-part2\n}\n",
            ),
            (
                "etc/wicked/ifconfig/lan.xml",
                "<interface>\n  <name>eth0</name>\n  <ipv4:dhcp><enabled>true</enabled></ipv4:dhcp>\n</interface>\n",
            ),
            (
                "etc/udev/rules.d/70-persistent-net.rules",
                "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"vmxnet3\", ATTR{address}==\"00:50:56:aa:bb:01\", ATTR{type}==\"1\", NAME=\"eth0\"\n",
            ),
            ("usr/bin/dracut", "#!/bin/sh\n"),
        ],
        links: &[],
        kernel: ("4.12.14-122.37-default", None, "boot/initrd-4.12.14-122.37-default"),
        inside: &[],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-cmdline write_file /boot/grub2/grub.cfg",
            "linux-network write_file /etc/udev/rules.d/70-persistent-net.rules",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initrd-4.12.14-122.37-default",
        ],
        after: &[
            ("etc/fstab", "UUID=uuid-0-2 / ext3 acl,user_xattr 1 1\n"),
            (
                "etc/udev/rules.d/70-persistent-net.rules",
                "ACTION==\"add\", ATTR{address}==\"00:50:56:aa:bb:01\", ATTR{type}==\"1\", NAME=\"eth0\"\n",
            ),
        ],
        inside_after: &[],
    });
}

#[test]
fn arch_with_an_encrypted_root() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/mapper/root",
        disk: disk(0, &[(1, "ext4"), (2, "crypto_LUKS")]),
        files: &[
            LINKS,
            ("etc/os-release", "NAME=\"Arch Linux\"\nID=arch\n"),
            ("etc/fstab", "/dev/mapper/root / ext4 rw,relatime 0 1\nUUID=uuid-0-1 /boot ext4 rw 0 2\n"),
            ("etc/crypttab.initramfs", "root /dev/sda2 - discard\n"),
            (
                "etc/default/grub",
                "GRUB_CMDLINE_LINUX=\"cryptdevice=/dev/sda2:root:allow-discards root=/dev/mapper/root\"\n",
            ),
            (
                "boot/grub/grub.cfg",
                "menuentry 'Arch' {\n\tlinux /vmlinuz-linux-lts root=/dev/mapper/root rw cryptdevice=/dev/sda2:root:allow-discards\n}\n",
            ),
            ("etc/mkinitcpio.conf", "MODULES=()\nHOOKS=(base udev autodetect modconf block encrypt filesystems)\n"),
            ("usr/bin/mkinitcpio", "#!/bin/sh\n"),
            ("etc/systemd/network/20-wired.network", "[Match]\nName=ens192\n\n[Network]\nDHCP=yes\n"),
            ("lib/modules/6.6.36-1-lts/pkgbase", "linux-lts\n"),
        ],
        links: &[],
        kernel: ("6.6.36-1-lts", Some("boot/vmlinuz-linux-lts"), "boot/initramfs-linux-lts.img"),
        inside: &[("etc/crypttab", "root /dev/sda2 - discard\n")],
        plan: &[
            "linux-crypttab write_file /etc/crypttab.initramfs",
            "linux-cmdline write_file /etc/default/grub",
            "linux-cmdline write_file /boot/grub/grub.cfg",
            LINK,
            "linux-initramfs write_file /etc/mkinitcpio.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-linux-lts.img",
        ],
        after: &[("boot/grub/grub.cfg", " rw cryptdevice=UUID=uuid-0-2:root:allow-discards\n")],
        inside_after: &[("etc/crypttab", "root UUID=uuid-0-2 - discard\n")],
    });
}
