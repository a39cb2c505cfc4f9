//! netctl, netifrc, the kernel's command line, udev's rules and `.link` files.

use super::super::naming::{Naming, Udev};
use super::super::udev::{Pin, unbound_rule};
use super::{check, check_files, graph};
use crate::fixture::MapGuest;
use crate::inspect::network::Network;

#[test]
fn netctl() {
    let wants = "/etc/systemd/system/multi-user.target.wants";
    let lan =
        "Description='LAN'\nInterface=ens192\nConnection=ethernet\nIP=static\nAddress=('10.0.2.5/24' '10.0.2.6/24')\n";
    check_files(&[
        (&[("/etc/netctl/lan", lan), (&format!("{wants}/netctl@lan.service"), "")], "ens192 10.0.2.5/24 10.0.2.6/24"),
        (&[("/etc/netctl/lan", lan)], "ens192 off 10.0.2.5/24 10.0.2.6/24"),
        (
            &[("/etc/netctl/lan", lan), (&format!("{wants}/netctl-ifplugd@ens192.service"), "")],
            "ens192 10.0.2.5/24 10.0.2.6/24",
        ),
        (
            &[
                ("/etc/netctl/a", "Interface=br0\nConnection=bridge\nBindsToInterfaces=(ens192 ens224)\nIP=dhcp\n"),
                (&format!("{wants}/netctl@a.service"), ""),
            ],
            "br0=bridge(ens192 ens224) dhcp; ens192; ens224",
        ),
        (
            &[("/etc/netctl/a", "Interface=v\nConnection=vlan\nBindsToInterfaces=ens192\nVLANID=7\n")],
            "ens192 off; v=vlan(ens192) off",
        ),
        (
            &[("/etc/netctl/a", "Interface=bond0\nConnection=bond\nBindsToInterfaces=('ens192' \"ens224\")\n")],
            "bond0=bond(ens192 ens224) off; ens192 off; ens224 off",
        ),
        (&[("/etc/netctl/a", "Interface=`cat x`\n")], "?1"),
        (&[("/etc/netctl/examples/a", lan), ("/etc/netctl/a.bak", lan)], ""),
    ]);
}

#[test]
fn netifrc() {
    let up = "/etc/runlevels/default/net.";
    let net = |text| ("/etc/conf.d/net", text);
    check_files(&[
        (
            &[
                net("config_ens192=\"10.0.2.5/24\"\nroutes_ens192=\"default via 10.0.2.1\"\n"),
                (&format!("{up}ens192"), ""),
            ],
            "ens192 10.0.2.5/24",
        ),
        (&[net("config_ens192=\"dhcp\"\n")], "ens192 off dhcp"),
        (&[net("# nothing\n"), (&format!("{up}ens192"), ""), (&format!("{up}lo"), "")], "ens192"),
        (&[net("config_ens192=( \"10.0.2.5/24\" \"10.0.2.6/24\" )\n")], "ens192 off 10.0.2.5/24 10.0.2.6/24"),
        (
            &[net("vlans_ens192=\"7\"\nconfig_ens192_7=\"10.0.2.5/24\"\n"), (&format!("{up}ens192"), "")],
            "ens192; ens192.7=vlan(ens192) 10.0.2.5/24",
        ),
        (
            &[net("bridge_br0=\"ens192\"\nbridge_forward_delay_br0=0\nconfig_br0=dhcp\n"), (&format!("{up}br0"), "")],
            "br0=bridge(ens192) dhcp; ens192",
        ),
        (
            &[net("slaves_bond0=\"ens192 ens224\"\nconfig_bond0=\"dhcp\"\n"), (&format!("{up}bond0"), "")],
            "bond0=bond(ens192 ens224) dhcp; ens192; ens224",
        ),
        (&[net("config_ens192=$(x)\n")], "?1"),
    ]);
}

