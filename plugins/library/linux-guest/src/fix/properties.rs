//! What must hold for any text: no panic, nothing left to do after one pass, and not a byte changed where nothing is wrong.

use proptest::prelude::*;

use super::settings::{FixSettings, fixers};
use crate::fixture::{self, MapGuest};
use vmdk2kvm_plugin_api::model::Action;

/// Words that the grammars know, between white space and quotes of all kinds.
fn text() -> impl Strategy<Value = String> {
    let words = [
        "/dev/sda1",
        "/dev/sda5",
        "/dev/sdb1",
        "UUID=uuid-0-1",
        "/dev/sr0",
        ".host:/",
        "/",
        "/data",
        "ext4",
        "swap",
        "none",
        "defaults",
        "noauto",
        "root=/dev/sda1",
        "resume=/dev/sdz",
        "root=",
        "linux",
        "kernel",
        "options",
        "set",
        "append",
        "GRUB_CMDLINE_LINUX=",
        "GRUB_DISABLE_LINUX_UUID=true",
        "RESUME=/dev/sda5",
        "kernelopts=",
        "iface",
        "ens192",
        "inet",
        "static",
        "address",
        "10.0.0.1/24",
        "[Match]",
        "Name=ens192",
        "MACAddress=00:50:56:aa:bb:01",
        "alias",
        "vmxnet3",
        "NAME=\"ens192\"",
        "ATTR{address}==\"00:50:56:aa:bb:01\"",
        "DRIVERS==\"vmxnet3\"",
        "devices",
        "filter = [ ",
        "\"a|/dev/sda|\"",
        "]",
        "IDTYPE=sys_wwid",
        "IDNAME=naa.6",
        "PVID=x",
        "DEVICE",
        "ARRAY",
        "devices=/dev/sda1,/dev/sdb1",
        "UUID=1:2",
        "network:\n  ethernets:\n    ens192:\n",
        "driver: vmxnet3",
        "Driver=vmxnet3",
        "DEVICE=",
        "HWADDR=00:50:56:aa:bb:01\n",
        "BRIDGE_PORTS=\"",
        "config_ens192=( ",
        "Interface=$(",
        "${N:-",
        "bridge_ports ",
        "ip=ens192:dhcp ",
        "interfaces: [ens192, &a ",
        "*a",
        "<interface><name>ens192</name>",
        "<bond><slaves>",
        "VLAN=ens192.7\n",
        "[Link]\n",
        "Path=pci-0000:0b:00.0",
        "driver=vmxnet3;",
        "[match]",
        "interface-name=ens*",
        "Driver \"vmware\"",
        "omit_drivers+=\" virtio_net \"",
        "\\040",
        "\u{fc}",
        "#",
        " ",
        " ",
        "\t",
        "\n",
        "\n",
        "\r\n",
        "\"",
        "'",
        "\\",
        "\\\n",
        ",",
        "=",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40).prop_map(|words| words.concat())
}

const PATHS: [&str; 27] = [
    "/etc/fstab",
    "/etc/crypttab",
    "/etc/initramfs-tools/conf.d/resume",
    "/etc/default/grub",
    "/boot/grub/grub.cfg",
    "/boot/grub/menu.lst",
    "/boot/loader/entries/a.conf",
    "/etc/network/interfaces",
    "/etc/systemd/network/a.network",
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/etc/modprobe.d/a.conf",
    "/etc/lvm/lvm.conf",
    "/etc/lvm/devices/system.devices",
    "/etc/mdadm/mdadm.conf",
    "/etc/netplan/a.yaml",
    "/etc/NetworkManager/system-connections/a",
    "/etc/sysconfig/network-scripts/ifcfg-a",
    "/etc/sysconfig/network/ifcfg-b",
    "/etc/wicked/ifconfig/a.xml",
    "/etc/netctl/a",
    "/etc/conf.d/net",
    "/etc/cloud/cloud.cfg.d/a.cfg",
    "/etc/systemd/network/a.netdev",
    "/etc/systemd/network/a.link",
    "/usr/lib/udev/rules.d/80-net-setup-link.rules",
    "/etc/X11/xorg.conf",
    "/etc/update-extlinux.conf",
];

proptest! {
    #[test]
    fn one_pass_is_enough(texts in proptest::collection::vec(text(), PATHS.len())) {
        let context = fixture::context();
        let files: Vec<(&str, &str)> = PATHS.iter().zip(&texts).map(|(path, text)| (*path, text.as_str())).collect();
        let mut guest = MapGuest::new(&files);
        let mut all = fixers(&FixSettings::default());
        all.sort_by_key(|fixer| fixer.order());
        for fixer in &all {
            for change in fixer.plan(&context, &guest).unwrap().changes {
                match change.action {
                    Action::WriteFile { content, .. } => {
                        guest.0.insert(change.target, content.to_bytes().unwrap());
                    }
                    Action::Remove { .. } => {
                        guest.0.remove(&change.target);
                    }
                    _ => {}
                }
            }
        }
        for fixer in &all {
            let again = fixer.plan(&context, &guest).unwrap().changes;
            prop_assert!(again.is_empty(), "{}: {:?}", fixer.name(), again);
        }
    }
}

