//! What no fixer may touch, and what must not stop one: whole guests of files that are right already, foreign or broken, and
//! guests in which one file after the other is none.

use std::collections::BTreeSet;
use std::sync::Mutex;

use vmdk2kvm_plugin_api::model::{Applied, Change, Firmware, FixerPlan, PlanContext};
use vmdk2kvm_plugin_api::{Entry, Guest, PluginError, Result, Stat};

use super::settings::{FixSettings, fixers};
use crate::fixture::{self, MapGuest};
use crate::initramfs::tests::archive;
use crate::{DiskLayout, inspect};

/// Files that stay byte for byte, with every stack and every boot loader at once.
const RIGHT: &[(&str, &str)] = &[
    ("/etc/os-release", "ID=debian\nVERSION_ID=12\n"),
    (
        "/etc/fstab",
        "# /dev/sda1 was here\r\nUUID=uuid-0-1 / ext4 defaults 0 1\r\n\tLABEL=x\t/srv\\040x  auto\r\nnonsense\r\n\
         /dev/mapper/vg-data /data xfs defaults,nofail\r\nnas:/x /nas nfs _netdev",
    ),
    ("/etc/crypttab", "# target source\nroot UUID=uuid-0-1 none luks,discard\nswap LABEL=s /dev/urandom swap\nx"),
    (
        "/etc/default/grub",
        "# GRUB_CMDLINE_LINUX=\"root=/dev/sda1\"\nGRUB_CMDLINE_LINUX=\"root=UUID=uuid-0-1 $more\nbroken",
    ),
    ("/etc/default/grub.d/x.cfg", "GRUB_CMDLINE_LINUX_DEFAULT+=' quiet'\r\n"),
    ("/etc/default/grub.d/x.cfg.orig", "GRUB_CMDLINE_LINUX=\"root=/dev/sda1\"\n"),
    ("/boot/grub/grub.cfg", "set root='hd0,msdos1'\n\tlinux /vmlinuz root=UUID=uuid-0-1 ro \\\n  quiet\nif [ x\n"),
    ("/boot/grub/menu.lst", "title x\n\troot (hd0,0)\n\tkernel /vmlinuz root=LABEL=/ ro\n"),
    ("/boot/loader/entries/a.conf", "options root=UUID=uuid-0-1 $kernelopts\noptions\n"),
    ("/boot/loader/entries/a.conf.bak", "options root=/dev/sda1\n"),
    ("/boot/extlinux/extlinux.conf", "APPEND root=UUID=uuid-0-1\nappend\n"),
    ("/etc/update-extlinux.conf", "root=UUID=uuid-0-1\n# root=/dev/sda1\n"),
    ("/boot/grub/device.map", "(hd0) /dev/disk/by-uuid/x\n"),
    ("/etc/lvm/lvm.conf", "devices {\n\tfilter = [ \"a|.*|\" ]\n\tbroken = [\n"),
    ("/etc/lvm/devices/system.devices", "VERSION=1.1.1\nIDTYPE=md_uuid IDNAME=1 DEVNAME=/dev/md0 PVID=x\n"),
    ("/etc/mdadm/mdadm.conf", "HOMEHOST <system>\nARRAY /dev/md0 UUID=1:2\nDEVICE partitions\n"),
    ("/etc/initramfs-tools/conf.d/resume", "RESUME=none\n"),
    ("/etc/initramfs-tools/initramfs.conf", "MODULES=most\n"),
    ("/usr/sbin/update-initramfs", ""),
    ("/usr/lib/udev/rules.d/80-net-setup-link.rules", "x"),
    ("/etc/network/interfaces", "auto lo\niface lo inet loopback\niface lan inet dhcp\niface\n\\\n"),
    ("/etc/systemd/network/10-lan.link", "[Match]\nMACAddress=00:50:56:aa:bb:01\n[Link]\nName=lan\n"),
    ("/etc/systemd/network/a.network", "[Match\nName\n=x\n[Match]\nName=lan\n"),
    ("/etc/systemd/network/README", "[Match]\nDriver=vmxnet3\n"),
    ("/etc/netplan/a.yaml", "network: [\n"),
    ("/etc/NetworkManager/system-connections/lan", "[connection]\ninterface-name=lan\n[[[\n"),
    ("/etc/sysconfig/network-scripts/ifcfg-lan", "DEVICE=lan\nHWADDR\n=\n"),
    ("/etc/netctl/lan", "Interface=lan\nIP=(\n"),
    ("/etc/conf.d/net", "config_lan=\"dhcp\nbridge_br0=$(\n"),
    ("/etc/cloud/cloud.cfg.d/a.cfg", "network: {config: [\n"),
    ("/etc/wicked/ifconfig/a.xml", "<interface><name>lan</name><!-- "),
    ("/etc/udev/rules.d/10-own.rules", "KERNEL==\"sd*\", NAME=\"x\nbroken\""),
    ("/etc/modprobe.d/a.conf", "options loop max_loop=8\n# blacklist virtio_net\nblacklist\n"),
    ("/etc/modules", "# vmxnet3\nloop\n"),
    ("/etc/cron.d/a", "# vmtoolsd\n1 * * * * root true\n"),
    ("/etc/X11/xorg.conf", "Driver\nDriver \"vmware"),
    ("/etc/mkinitcpio.conf", "MODULES=(\n"),
    ("/etc/dracut.conf.d/a.conf", "omit_drivers+=\"\nkernel_cmdline=\n"),
    ("/var/lib/dpkg/status", "Package: open-vm-tools\nStatus: deinstall ok config-files\n\nnonsense\n"),
    ("/boot/vmlinuz-6.1.0-9-amd64", "x"),
    ("/lib/modules/6.1.0-9-amd64/modules.dep", "nonsense\n"),
    ("/boot/efi/EFI/BOOT/BOOTX64.EFI", "shim"),
];

