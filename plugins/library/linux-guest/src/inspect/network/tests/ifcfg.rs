//! Red Hat's files.

use super::{check, check_files};

#[test]
fn one_file() {
    check(
        "/etc/sysconfig/network-scripts/ifcfg-ens192",
        &[
            ("TYPE=Ethernet\nNAME=ens192\nDEVICE=ens192\nONBOOT=yes\nBOOTPROTO=dhcp\n", "ens192 dhcp"),
            (
                "DEVICE=ens192   # LAN\nBOOTPROTO=\"none\"   # static\nONBOOT=yes\nIPADDR=10.0.2.5\nPREFIX=24\n",
                "ens192 10.0.2.5/24",
            ),
            ("DEVICE=\"ens192\"\nIPADDR=10.0.2.5\nNETMASK=255.255.255.0\n", "ens192 10.0.2.5/24"),
            (
                "DEVICE='ens192'\r\nIPADDR0=10.0.2.5\r\nPREFIX0=24\r\nIPADDR1=10.0.2.6\r\nPREFIX1=16\r\n",
                "ens192 10.0.2.5/24 10.0.2.6/16",
            ),
            ("DEVICE=ens192\nHWADDR=00:0C:29:00:00:02\nONBOOT=no\n", "ens192 off 00:0c:29:00:00:02"),
            ("BOOTPROTO=dhcp\n", "ens192 dhcp"),
            ("#DEVICE=ens33\nexport DEVICE=ens192\n", "ens192"),
            ("N=192\nDEVICE=ens$N\n", "ens192"),
            ("DEVICE=$(cat /etc/card)\n", "ens192; ?1"),
            ("DEVICE=ens192\nMASTER=bond0\nSLAVE=yes\nONBOOT=yes\n", "bond0=bond(ens192) off; ens192"),
            ("DEVICE=ens192\nBRIDGE=br0\n", "br0=bridge(ens192) off; ens192"),
            ("DEVICE=ens192\nTEAM_MASTER=team0\nDEVICETYPE=TeamPort\n", "ens192; team0=team(ens192) off"),
            ("DEVICE=ens192\nTYPE=OVSPort\nDEVICETYPE=ovs\nOVS_BRIDGE=ovs0\n", "ens192; ovs0=bridge(ens192) off"),
            ("DEVICE=ens192\nSLAVE=yes\n", "ens192; ?1"),
            ("DEVICE=ens192\nMASTER=6c6f0e8a-0000-4000-8000-000000000001\nSLAVE=yes\n", "ens192"),
            ("TYPE=Ethernet; DEVICE=ens192; BOOTPROTO=none\n", "ens192"),
            ("", "ens192"),
        ],
    );
}

#[test]
fn what_is_made_over_cards() {
    check(
        "/etc/sysconfig/network-scripts/ifcfg-x",
        &[
            ("DEVICE=ens192.100\nVLAN=yes\nIPADDR=10.0.2.5\n", "ens192; ens192.100=vlan(ens192) 10.0.2.5/32"),
            ("DEVICE=vlan100\nVLAN=yes\nPHYSDEV=ens192\nBOOTPROTO=dhcp\n", "ens192; vlan100=vlan(ens192) dhcp"),
            ("DEVICE=vlan100\nTYPE=Vlan\nPHYSDEV=bond0\n", "bond0; vlan100=vlan(bond0)"),
            ("DEVICE=ens192.100\n", "ens192; ens192.100=vlan(ens192)"),
            ("DEVICE=bond0\nTYPE=Bond\nBONDING_OPTS=\"mode=1 miimon=100\"\n", "bond0=bond"),
            ("DEVICE=bond0\nBONDING_OPTS='mode=4'\n", "bond0=bond"),
            ("DEVICE=br0\nTYPE=Bridge\nSTP=no\n", "br0=bridge"),
            ("DEVICE=team0\nDEVICETYPE=Team\nTEAM_CONFIG='{\"runner\": {\"name\": \"lacp\"}}'\n", "team0=team"),
            ("DEVICE=ovs0\nTYPE=OVSBridge\nDEVICETYPE=ovs\n", "ovs0=bridge"),
            (
                "DEVICE=b\nTYPE=OVSBond\nOVS_BRIDGE=ovs0\nBOND_IFACES=\"ens192 ens224\"\n",
                "b=bond(ens192 ens224); ens192; ens224; ovs0=bridge(b) off",
            ),
            ("DEVICE=gre1\nTYPE=GRE\nPEER_OUTER_IPADDR=192.0.2.1\n", "gre1=tunnel"),
            ("DEVICE=dummy0\nTYPE=dummy\n", "dummy0=dummy"),
            ("DEVICE=mv0\nTYPE=macvlan\nMACVLAN_PARENT=ens192\n", "ens192; mv0=macvlan(ens192)"),
        ],
    );
}

#[test]
fn files_together() {
    const CARD: (&str, &str) =
        ("/etc/sysconfig/network-scripts/ifcfg-ens192", "DEVICE=ens192\nIPADDR=10.0.2.5\nPREFIX=24\n");
    check_files(&[
        (
            &[
                CARD,
                (
                    "/etc/sysconfig/network-scripts/ifcfg-ens192:0",
                    "DEVICE=ens192:0\nONPARENT=yes\nIPADDR=10.0.2.6\nPREFIX=24\n",
                ),
            ],
            "ens192 10.0.2.5/24 10.0.2.6/24",
        ),
        (
            &[
                CARD,
                (
                    "/etc/sysconfig/network-scripts/ifcfg-ens192-range0",
                    "IPADDR_START=10.0.2.20\nIPADDR_END=10.0.2.29\nCLONENUM_START=0\n",
                ),
            ],
            "ens192 10.0.2.5/24",
        ),
        (
            &[CARD, ("/etc/sysconfig/network-scripts/ifcfg-ens33", "DEVICE=ens33\nONBOOT=no\n")],
            "ens192 10.0.2.5/24; ens33 off",
        ),
        (&[CARD, ("/etc/sysconfig/network-scripts/ifcfg-old.bak", "DEVICE=old\n")], "ens192 10.0.2.5/24"),
        (&[CARD, ("/etc/sysconfig/network-scripts/ifcfg-ens192.rpmsave", "DEVICE=old\n")], "ens192 10.0.2.5/24"),
        (&[CARD, ("/etc/sysconfig/network-scripts/route-ens192", "default via 10.0.2.1\n")], "ens192 10.0.2.5/24"),
        (
            &[(
                "/etc/sysconfig/network-scripts/ifcfg-Wired_connection_1",
                "HWADDR=00:50:56:AA:BB:01\nBOOTPROTO=dhcp\n",
            )],
            "any",
        ),
        (
            &[
                ("/etc/sysconfig/network-scripts/ifcfg-ens192", "DEVICE=ens192\nMASTER=bond0\nSLAVE=yes\nONBOOT=no\n"),
                ("/etc/sysconfig/network-scripts/ifcfg-bond0", "DEVICE=bond0\nBRIDGE=br0\nTYPE=Bond\n"),
                ("/etc/sysconfig/network-scripts/ifcfg-br0", "DEVICE=br0\nTYPE=Bridge\nBOOTPROTO=dhcp\n"),
            ],
            "bond0=bond(ens192); br0=bridge(bond0) dhcp; ens192",
        ),
    ]);
}
