//! NetworkManager's profiles.

use super::{check, check_files};

const FILE: &str = "/etc/NetworkManager/system-connections/a.nmconnection";

#[test]
fn cards() {
    check(
        FILE,
        &[
            ("[connection]\nid=a\ntype=ethernet\ninterface-name=ens192\n[ipv4]\nmethod=auto\n", "ens192 dhcp"),
            (
                "[connection]\ntype=802-3-ethernet\ninterface-name=ens192\n[ethernet]\nmac-address=00:0C:29:00:00:01\n[ipv4]\nmethod=manual\naddress1=10.0.0.5/24,10.0.0.1\n",
                "ens192 00:0c:29:00:00:01 10.0.0.5/24",
            ),
            ("[connection]\ntype=ethernet\ninterface-name=ens192\nautoconnect=false\n", "ens192 off"),
            ("[connection]\ntype=ethernet\n[ethernet]\nmac-address=00:50:56:AA:BB:01\n", "any"),
            ("[connection]\ntype=ethernet\n[ipv4]\nmethod=auto\n", "any"),
            ("[connection]\ntype=ethernet\n[match]\ninterface-name=ens192;!ens9;\n", "ens192"),
            ("[connection]\ntype=ethernet\n[match]\ninterface-name=ens*;\n", "~ens*"),
            ("[connection]\ntype=ethernet\n[match]\ninterface-name=!ens9;\n", "~* !ens9"),
            ("[connection]\ntype=ethernet\n[match]\ninterface-name=|ens192;|ens224;\n", "ens192; ens224"),
            (
                "# x\n[connection]\ntype=ethernet\ninterface-name=ens192\n[ipv4]\naddresses=10.0.0.5/24;10.0.0.6/24\n",
                "ens192 10.0.0.5/24",
            ),
            ("[connection]\ninterface-name=lan\n[[[\n", "lan"),
        ],
    );
}

#[test]
fn what_is_made_over_cards() {
    check(
        FILE,
        &[
            (
                "[connection]\nid=vlan100\ntype=vlan\ninterface-name=vlan100\n[vlan]\nflags=1\nid=100\nparent=ens192\n[ipv4]\nmethod=manual\naddress1=10.0.2.5/24,10.0.2.1\n",
                "ens192; vlan100=vlan(ens192) 10.0.2.5/24",
            ),
            ("[connection]\ntype=vlan\n[vlan]\nid=100\nparent=ens192\n", "ens192; ens192.100=vlan(ens192)"),
            ("[connection]\ntype=vlan\ninterface-name=v\n[vlan]\nid=100\nparent=00:50:56:AA:BB:01\n", "v=vlan"),
            (
                "[connection]\ntype=macvlan\ninterface-name=mv0\n[macvlan]\nmode=2\nparent=ens192\n",
                "ens192; mv0=macvlan(ens192)",
            ),
            (
                "[connection]\ntype=vxlan\ninterface-name=vx\n[vxlan]\nid=7\nparent=ens192\n",
                "ens192; vx=tunnel(ens192)",
            ),
            (
                "[connection]\ntype=ip-tunnel\ninterface-name=gre1\n[ip-tunnel]\nparent=ens192\n",
                "ens192; gre1=tunnel(ens192)",
            ),
            (
                "[connection]\ntype=ethernet\ninterface-name=ens192\nmaster=bond0\nslave-type=bond\n",
                "bond0=bond(ens192) off; ens192",
            ),
            (
                "[connection]\ntype=ethernet\ninterface-name=ens192\ncontroller=br0\nport-type=bridge\n",
                "br0=bridge(ens192) off; ens192",
            ),
            ("[connection]\ntype=team\ninterface-name=team0\n[ipv4]\nmethod=auto\n", "team0=team dhcp"),
            ("[connection]\ntype=wireguard\ninterface-name=wg0\n", "wg0=tunnel"),
            ("[connection]\ntype=dummy\ninterface-name=d0\n", "d0=dummy"),
        ],
    );
}

#[test]
fn profiles_name_each_other() {
    let uuid = "6c6f0e8a-0000-4000-8000-000000000001";
    let bond = format!("[connection]\nuuid={uuid}\ntype=bond\ninterface-name=bond0\n[ipv4]\nmethod=auto\n");
    let port = format!(
        "[connection]\ntype=ethernet\ninterface-name=ens192\nmaster={uuid}\nslave-type=bond\nautoconnect=false\n"
    );
    let vlan = format!("[connection]\ntype=vlan\ninterface-name=v7\n[vlan]\nid=7\nparent={uuid}\n");
    let folder = "/etc/NetworkManager/system-connections";
    let (a, b, c) = (format!("{folder}/a.nmconnection"), format!("{folder}/b"), format!("{folder}/c.nmconnection"));
    check_files(&[
        (&[(&a, &bond), (&b, &port)], "bond0=bond(ens192) dhcp; ens192"),
        (&[(&a, &bond), (&b, &port), (&c, &vlan)], "bond0=bond(ens192) dhcp; ens192; v7=vlan(bond0)"),
        (&[(&c, &vlan)], "v7=vlan"),
        (
            &[
                (&format!("{folder}/.a"), &bond),
                (&format!("{folder}/a~"), &bond),
                (&format!("{folder}/a.rpmsave"), &bond),
            ],
            "",
        ),
        (
            &[
                (&a, "[connection]\ntype=ethernet\ninterface-name=ens192\n"),
                ("/usr/lib/NetworkManager/system-connections/a.nmconnection", &bond),
            ],
            "ens192",
        ),
    ]);
}
