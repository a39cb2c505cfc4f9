//! netplan, and cloud-init's second version, which is the same.

use super::super::udev::Pin;
use super::{check, check_files, graph};

#[test]
fn one_file() {
    check(
        "/etc/netplan/01.yaml",
        &[
            ("network:\n  version: 2\n  ethernets:\n    ens192:\n      dhcp4: true\n", "ens192 dhcp"),
            ("network: {version: 2, renderer: NetworkManager, ethernets: {ens192: {dhcp4: yes}}}", "ens192 dhcp"),
            (
                "network:\n  ethernets:\n    ens192: {addresses: [10.0.2.5/24]}\n  ethernets:\n    ens224: {addresses: [10.9.0.5/24]}\n",
                "ens192 10.0.2.5/24; ens224 10.9.0.5/24",
            ),
            (
                "network:\n  ethernets:\n    ens192: {dhcp4: true}\n    ens192: {addresses: [10.0.2.5/24]}\n",
                "ens192 dhcp 10.0.2.5/24",
            ),
            ("network:\n  ethernets:\n    ens192: {dhcp4: true, dhcp4: false}\n", "ens192"),
            ("network: {ethernets: {a: {}}}\nnetwork: {ethernets: {b: {}}}\n", "a; b"),
            (
                "network:\n  ethernets:\n    lan:\n      match: {macaddress: '00:50:56:00:00:02'}\n      set-name: lan0\n      addresses: [192.0.2.1/24, {2001:db8::1/64: {lifetime: 0}}]\n",
                "lan0 00:50:56:00:00:02 192.0.2.1/24 2001:db8::1/64",
            ),
            (
                "network:\n  ethernets:\n    lan:\n      match: {macaddress: '00:50:56:00:00:02'}\n      dhcp4: true\n",
                "any",
            ),
            ("network:\n  ethernets:\n    lan:\n      match: {name: ens192}\n      dhcp4: true\n", "ens192 dhcp"),
            ("network:\n  ethernets:\n    any:\n      match: {name: 'en*'}\n", "~en*"),
            ("network:\n  ethernets:\n    lan:\n      set-name: lan0\n", "lan"),
            ("network:\n  ethernets:\n    ens192: {activation-mode: manual}\n", "ens192 off"),
            (
                "network:\n  ethernets:\n    &id ens192: &card {dhcp4: true}\n    ens224: *card\n",
                "ens192 dhcp; ens224 dhcp",
            ),
            (
                "network:\n  bonds:\n    bond0:\n      interfaces: [ens192, ens224]\n      dhcp4: true\n",
                "bond0=bond(ens192 ens224) dhcp; ens192; ens224",
            ),
            (
                "network:\n  ethernets:\n    e1: {match: {name: ens192}}\n    e2: {match: {macaddress: '00:50:56:00:00:02'}}\n  bridges:\n    br0:\n      interfaces: [e1, e2]\n",
                "br0=bridge(ens192); ens192; any",
            ),
            (
                "network:\n  vlans:\n    vlan9: {id: 9, link: ens160, addresses: [10.0.0.1/24]}\n",
                "ens160; vlan9=vlan(ens160) 10.0.0.1/24",
            ),
            (
                "network:\n  vlans: {v9: {id: 9, link: br0}}\n  bridges: {br0: {interfaces: [bond0]}}\n  bonds: {bond0: {interfaces: [ens192]}}\n",
                "bond0=bond(ens192); br0=bridge(bond0); ens192; v9=vlan(br0)",
            ),
            (
                "network:\n  tunnels:\n    tun1: {mode: gre, local: 192.0.2.1, remote: 192.0.2.2}\n  dummy-devices:\n    d0: {}\n  vrfs:\n    red: {table: 7, interfaces: [ens192]}\n",
                "d0=dummy; ens192; red=virtual(ens192); tun1=tunnel",
            ),
            ("a: [", "?1"),
            ("", ""),
            ("network:\n", ""),
        ],
    );
}

