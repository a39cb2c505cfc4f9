//! ifupdown and its kin.

use super::{check, check_files};

const MAIN: &str = "/etc/network/interfaces";

#[test]
fn cards() {
    check(
        MAIN,
        &[
            ("auto lo\niface lo inet loopback\nallow-hotplug ens192\niface ens192 inet dhcp\n", "ens192 dhcp"),
            (
                "auto ens192\niface ens192 inet static\n\taddress 10.0.2.77/24\n\tgateway 10.0.2.2\n",
                "ens192 10.0.2.77/24",
            ),
            (
                "auto ens192\niface ens192 inet static\n address 10.0.2.77\n netmask 255.255.0.0\n",
                "ens192 10.0.2.77/16",
            ),
            (
                "auto ens192\niface ens192 inet static\n address 10.0.2.7/24\niface ens192 inet6 static\n address 2001:db8::7\n netmask 64\n",
                "ens192 10.0.2.7/24 2001:db8::7/64",
            ),
            (
                "auto ens192 ens192:1\niface ens192 inet dhcp\niface ens192:1 inet static\n address 10.1.0.1/16\n",
                "ens192 dhcp 10.1.0.1/16",
            ),
            ("iface ens192 inet dhcp\n", "ens192 off dhcp"),
            ("allow-lan ens192\niface ens192 inet manual\n", "ens192"),
            ("auto /ens*\niface ens192 inet dhcp\n", "ens192 dhcp"),
            ("auto ens192\niface ens192 \\\n inet dhcp\n", "ens192 dhcp"),
            ("# iface ens33 inet dhcp\nauto ens192\n  iface ens192 inet dhcp\n", "ens192 dhcp"),
            ("auto ens192\r\niface ens192 inet dhcp\r\n", "ens192 dhcp"),
            ("auto ens192\niface ens192\n address 10.0.2.5/24\n", "ens192 10.0.2.5/24"),
            (
                "auto ens192\niface ens192 inet static\n address 10.0.2.5/24\n hwaddress ether 00:50:56:AA:BB:01\n",
                "ens192 00:50:56:aa:bb:01 10.0.2.5/24",
            ),
            ("auto tun0\niface tun0 inet manual\n", "tun0"),
            ("auto gre1\niface gre1 inet tunnel\n mode gre\n", "gre1=tunnel"),
            ("auto wan\niface wan inet ppp\n provider x\n", "wan=virtual"),
            ("iface\nauto\n\\\n", ""),
        ],
    );
}