fn plan(guest: &dyn Guest) -> Result<FixerPlan> {
    let mut context: PlanContext = fixture::context();
    let layout = DiskLayout {
        firmware: Some(Firmware::Uefi),
        root: context.inspection.root.clone(),
        mounts: vec![],
        disks: context.inspection.disks.clone(),
    };
    context.inspection = inspect(guest, &layout)?;
    let mut all = FixerPlan::default().with(|it| it.findings = context.inspection.findings.clone());
    for fixer in fixers(&FixSettings::default()) {
        let own = fixer.plan(&context, guest)?;
        all.findings.extend(own.findings);
        all.changes.extend(own.changes);
    }
    Ok(all)
}

fn targets(plan: &FixerPlan) -> Vec<&str> {
    plan.changes.iter().map(|change| change.target.as_str()).collect()
}

#[test]
fn what_is_right_foreign_or_broken_stays() {
    assert_eq!(targets(&plan(&MapGuest::new(RIGHT)).unwrap()), [""; 0]);
}

/// A guest in which what is at one path is no file (a FIFO, a device, a loop of links), and that remembers what was asked for.
struct Odd<'a> {
    inner: &'a MapGuest,
    path: &'a str,
    asked: Mutex<BTreeSet<String>>,
}

impl Guest for Odd<'_> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.inner.stat(path)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.asked.lock().unwrap().insert(path.to_owned());
        match path == self.path {
            true => Err(PluginError::unusable(format!("{path}: not a regular file but a FIFO"))),
            false => self.inner.read(path, limit),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        self.inner.list(path)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.inner.read_link(path)
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        self.inner.apply(change)
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A guest with something to do everywhere.
fn old() -> MapGuest {
    let mut guest = MapGuest::new(RIGHT);
    for (path, text) in [
        ("/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n"),
        ("/etc/network/interfaces", "iface ens192 inet dhcp\n"),
        ("/etc/lvm/cache/.cache", "x"),
        ("/boot/efi/EFI/debian/grubx64.efi", "grub"),
        ("/boot/efi/EFI/debian/grub.cfg", "configfile $prefix/grub.cfg\n"),
        ("/etc/vmware-tools/locations", "x"),
        ("/etc/init.d/vmware-tools", "x"),
        ("/lib/modules/6.1.0-9-amd64/modules.dep", "kernel/virtio_blk.ko:\nkernel/virtio_pci.ko:\n"),
        ("/lib/modules/6.1.0-9-amd64/modules.builtin", "kernel/ext4.ko\n"),
        ("/bin/sh", "x"),
        ("/etc/hostname", "web\n"),
    ] {
        guest.0.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    guest.0.remove("/boot/efi/EFI/BOOT/BOOTX64.EFI");
    guest.0.insert("/boot/initrd.img-6.1.0-9-amd64".to_owned(), archive(&[("lib/modules/6.1.0-9-amd64/x.ko", "x")]));
    guest
}

#[test]
fn no_single_odd_file_stops_the_others() {
    let guest = old();
    let none = Odd { inner: &guest, path: "", asked: Mutex::default() };
    let whole = plan(&none).unwrap();
    assert!(whole.changes.len() >= 5, "{:?}", targets(&whole));
    let asked = none.asked.into_inner().unwrap();
    assert!(asked.len() > 60, "{asked:?}");
    for path in &asked {
        let odd = Odd { inner: &guest, path, asked: Mutex::default() };
        let plan = plan(&odd).unwrap_or_else(|error| panic!("{path} stops the plan: {error}"));
        // A boot archive that cannot be read is made anew by the guest's own tool, which is what it is for.
        let mut written = plan.changes.iter().filter(|change| change.action.kind() != "rebuild_initramfs");
        assert!(written.all(|change| change.target != *path), "{path} was not read and is written all the same");
    }
}
