//! Real configuration files of every stack.

use super::*;
use crate::fixture::MapGuest;

fn read(files: &[(&str, &str)]) -> Configuration {
    Configuration::read(&MapGuest::new(files)).unwrap()
}

/// `name mac dhcp addresses` of each interface.
fn lines(configuration: &Configuration) -> Vec<String> {
    configuration
        .info()
        .interfaces
        .iter()
        .map(|i| format!("{} {} {} {}", i.name, i.mac.as_deref().unwrap_or("-"), i.dhcp, i.addresses.join(",")))
        .collect()
}

#[test]
fn ifupdown_with_a_pinned_name() {
    let found = read(&[
        (
            "/etc/network/interfaces",
            "source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\nallow-hotplug ens192\niface ens192 inet static\n\
             \taddress 10.0.2.77/24\n\tgateway 10.0.2.2\niface ens192:1 inet static\n address 10.1.0.1\n netmask 255.255.0.0\n\
             auto br0\niface br0 inet dhcp\n\tbridge_ports ens224\n",
        ),
        (
            "/etc/udev/rules.d/70-persistent-net.rules",
            "# PCI device 0x15ad:0x07b0 (vmxnet3)\nSUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"00:50:56:AA:bb:01\", ATTR{dev_id}==\"0x0\", ATTR{type}==\"1\", NAME=\"ens192\"\n",
        ),
    ]);
    assert_eq!(
        lines(&found),
        ["br0 - true ", "ens192 00:50:56:aa:bb:01 false 10.0.2.77/24,10.1.0.1/16", "ens224 - false "]
    );
    assert_eq!(found.info().stacks, ["ifupdown"]);
    assert_eq!(found.cards().map(|card| card.name.as_str()).collect::<Vec<_>>(), ["ens192", "ens224"]);
    assert!(!found.pins[0].bound);
    assert!(found.has_virtual());
}

#[test]
fn networkd_and_links() {
    let found = read(&[
        (
            "/etc/systemd/network/10-ens192.network",
            "[Match]\nMACAddress=00:50:56:aa:bb:01\nName=ens192\n\n[Network]\nAddress=10.0.2.78/24\nGateway=10.0.2.2\n",
        ),
        ("/etc/systemd/network/20-all.network", "[Match]\nName=en*\n[Network]\nDHCP=yes\n"),
        ("/etc/systemd/network/10-lan.link", "[Match]\nPath=pci-0000:0b:00.0\n[Link]\nName=lan0\n"),
        ("/etc/systemd/network/br1.netdev", "[NetDev]\nName=br1\nKind=bridge\n"),
        ("/etc/systemd/network/x.network", "[Match]\nDriver=vmxnet3\n[Network]\nDHCP=yes\n"),
    ]);
    assert_eq!(lines(&found), ["br1 - false ", "ens192 00:50:56:aa:bb:01 false 10.0.2.78/24"]);
    assert_eq!(
        found.pins,
        [Pin { mac: None, name: "lan0".to_owned(), file: "/etc/systemd/network/10-lan.link".to_owned(), bound: true }]
    );
    assert_eq!(found.by_hardware, ["/etc/systemd/network/x.network"]);
    assert_eq!(found.patterns, ["en*"]);
}

#[test]
fn netplan() {
    let found = read(&[
        (
            "/etc/netplan/01.yaml",
            "network:\n  version: 2\n  ethernets:\n    ens160:\n      dhcp4: true\n    lan:\n      match: {macaddress: '00:50:56:00:00:02'}\n      set-name: lan0\n      addresses: [192.0.2.1/24, {2001:db8::1/64: {lifetime: 0}}]\n    any:\n      match: {name: 'en*'}\n  vlans:\n    vlan9: {id: 9, link: ens160}\n",
        ),
        ("/etc/netplan/bad.yaml", "a: ["),
    ]);
    assert_eq!(
        lines(&found),
        ["ens160 - true ", "lan0 00:50:56:00:00:02 false 192.0.2.1/24,2001:db8::1/64", "vlan9 - false "]
    );
    assert_eq!(found.info().stacks, ["netplan"]);
}

#[test]
fn networkmanager_and_ifcfg() {
    let found = read(&[
        (
            "/etc/NetworkManager/system-connections/a.nmconnection",
            "[connection]\nid=a\ntype=ethernet\ninterface-name=ens192\n[ethernet]\nmac-address=00:0C:29:00:00:01\n[ipv4]\nmethod=manual\naddress1=10.0.0.5/24,10.0.0.1\n",
        ),
        (
            "/etc/sysconfig/network-scripts/ifcfg-ens224",
            "DEVICE=\"ens224\"\nBOOTPROTO=none\nIPADDR=10.0.0.6\nNETMASK=255.255.255.0\nHWADDR=00:0C:29:00:00:02\n",
        ),
        ("/etc/sysconfig/network-scripts/ifcfg-bond0", "DEVICE=bond0\nTYPE=Bond\nBOOTPROTO=dhcp\n"),
        ("/etc/sysconfig/network-scripts/ifcfg-old.bak", "DEVICE=old\n"),
        ("/etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO='static'\nIPADDR='10.0.0.7/24'\n"),
    ]);
    assert_eq!(
        lines(&found),
        [
            "bond0 - true ",
            "ens192 00:0c:29:00:00:01 false 10.0.0.5/24",
            "ens224 00:0c:29:00:00:02 false 10.0.0.6/24",
            "eth0 - false 10.0.0.7/24"
        ]
    );
    assert_eq!(found.info().stacks, ["networkmanager", "ifcfg", "wicked"]);
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

#[test]
fn netmasks() {
    assert_eq!(prefix_length("255.255.255.0"), Some(24));
    assert_eq!(prefix_length("255.0.255.0"), None);
    assert_eq!(with_prefix("fe80::1", None).as_deref(), Some("fe80::1/128"));
    assert_eq!(with_prefix("dhcp", None), None);
}