#[test]
fn files_are_merged() {
    let first = ("/etc/netplan/00.yaml", "network:\n  ethernets:\n    ens192:\n      addresses: [10.0.2.5/24]\n");
    let vlan = ("/etc/netplan/50.yaml", "network:\n  vlans:\n    v: {id: 7, link: lan}\n");
    let lan = ("/etc/netplan/60.yaml", "network:\n  ethernets:\n    lan: {match: {name: ens192}}\n");
    check_files(&[
        (
            &[
                first,
                (
                    "/etc/netplan/90.yaml",
                    "network:\n  ethernets:\n    ens192: {addresses: [10.0.2.6/24], dhcp4: true}\n",
                ),
            ],
            "ens192 dhcp 10.0.2.5/24 10.0.2.6/24",
        ),
        (&[first, ("/lib/netplan/00.yaml", "network:\n  ethernets:\n    ens224: {}\n")], "ens192 10.0.2.5/24"),
        (&[first, ("/etc/netplan/x.yaml.bak", "network:\n  ethernets:\n    ens224: {}\n")], "ens192 10.0.2.5/24"),
        (&[vlan, lan], "ens192; v=vlan(ens192)"),
        (&[("/etc/netplan/bad.yaml", "a: ["), lan], "ens192; ?1"),
    ]);
}

#[test]
fn cloud_init() {
    let v2 = "network:\n  version: 2\n  ethernets:\n    ens192: {dhcp4: true}\n";
    let cfg = "/etc/cloud/cloud.cfg.d/50.cfg";
    check(
        cfg,
        &[
            (v2, "ens192 dhcp"),
            ("network: {config: disabled}\n", ""),
            ("users: [default]\n", ""),
            (
                "network:\n  version: 1\n  config:\n    - type: physical\n      name: ens192\n      mac_address: '00:50:56:AA:BB:01'\n      subnets: [{type: static, address: 10.0.2.5, netmask: 255.255.255.0}]\n",
                "ens192 00:50:56:aa:bb:01 10.0.2.5/24",
            ),
            (
                "network:\n  version: 1\n  config:\n    - {type: bond, name: bond0, bond_interfaces: [ens192, ens224], subnets: [{type: dhcp4}]}\n    - {type: nameserver, address: [1.1.1.1]}\n",
                "bond0=bond(ens192 ens224) dhcp; ens192; ens224",
            ),
            (
                "network:\n  version: 1\n  config:\n    - {type: vlan, name: ens192.7, vlan_link: ens192, vlan_id: 7}\n    - {type: bridge, name: br0, bridge_interfaces: [ens192.7]}\n",
                "br0=bridge(ens192.7); ens192; ens192.7=vlan(ens192)",
            ),
            (
                "network:\n  version: 1\n  config:\n    - {type: physical, name: ens192, subnets: [{type: dhcp, control: manual}]}\n",
                "ens192 off dhcp",
            ),
            ("network: [\n", "?1"),
        ],
    );
    check_files(&[
        (
            &[("/var/lib/cloud/seed/nocloud-net/network-config", "version: 2\nethernets:\n  ens192: {dhcp4: true}\n")],
            "ens192 dhcp",
        ),
        (&[(cfg, v2), ("/etc/cloud/cloud-init.disabled", "")], ""),
    ]);
}

#[test]
fn rules_for_cards() {
    let pin = |path, text| graph(&[(path, text)]).pins.into_iter().next();
    assert_eq!(
        pin("/etc/iftab", "# x\nlan mac 00:50:56:AA:BB:01\n"),
        Some(Pin::new("lan", Some("00:50:56:aa:bb:01".to_owned()), "/etc/iftab", false))
    );
    assert_eq!(pin("/etc/iftab", "# lan mac 00:50:56:AA:BB:01\n"), None);
}
