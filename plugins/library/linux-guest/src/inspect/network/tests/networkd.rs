//! systemd-networkd.

use super::{check, check_files};

#[test]
fn one_file() {
    check(
        "/etc/systemd/network/a.network",
        &[
            ("[Match]\nName=ens192\n\n[Network]\nDHCP=yes\n", "ens192 dhcp"),
            (
                "[Match]\nMACAddress=00:50:56:aa:bb:01\nName=ens192\n[Network]\nAddress=10.0.2.78/24\n",
                "ens192 00:50:56:aa:bb:01 10.0.2.78/24",
            ),
            ("[Match]\nName=ens192 ens224\n[Network]\nDHCP=ipv4\n", "ens192 dhcp; ens224 dhcp"),
            ("[Match]\nName=ens192\n[Network]\nDHCP=no\n[Address]\nAddress=10.0.2.78/24\n", "ens192 10.0.2.78/24"),
            ("[Match]\nName=en*\n[Network]\nDHCP=yes\n", "~en*"),
            ("[Match]\nName=ens* !ens224\n", "~ens* !ens224"),
            ("[Match]\nName=ens192 \\\n  ens224\n", "ens192; ens224"),
            ("[Match]\nMACAddress=00:50:56:aa:bb:01\n[Network]\nDHCP=yes\n", "any"),
            ("[Match]\nType=ether\n[Network]\nDHCP=yes\n", "any"),
            ("[Match]\nType=wlan\n[Network]\nDHCP=yes\n", ""),
            ("[Match]\nName=ens192\n[Link]\nUnmanaged=yes\n", "ens192 off"),
            ("[Match]\nName=ens192\n[Link]\nActivationPolicy=manual\n", "ens192 off"),
            (
                "[Match]\nName=ens192\n[Network]\nVLAN=v7\nVLAN=v8 v9\n",
                "ens192; v7=vlan(ens192); v8=vlan(ens192); v9=vlan(ens192)",
            ),
            ("[Match]\nName=ens192\n[Network]\nBond=bond0\n", "bond0=bond(ens192); ens192"),
            ("[Match]\nName=ens192\n[Network]\nBridge=br0\n", "br0=bridge(ens192); ens192"),
            (
                "[Match]\nName=ens192\n[Network]\nMACVLAN=mv0\nTunnel=gre1\nVXLAN=vx\n",
                "ens192; gre1=tunnel(ens192); mv0=macvlan(ens192); vx=tunnel(ens192)",
            ),
            ("[Match]\nName=ens192\nVirtualization=vmware\n[Network]\nDHCP=yes\n", "ens192 dhcp; ?1"),
            ("# [Match]\n[Match]\n; Name=ens33\nName=ens192\n", "ens192"),
            ("[Match\nName\n=x\n[Match]\nName=lan\n", "lan"),
        ],
    );
}

#[test]
fn files_together() {
    const CARD: (&str, &str) = ("/etc/systemd/network/10-lan.network", "[Match]\nName=ens192\n[Network]\nVLAN=vlan7\n");
    check_files(&[
        (
            &[CARD, ("/etc/systemd/network/vlan7.netdev", "[NetDev]\nName=vlan7\nKind=vlan\n[VLAN]\nId=7\n")],
            "ens192; vlan7=vlan(ens192)",
        ),
        (&[("/etc/systemd/network/br1.netdev", "[NetDev]\nName=br1\nKind=bridge\n")], "br1=bridge off"),
        (
            &[
                ("/etc/systemd/network/br1.netdev", "[NetDev]\nName=br1\nKind=bridge\n"),
                ("/etc/systemd/network/br1.network", "[Match]\nName=br1\n[Network]\nDHCP=yes\n"),
                ("/etc/systemd/network/port.network", "[Match]\nName=ens192\n[Network]\nBridge=br1\n"),
            ],
            "br1=bridge(ens192) dhcp; ens192",
        ),
        (
            &[
                ("/etc/systemd/network/10-lan.network", "[Match]\nName=ens192\n"),
                ("/etc/systemd/network/10-lan.network.d/more.conf", "[Network]\nAddress=10.0.2.5/24\n"),
            ],
            "ens192 10.0.2.5/24",
        ),
        (&[CARD, ("/usr/lib/systemd/network/10-lan.network", "[Match]\nName=other\n")], "ens192; vlan7=vlan(ens192)"),
        (&[("/usr/lib/systemd/network/80-container.network", "[Match]\nName=ve-*\n[Network]\nDHCP=yes\n")], ""),
        (&[("/usr/lib/systemd/network/zz-default.network", "[Match]\nName=*\n[Network]\nDHCP=yes\n")], "~*"),
        (
            &[(
                "/usr/lib/systemd/network/80-container-host0.network",
                "[Match]\nKind=veth\nName=host0\nVirtualization=container\n[Network]\nDHCP=yes\n",
            )],
            "",
        ),
        (
            &[("/etc/systemd/network/a.network", "[Match]\nKind=veth\nName=x0\n[Network]\nDHCP=yes\n")],
            "x0=virtual dhcp",
        ),
        (&[("/etc/systemd/network/README", "[Match]\nName=ens192\n")], ""),
    ]);
}
