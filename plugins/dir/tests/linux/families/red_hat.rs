//! Red Hat's releases and what is made of them.

use super::{Family, LINK, LINKS, check};
use crate::support::disk;
use vmdk2kvm_plugin_api::model::Firmware;

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
        links: &[],
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
                "menuentry 'CentOS' {\n\tlinux16 /boot/vmlinuz-3.10.0-1160.el7.x86_64 root=/dev/sda1 ro resume=/dev/sda2\n}\n",
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
        links: &[],
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
        links: &[("boot/grub/menu.lst", "./grub.conf"), ("etc/grub.conf", "../boot/grub/grub.conf")],
        inside: &[],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-cmdline write_file /boot/grub/menu.lst",
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
        links: &[],
        inside: &[],
        plan: &[&entry_change, "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf", &archive_change],
        after: &[(&entry, "options root=UUID=uuid-0-2 rootflags=subvol=root\n")],
        inside_after: &[],
    });
}

/// The environment block is on the EFI system partition, and GRUB's folder has a link to it.
#[test]
fn rhel_8() {
    let block = |root: &str| {
        let text = format!(
            "# GRUB Environment Block\nsaved_entry=0123-4.18.0-513.el8.x86_64\nkernelopts=root={root} ro crashkernel=auto\n"
        );
        format!("{text:#<1024}")
    };
    let (before, after) = (block("/dev/sda3"), block("UUID=uuid-0-3"));
    check(&Family {
        firmware: Firmware::Uefi,
        root: "/dev/sda3",
        disk: disk(0, &[(1, "vfat"), (2, "xfs"), (3, "xfs")]),
        files: &[
            LINKS,
            ("etc/os-release", "ID=\"rhel\"\nVERSION_ID=\"8.9\"\nID_LIKE=\"fedora\"\n"),
            (
                "etc/fstab",
                "UUID=uuid-0-3 / xfs defaults 0 0\nUUID=uuid-0-2 /boot xfs defaults 0 0\nUUID=uuid-0-1 /boot/efi vfat umask=0077 0 2\n",
            ),
            ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"crashkernel=auto root=/dev/sda3\"\nGRUB_ENABLE_BLSCFG=true\n"),
            ("boot/efi/EFI/BOOT/BOOTX64.EFI", "shim"),
            ("boot/efi/EFI/redhat/grubenv", &before),
            (
                "boot/efi/EFI/redhat/grub.cfg",
                "insmod blscfg\nblscfg\nif [ -z \"$kernelopts\" ]; then\n  set kernelopts=\"root=/dev/sda3 ro\"\nfi\n",
            ),
            (
                "boot/loader/entries/0123-4.18.0-513.el8.x86_64.conf",
                "title RHEL\nlinux /vmlinuz-4.18.0-513.el8.x86_64\ninitrd /initramfs-4.18.0-513.el8.x86_64.img $tuned_initrd\n\
                 options $kernelopts $tuned_params\n",
            ),
            ("boot/grub2/fonts/unicode.pf2", ""),
            (
                "etc/sysconfig/network-scripts/ifcfg-ens192",
                "DEVICE=\"ens192\"\nBOOTPROTO=none\nIPADDR=10.0.0.9\nPREFIX=24\n",
            ),
            ("usr/bin/dracut", "#!/bin/sh\n"),
        ],
        links: &[("boot/grub2/grubenv", "../efi/EFI/redhat/grubenv"), ("etc/sysconfig/grub", "/etc/default/grub")],
        kernel: ("4.18.0-513.el8.x86_64", None, "boot/initramfs-4.18.0-513.el8.x86_64.img"),
        inside: &[("usr/lib/systemd/network/99-default.link", "[Match]\n")],
        plan: &[
            "linux-cmdline write_file /etc/default/grub",
            "linux-cmdline write_file /boot/grub2/grubenv",
            "linux-cmdline write_file /boot/efi/EFI/redhat/grub.cfg",
            LINK,
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-4.18.0-513.el8.x86_64.img",
        ],
        after: &[
            ("boot/efi/EFI/redhat/grubenv", &after),
            ("boot/efi/EFI/redhat/grub.cfg", "  set kernelopts=\"root=UUID=uuid-0-3 ro\"\n"),
        ],
        inside_after: &[],
    });
}