#[test]
fn kernel_command_line() {
    check(
        "/boot/grub2/grub.cfg",
        &[
            ("menuentry x {\n linux /vmlinuz root=/dev/sda1 ip=ens192:dhcp\n}\n", "ens192"),
            ("linux /vmlinuz root=x ip=10.0.2.5::10.0.2.1:255.255.255.0:web:ens192:none\n", "ens192"),
            ("linux /vmlinuz root=x ip=dhcp bootdev=ens192\n", "ens192"),
            (
                "linux /vmlinuz root=x bond=bond0:ens192,ens224:mode=1 ip=bond0:dhcp\n",
                "bond0=bond(ens192 ens224); ens192; ens224",
            ),
            ("linux /vmlinuz root=x vlan=v7:ens192 bridge=br0:v7\n", "br0=bridge(v7); ens192; v7=vlan(ens192)"),
            ("# linux ip=ens192:dhcp\nset root='hd0'\n", ""),
        ],
    );
    check("/etc/dracut.conf.d/net.conf", &[("kernel_cmdline=\"ip=ens192:dhcp rd.neednet=1\"\n", "ens192")]);
    check("/etc/cmdline.d/net.conf", &[("ip=ens192:dhcp\n", "ens192")]);
    let found = graph(&[("/etc/kernel/cmdline", "root=x ifname=lan:00:50:56:AA:BB:01")]);
    assert_eq!(found.pins, [Pin::new("lan", Some("00:50:56:aa:bb:01".to_owned()), "/etc/kernel/cmdline", false)]);
}

#[test]
fn who_names_the_cards() {
    const LINK: (&str, &str) = ("/usr/lib/udev/rules.d/80-net-setup-link.rules", "x");
    const SLOT: (&str, &str) = ("/lib/udev/rules.d/80-net-name-slot.rules", "x");
    let cmdline = |words| ("/boot/grub/grub.cfg", words);
    const OFF: &str = "linux /vmlinuz root=x ro net.ifnames=0\n";
    for (files, naming, links, rules) in [
        (&[LINK][..], Naming::Place, true, true),
        (&[SLOT], Naming::Place, false, true),
        (&[], Naming::Either, false, false),
        (&[("/lib/udev/rules.d/75-persistent-net-generator.rules", "x")], Naming::Either, false, true),
        (&[LINK, cmdline(OFF)], Naming::Kernel, true, true),
        (&[LINK, cmdline("linux /a root=x\nlinux /a root=x net.ifnames=0\n")], Naming::Either, true, true),
        (&[LINK, cmdline("linux /a root=x net.ifnames=0 net.ifnames=1\n")], Naming::Place, true, true),
        (
            &[LINK, ("/boot/loader/entries/a.conf", "title a\noptions root=x net.ifnames=0 biosdevname=0\n")],
            Naming::Kernel,
            true,
            true,
        ),
        (&[LINK, ("/etc/udev/rules.d/80-net-setup-link.rules", "")], Naming::Kernel, false, true),
        (
            &[LINK, ("/etc/systemd/network/99-default.link", "[Match]\nOriginalName=*\n[Link]\nNamePolicy=kernel\n")],
            Naming::Kernel,
            true,
            true,
        ),
        (
            &[
                LINK,
                (
                    "/etc/systemd/network/99-default.link",
                    "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep slot path\n",
                ),
            ],
            Naming::Place,
            true,
            true,
        ),
        (&[LINK, ("/etc/systemd/network/99-default.link", "")], Naming::Kernel, true, true),
    ] {
        let guest = MapGuest::new(files);
        assert_eq!(Network::read(&guest).unwrap().naming, naming, "{files:?}");
        assert_eq!(Udev::read(&guest).unwrap(), Udev { links, rules }, "{files:?}");
    }
}

