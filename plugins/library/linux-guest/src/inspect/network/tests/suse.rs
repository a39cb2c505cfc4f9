//! SUSE's files, and wicked's own.

use super::{check, check_files};

#[test]
fn one_file() {
    check(
        "/etc/sysconfig/network/ifcfg-ens192",
        &[
            ("BOOTPROTO='static'\nSTARTMODE='auto'\nIPADDR='10.0.0.7/24'\n", "ens192 10.0.0.7/24"),
            ("BOOTPROTO='dhcp'\nSTARTMODE='ifplugd'\n", "ens192 dhcp"),
            ("BOOTPROTO='dhcp+autoip'\nSTARTMODE=manual\n", "ens192 off dhcp"),
            ("STARTMODE=off\n", "ens192 off"),
            (
                "IPADDR='10.0.0.7'\nPREFIXLEN='24'\nIPADDR_1='10.0.0.8/16'\nLABEL_1='x'\n",
                "ens192 10.0.0.7/24 10.0.0.8/16",
            ),
            ("IPADDR=10.0.0.7 # the first\nNETMASK=255.255.0.0\n", "ens192 10.0.0.7/16"),
        ],
    );
}

#[test]
fn what_is_made_over_cards() {
    let file = |name| format!("/etc/sysconfig/network/ifcfg-{name}");
    check(
        &file("bond0"),
        &[
            (
                "BONDING_MASTER='yes'\nBONDING_SLAVE0='ens192'\nBONDING_SLAVE1='ens224'\n",
                "bond0=bond(ens192 ens224); ens192; ens224",
            ),
            ("BONDING_MASTER=yes\nBONDING_SLAVE_0=ens192\nSTARTMODE=off\n", "bond0=bond(ens192) off; ens192 off"),
            ("BONDING_MASTER=yes\nBONDING_SLAVE0=`cat /x`\n", "bond0=bond; ?1"),
        ],
    );
    check(
        &file("br0"),
        &[
            (
                "BRIDGE='yes'\nBRIDGE_PORTS='ens192 ens224.7'\nBRIDGE_STP='off'\n",
                "br0=bridge(ens192 ens224.7); ens192; ens224; ens224.7=vlan(ens224)",
            ),
            ("BRIDGE='yes'\nBRIDGE_PORTS=''\n", "br0=bridge"),
            ("OVS_BRIDGE='yes'\nOVS_BRIDGE_PORT_DEVICE_1='ens192'\n", "br0=bridge(ens192); ens192"),
        ],
    );
    check(
        &file("x"),
        &[
            ("ETHERDEVICE='ens192'\nVLAN_ID='100'\nBOOTPROTO='dhcp'\n", "ens192; x=vlan(ens192) dhcp"),
            (
                "TEAM_RUNNER='lacp'\nTEAM_PORT_DEVICE_1='ens192'\nTEAM_PORT_DEVICE_2='ens224'\n",
                "ens192; ens224; x=team(ens192 ens224)",
            ),
            ("MACVLAN_DEVICE='ens192'\nMACVLAN_MODE='bridge'\n", "ens192; x=macvlan(ens192)"),
            ("TUNNEL='gre'\nTUNNEL_DEVICE='ens192'\n", "ens192; x=tunnel(ens192)"),
            ("INTERFACETYPE='dummy'\n", "x=dummy"),
        ],
    );
    check_files(&[
        (&[("/etc/sysconfig/network/ifcfg-eth-id-00:0c:29:00:00:01", "BOOTPROTO='dhcp'\n")], "any"),
        (
            &[("/etc/sysconfig/network/ifcfg-ens192.100", "IPADDR=10.0.0.7/24\n")],
            "ens192; ens192.100=vlan(ens192) 10.0.0.7/24",
        ),
        (
            &[
                ("/etc/sysconfig/network/ifcfg.template", "BOOTPROTO=dhcp\n"),
                ("/etc/sysconfig/network/ifcfg-lo", "IPADDR=127.0.0.1\n"),
            ],
            "",
        ),
    ]);
}

#[test]
fn wicked_xml() {
    check(
        "/etc/wicked/ifconfig/lan.xml",
        &[
            ("<interface><name>ens192</name><ipv4:dhcp><enabled>true</enabled></ipv4:dhcp></interface>", "ens192 dhcp"),
            (
                "<!-- <interface><name>x</name></interface> -->\n<interface>\n <name>ens192</name>\n</interface>",
                "ens192",
            ),
            (
                "<?xml version=\"1.0\"?>\n<interface><name>a</name></interface>\n<interface><name>b</name></interface>",
                "a; b",
            ),
            (
                "<interface><name namespace=\"ethernet\"><permanent-address>00:50:56:00:00:01</permanent-address></name></interface>",
                "any",
            ),
            (
                "<interface><name>bond0</name><bond><slaves><slave><device>ens192</device></slave><slave><device>ens224</device></slave></slaves></bond></interface>",
                "bond0=bond(ens192 ens224); ens192; ens224",
            ),
            (
                "<interface><name>br0</name><bridge><ports><port><device>ens192</device></port></ports></bridge></interface>",
                "br0=bridge(ens192); ens192",
            ),
            (
                "<interface><name>v</name><vlan><device>ens192</device><tag>7</tag></vlan></interface>",
                "ens192; v=vlan(ens192)",
            ),
            (
                "<interface><name>m</name><control><mode>manual</mode></control><macvlan><device>ens192</device></macvlan></interface>",
                "ens192 off; m=macvlan(ens192) off",
            ),
            (
                "<interface><name>ens192</name><ipv4:static><address><local>10.0.0.5/24</local></address></ipv4:static></interface>",
                "ens192 10.0.0.5/24",
            ),
            ("<interface><name>lan</name><!-- ", "?1"),
            (&"<a>".repeat(15_000), "?1"),
            (&format!("{}{}", "<a>".repeat(9_000), "</a>".repeat(9_000)), ""),
            ("<!DOCTYPE x [<!ENTITY a \"b\">]><interface><name>&a;</name></interface>", "?1"),
        ],
    );
}