/// Oracle's own kernel, a multipath name, an LVM filter that lets nothing but the old disk through, and a ban of KVM's card.
#[test]
fn oracle_8() {
    let filter = "devices {\n\tfilter = [ \"a|/dev/sda.*|\", \"r|.*|\" ]\n}\n";
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/ol/root",
        disk: disk(0, &[(1, "xfs"), (2, "LVM2_member")]),
        files: &[
            LINKS,
            ("etc/os-release", "ID=\"ol\"\nVERSION_ID=\"8.8\"\nID_LIKE=\"fedora\"\n"),
            (
                "etc/fstab",
                "/dev/mapper/ol-root / xfs defaults 0 0\n/dev/mapper/disk0p1 /boot xfs defaults 0 0\n\
                 /dev/mapper/ol-swap none swap defaults 0 0\n",
            ),
            ("etc/multipath/bindings", "# alias wwid\ndisk0 36000c29aaaabbbb\n"),
            ("etc/lvm/lvm.conf", filter),
            ("boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n"),
            (
                "boot/loader/entries/0123-5.15.0-101.103.2.1.el8uek.x86_64.conf",
                "title Oracle Linux Server 8.8\noptions root=/dev/mapper/ol-root ro resume=/dev/mapper/ol-swap rd.lvm.lv=ol/root\n",
            ),
            (
                "etc/sysconfig/network-scripts/ifcfg-ens192",
                "TYPE=Ethernet\nDEVICE=ens192\nHWADDR=00:50:56:AA:BB:01\nBOOTPROTO=dhcp\nETHTOOL_OPTS=\"-G ens192 rx 4096\"\n",
            ),
            ("etc/modprobe.d/ban.conf", "# not on VMware\nblacklist virtio_net\n"),
            ("usr/bin/dracut", "#!/bin/sh\n"),
        ],
        links: &[],
        kernel: ("5.15.0-101.103.2.1.el8uek.x86_64", None, "boot/initramfs-5.15.0-101.103.2.1.el8uek.x86_64.img"),
        inside: &[
            ("usr/lib/systemd/network/99-default.link", "[Match]\n"),
            ("etc/lvm/lvm.conf", filter),
            ("etc/modprobe.d/ban.conf", "# not on VMware\nblacklist virtio_net\n"),
        ],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            "linux-lvm write_file /etc/lvm/lvm.conf",
            LINK,
            "linux-vmware-tools remove /etc/modprobe.d/ban.conf",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-5.15.0-101.103.2.1.el8uek.x86_64.img",
        ],
        after: &[("etc/fstab", "UUID=uuid-0-1 /boot xfs defaults 0 0\n")],
        inside_after: &[
            ("etc/lvm/lvm.conf", "devices {\n\tfilter = [\"a|^/dev/[sv]d|\",  \"a|/dev/sda.*|\", \"r|.*|\" ]\n}\n"),
            ("etc/modprobe.d/ban.conf", "# not on VMware\n"),
        ],
    });
}