/// Files in which something is to be mended, one for each grammar.
const MENDED: [(&str, &str); 22] = [
    ("/etc/fstab", "# x\n/dev/sda1 / ext4 defaults 0 1\n\n/dev/sda5 none swap sw\n"),
    ("/etc/crypttab", "# x\nroot /dev/sda5 none luks\n"),
    ("/etc/systemd/system/srv.mount", "[Mount]\nWhat=/dev/sda1\nWhere=/srv\n"),
    ("/etc/initramfs-tools/conf.d/resume", "RESUME=/dev/sda5\n# x\n"),
    ("/etc/default/grub", "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX=\"root=/dev/sda1\"\nGRUB_DISABLE_LINUX_UUID=true\n"),
    ("/etc/kernel/cmdline", "root=/dev/sda1 ro\n"),
    ("/boot/grub/grub.cfg", "menuentry 'x' {\n\tlinux /vmlinuz root=/dev/sda1\n}\n"),
    ("/boot/grub/menu.lst", "title x\n\tkernel /vmlinuz root=/dev/sda1 ro\n"),
    ("/boot/loader/entries/a.conf", "title x\noptions root=/dev/sda1\n"),
    ("/boot/extlinux.conf", "LABEL x\n  APPEND root=/dev/sda1\n"),
    ("/etc/update-extlinux.conf", "overwrite=1\nroot=/dev/sda1\n"),
    ("/etc/lvm/lvm.conf", "devices {\n\tfilter = [ \"a|/dev/sda|\", \"r|.*|\" ]\n}\n"),
    ("/etc/mdadm/mdadm.conf", "DEVICE /dev/sda1\nARRAY /dev/md0 UUID=1:2 devices=/dev/sda1\n"),
    ("/etc/modprobe.d/a.conf", "options loop x=1\nalias eth0 vmxnet3\nblacklist virtio_net\n# x\n"),
    ("/etc/modules", "loop\nvmxnet3\nlp\n"),
    ("/etc/cron.d/a", "1 * * * * root vmtoolsd\n2 * * * * root true\n"),
    ("/etc/X11/xorg.conf", "Section \"Device\"\n  Driver \"vmware\"\nEndSection\n"),
    ("/etc/network/interfaces", "iface lan inet dhcp\n  up ethtool -K lan lro off\n"),
    ("/etc/netplan/a.yaml", "network:\n  ethernets:\n    lan:\n      match:\n        driver: vmxnet3\n"),
    ("/etc/systemd/network/a.network", "[Match]\nDriver=vmxnet3\n[Network]\nDHCP=yes\n"),
    ("/etc/NetworkManager/system-connections/a", "[match]\ndriver=vmxnet3;\n[ipv4]\nmethod=auto\n"),
    (
        "/etc/udev/rules.d/70-persistent-net.rules",
        "# x\nDRIVERS==\"vmxnet3\", ATTR{address}==\"00:50:56:aa:bb:01\", NAME=\"lan\"\n",
    ),
];

/// The file at `path` after all fixers.
fn mended(path: &str, text: &str) -> String {
    let context = fixture::context();
    let mut guest = MapGuest::new(&[(path, text)]);
    let mut all = fixers(&FixSettings::default());
    all.sort_by_key(|fixer| fixer.order());
    for fixer in &all {
        for change in fixer.plan(&context, &guest).unwrap().changes {
            let Action::WriteFile { content, mode, old_sha256 } = change.action else { continue };
            assert!(mode.is_none(), "{path}: the mode of a file that is there is its own");
            assert!(change.target != path || old_sha256.is_some(), "{path}: written over without a look");
            guest.0.insert(change.target, content.to_bytes().unwrap());
        }
    }
    String::from_utf8(guest.0[path].clone()).unwrap()
}

#[test]
fn line_endings_and_a_missing_last_one_stay() {
    for (path, text) in MENDED {
        let plain = mended(path, text);
        assert_ne!(plain, text, "{path}: nothing was mended");
        assert_eq!(mended(path, &text.replace('\n', "\r\n")), plain.replace('\n', "\r\n"), "{path}");
        let cut = |text: &str| text.trim_end_matches('\n').to_owned();
        assert_eq!(mended(path, &cut(text)), cut(&plain), "{path}");
    }
}
