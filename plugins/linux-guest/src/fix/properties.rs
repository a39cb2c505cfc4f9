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

const PATHS: [&str; 19] = [
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