#[test]
fn links_and_rules_that_name_cards() {
    let pin = |path: &str, text: &str| {
        let pins = graph(&[("/usr/lib/udev/rules.d/80-net-setup-link.rules", "x"), (path, text)]).pins;
        pins.into_iter().map(|pin| (pin.name, pin.mac, pin.bound, pin.address)).collect::<Vec<_>>()
    };
    let mac = || Some("00:50:56:aa:bb:01".to_owned());
    for (text, expected) in [
        ("[Match]\nMACAddress=00:50:56:AA:BB:01\n[Link]\nName=lan\n", Some((mac(), false, None))),
        ("[Match]\nMACAddress=00:50:56:AA:BB:01\nDriver=vmxnet3\n[Link]\nName=lan\n", Some((mac(), true, None))),
        ("[Match]\nPermanentMACAddress=00:50:56:AA:BB:01\n[Link]\nName=lan\n", Some((mac(), false, None))),
        ("[Match]\nPath=pci-0000:0b:00.0\n[Link]\nName=lan\n", Some((None, true, Some("0000:0b:00.0".to_owned())))),
        ("[Match]\nDriver=vmxnet3\n[Link]\nName=lan\n", Some((None, true, None))),
        ("[Match]\nDriver=virtio_net\n[Link]\nName=lan\n", Some((None, false, None))),
        ("[Match]\nOriginalName=*\n[Link]\nName=lan\n", None),
        ("[Match]\nMACAddress=00:50:56:AA:BB:01\n[Link]\nMTUBytes=9000\n", None),
    ] {
        let expected: Vec<_> =
            expected.into_iter().map(|(mac, bound, at)| ("lan".to_owned(), mac, bound, at)).collect();
        assert_eq!(pin("/etc/systemd/network/10-lan.link", text), expected, "{text}");
    }
    for (text, expected) in [
        (
            "# PCI\nSUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"00:50:56:AA:bb:01\", NAME=\"lan\"\n",
            Some((mac(), false, None)),
        ),
        ("SUBSYSTEM==\"net\", \\\n ATTR{address}==\"00:50:56:AA:bb:01\", NAME=\"lan\"\n", Some((mac(), false, None))),
        ("SUBSYSTEM==\"net\", SYSFS{address}==\"00:50:56:AA:bb:01\", NAME=\"lan\"\n", Some((mac(), false, None))),
        (
            "SUBSYSTEM==\"net\", KERNELS==\"0000:0b:00.0\", NAME=\"lan\"\n",
            Some((None, true, Some("0000:0b:00.0".to_owned()))),
        ),
        (
            "SUBSYSTEM==\"net\", DRIVERS==\"vmxnet3\", ATTR{address}==\"00:50:56:aa:bb:01\", NAME=\"lan\"\n",
            Some((mac(), true, None)),
        ),
        ("KERNEL==\"sd*\", NAME=\"lan\"\n", None),
        ("SUBSYSTEM==\"net\", NAME=\"lan%n\", ATTR{address}==\"00:50:56:aa:bb:01\"\n", None),
        ("SUBSYSTEM==\"net\", NAME==\"\", ATTR{address}==\"00:50:56:aa:bb:01\"\n", None),
    ] {
        let expected: Vec<_> =
            expected.into_iter().map(|(mac, bound, at)| ("lan".to_owned(), mac, bound, at)).collect();
        assert_eq!(pin("/etc/udev/rules.d/70-persistent-net.rules", text), expected, "{text}");
    }
}

#[test]
fn links_that_udev_does_not_read_name_nothing() {
    assert!(
        graph(&[("/etc/systemd/network/10-lan.link", "[Match]\nMACAddress=00:50:56:AA:BB:01\n[Link]\nName=lan\n")])
            .pins
            .is_empty()
    );
}

#[test]
fn rules_of_the_old_hardware() {
    let line = "SUBSYSTEM==\"net\", DRIVERS==\"vmxnet3\", KERNELS==\"0000:0b:00.0\", ATTR{address}==\"00:50:56:aa:bb:01\", NAME=\"lan\"";
    assert_eq!(
        unbound_rule(line).as_deref(),
        Some("SUBSYSTEM==\"net\", ATTR{address}==\"00:50:56:aa:bb:01\", NAME=\"lan\"")
    );
    assert_eq!(unbound_rule(&unbound_rule(line).unwrap()), None);
    assert_eq!(unbound_rule("DRIVERS==\"vmxnet3\", NAME=\"lan\""), None);
    assert_eq!(unbound_rule("# DRIVERS==\"vmxnet3\""), None);
    assert_eq!(unbound_rule("broken==\"x"), None);
}