/// The image for VMware: eth0, cloud-init, nothing by place.
#[test]
fn amazon_linux_2() {
    check(&Family {
        firmware: Firmware::Bios,
        root: "/dev/sda1",
        disk: disk(0, &[(1, "xfs")]),
        files: &[
            ("etc/os-release", "ID=\"amzn\"\nVERSION_ID=\"2\"\nID_LIKE=\"centos rhel fedora\"\n"),
            ("etc/fstab", "#\nUUID=uuid-0-1     /           xfs    defaults,noatime  1   1\n"),
            (
                "etc/default/grub",
                "GRUB_CMDLINE_LINUX_DEFAULT=\"console=tty0 console=ttyS0,115200n8 net.ifnames=0 biosdevname=0 rd.shell=0\"\n",
            ),
            (
                "boot/grub2/grub.cfg",
                "menuentry 'Amazon Linux 2' {\n\tlinux\t/boot/vmlinuz-4.14.336-257.562.amzn2.x86_64 root=UUID=uuid-0-1 ro net.ifnames=0\n}\n",
            ),
            ("etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=yes\n"),
            ("etc/cloud/cloud.cfg", "datasource_list: [ NoCloud, OVF, None ]\n"),
            ("var/lib/cloud/instance/obj.pkl", "x"),
            ("usr/bin/vmtoolsd", ""),
            ("var/lib/rpm/Packages", ""),
            ("etc/selinux/config", "SELINUX=disabled\n"),
            ("usr/bin/dracut", "#!/bin/sh\n"),
        ],
        links: &[],
        kernel: ("4.14.336-257.562.amzn2.x86_64", None, "boot/initramfs-4.14.336-257.562.amzn2.x86_64.img"),
        inside: &[],
        plan: &[
            "linux-cloud-init write_file /etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg",
            "linux-vmware-tools remove_packages open-vm-tools",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-4.14.336-257.562.amzn2.x86_64.img",
        ],
        after: &[("etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg", "manual_cache_clean: true\nnetwork:\n  config: disabled\n")],
        inside_after: &[],
    });
}

#[test]
fn amazon_linux_2023() {
    check(&Family {
        firmware: Firmware::Uefi,
        root: "/dev/sda1",
        disk: disk(0, &[(1, "xfs"), (127, "bios"), (128, "vfat")]),
        files: &[
            LINKS,
            ("etc/os-release", "ID=\"amzn\"\nVERSION_ID=\"2023\"\nID_LIKE=\"fedora\"\n"),
            (
                "etc/fstab",
                "UUID=uuid-0-1     /           xfs    defaults,noatime  1   1\n\
                 /dev/sda128        /boot/efi       vfat    defaults,noatime,uid=0,gid=0,umask=0077,x-systemd.automount 0 2\n",
            ),
            ("boot/efi/EFI/BOOT/BOOTX64.EFI", "grub"),
            ("boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n"),
            (
                "boot/loader/entries/ec2-6.1.79-99.167.amzn2023.x86_64.conf",
                "title Amazon Linux\noptions root=UUID=uuid-0-1 ro console=tty0\n",
            ),
            (
                "etc/systemd/network/10-cloud-init-ens192.network",
                "[Match]\nMACAddress=00:50:56:aa:bb:01\nName=ens192\n\n[Network]\nDHCP=ipv4\n",
            ),
            ("etc/cloud/cloud.cfg", "datasource_list: [ NoCloud, VMware, None ]\n"),
            ("var/lib/cloud/instance/obj.pkl", "x"),
            ("usr/bin/dracut", "#!/bin/sh\n"),
        ],
        links: &[],
        kernel: ("6.1.79-99.167.amzn2023.x86_64", None, "boot/initramfs-6.1.79-99.167.amzn2023.x86_64.img"),
        inside: &[("usr/lib/systemd/network/99-default.link", "[Match]\n")],
        plan: &[
            "linux-fstab write_file /etc/fstab",
            LINK,
            "linux-cloud-init write_file /etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg",
            "linux-initramfs write_file /etc/dracut.conf.d/90-vmdk2kvm.conf",
            "linux-initramfs extend_initramfs /boot/initramfs-6.1.79-99.167.amzn2023.x86_64.img",
        ],
        after: &[("etc/fstab", "UUID=uuid-0-128        /boot/efi       vfat    defaults,noatime,uid=0")],
        inside_after: &[],
    });
}