#[test]
fn what_is_made_over_cards() {
    check(
        MAIN,
        &[
            ("auto br0\niface br0 inet dhcp\n\tbridge_ports ens192\n", "br0=bridge(ens192) dhcp; ens192"),
            (
                "auto vmbr0\niface vmbr0 inet static\n    address 10.0.2.5/24\n    bridge_ports ens192.100\n    bridge_stp off\n",
                "ens192; ens192.100=vlan(ens192); vmbr0=bridge(ens192.100) 10.0.2.5/24",
            ),
            (
                "auto vmbr0\niface vmbr0\n bridge-ports ens192 ens224\n bridge-vlan-aware yes\n",
                "ens192; ens224; vmbr0=bridge(ens192 ens224)",
            ),
            ("auto br0\niface br0 inet manual\n bridge_ports none\n", "br0=bridge"),
            ("auto br0\niface br0 inet manual\n bridge_ports all\n", "br0=bridge; any"),
            ("auto br0\niface br0 inet manual\n bridge_ports regex ens.*\n", "br0=bridge; ?1"),
            ("auto ens192.100\niface ens192.100 inet dhcp\n", "ens192; ens192.100=vlan(ens192) dhcp"),
            ("auto vlan100\niface vlan100 inet dhcp\n vlan-raw-device ens192\n", "ens192; vlan100=vlan(ens192) dhcp"),
            (
                "auto lan\niface lan inet dhcp\n vlan_raw_device bond0\n vlan-id 7\nauto bond0\niface bond0 inet manual\n bond-slaves ens192 ens224\n bond-mode 1\n",
                "bond0=bond(ens192 ens224); ens192; ens224; lan=vlan(bond0) dhcp",
            ),
            (
                "auto ens192\niface ens192 inet manual\n bond-master bond0\nauto bond0\niface bond0 inet dhcp\n bond-slaves none\n bond-mode 802.3ad\n",
                "bond0=bond(ens192) dhcp; ens192",
            ),
            (
                "auto bond0\niface bond0 inet dhcp\n slaves ens192 ens224\n",
                "bond0=bond(ens192 ens224) dhcp; ens192; ens224",
            ),
            (
                "auto ovs0\niface ovs0 inet manual\n ovs_type OVSBridge\n ovs_ports ens192\nallow-ovs0 ens192\niface ens192 inet manual\n ovs_bridge ovs0\n ovs_type OVSPort\n",
                "ens192; ovs0=bridge(ens192)",
            ),
            ("auto br0\niface br0 inet dhcp\n requires ens192\n", "br0=virtual(ens192) dhcp; ens192"),
            (
                "auto mv0\niface mv0 inet dhcp\n pre-up ip link add link ens192 name mv0 type macvlan mode bridge\n",
                "ens192; mv0=macvlan(ens192) dhcp",
            ),
            (
                "auto v7\niface v7 inet dhcp\n pre-up /sbin/vconfig add ens192 7 || true\n",
                "ens192; ens192.7=vlan(ens192); v7 dhcp",
            ),
            (
                "auto br0\niface br0 inet dhcp\n pre-up brctl addbr br0; brctl addif br0 ens192\n",
                "br0=bridge(ens192) dhcp; ens192",
            ),
            (
                "auto br0\niface br0 inet dhcp\n pre-up ip link add br0 type bridge\n up ip link set dev ens192 master br0\n",
                "br0=bridge(ens192) dhcp; ens192",
            ),
            (
                "auto bond0\niface bond0 inet dhcp\n up ifenslave bond0 ens192 ens224\n",
                "bond0=bond(ens192 ens224) dhcp; ens192; ens224",
            ),
            ("auto ens192\niface ens192 inet dhcp\n up ip link set $IFACE mtu 9000\n", "ens192 dhcp"),
        ],
    );
}

#[test]
fn stanzas_that_are_no_interfaces() {
    check(
        MAIN,
        &[
            ("mapping ens192\n script /bin/where\n map home work\nauto ens192\niface work inet dhcp\n", "ens192"),
            ("auto ens192=lan\niface lan inet static\n address 10.0.2.5/24\n", ""),
            ("iface base inet manual\n mtu 9000\nauto ens192\niface ens192 inet dhcp inherits base\n", "ens192 dhcp"),
            ("mapping ens*\n script x\n", "~ens*"),
            ("rename 00:50:56:aa:bb:01=lan\n", "?1"),
        ],
    );
}

#[test]
fn what_is_sourced() {
    let one = ("/etc/network/interfaces.d/lan", "auto ens192\niface ens192 inet dhcp\n");
    let odd = ("/etc/network/interfaces.d/lan.cfg", "auto ens224\niface ens224 inet dhcp\n");
    let main = |text| (MAIN, text);
    check_files(&[
        (&[one], ""),
        (&[main("auto lo\n"), one], ""),
        (&[main("source /etc/network/interfaces.d/*\n"), one, odd], "ens192 dhcp; ens224 dhcp"),
        (&[main("source interfaces.d/*.cfg\n"), one, odd], "ens224 dhcp"),
        (&[main("source-directory /etc/network/interfaces.d\n"), one, odd], "ens192 dhcp"),
        (&[main("source /etc/network/interfaces.d/lan\nsource /etc/network/none\n"), one], "ens192 dhcp"),
        (&[main("source /etc/network/interfaces\nauto a\niface a inet dhcp\n")], "a dhcp"),
        (&[main("source /etc/*/x\n")], "?1"),
    ]);
}
