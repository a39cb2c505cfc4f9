//! A network as each stack's files have it.

use std::collections::BTreeMap;

use super::graphs::{Net, Over};

/// Paths and texts.
type Files = Vec<(String, String)>;

fn ifupdown(net: &Net) -> Files {
    let mut text = "auto lo\niface lo inet loopback\n".to_owned();
    let addressed = net.addresses();
    let method = |name: &str| match addressed.get(name) {
        Some(at) => format!("auto {name}\niface {name} inet static\n\taddress 10.0.{at}.5/24\n"),
        None => format!("auto {name}\niface {name} inet manual\n"),
    };
    // A card below something needs no stanza.
    for card in net.cards.iter().filter(|card| !net.is_below(card)) {
        text.push_str(&method(card));
    }
    for upper in &net.uppers {
        text.push_str(&method(&upper.name));
        let ports = upper.over.join(" ");
        text.push_str(&match upper.kind {
            Over::Vlan(id) => {
                format!("\tvlan-raw-device {ports} # no comment\n\tvlan-id {id}\n").replace(" # no comment", "")
            }
            Over::Bond => format!("\tbond-slaves {ports}\n\tbond-mode active-backup\n"),
            Over::Bridge => format!("\tbridge_ports {ports}\n\tbridge_stp off\n"),
        });
    }
    vec![("/etc/network/interfaces".to_owned(), text)]
}

fn netplan(net: &Net) -> Files {
    let mut text = "network:\n  version: 2\n".to_owned();
    let addresses = net.addresses();
    let line = |name: &str| addresses.get(name).map_or_else(String::new, |at| format!("addresses: [10.0.{at}.5/24]"));
    // Each definition in a section of its own: netplan takes all of them.
    for card in &net.cards {
        text.push_str(&format!("  ethernets:\n    {card}: {{{}}}\n", line(card)));
    }
    for upper in &net.uppers {
        let (section, more) = match upper.kind {
            Over::Vlan(id) => ("vlans", format!("id: {id}, link: {}", upper.over[0])),
            Over::Bond => ("bonds", format!("interfaces: [{}]", upper.over.join(", "))),
            Over::Bridge => ("bridges", format!("interfaces: [{}]", upper.over.join(", "))),
        };
        let own = line(&upper.name);
        let comma = if own.is_empty() { "" } else { ", " };
        text.push_str(&format!("  {section}:\n    {}: {{{more}{comma}{own}}}\n", upper.name));
    }
    vec![("/etc/netplan/00.yaml".to_owned(), text)]
}

fn networkd(net: &Net) -> Files {
    let mut files = Files::new();
    let addresses = net.addresses();
    for name in net.cards.iter().chain(net.uppers.iter().map(|upper| &upper.name)) {
        let mut text = format!("[Match]\nName={name}\n\n[Network]\n");
        text.extend(addresses.get(name.as_str()).map(|at| format!("Address=10.0.{at}.5/24\n")));
        for upper in net.uppers.iter().filter(|upper| upper.over.contains(name)) {
            let key = match upper.kind {
                Over::Vlan(_) => "VLAN",
                Over::Bond => "Bond",
                Over::Bridge => "Bridge",
            };
            text.push_str(&format!("{key}={}\n", upper.name));
        }
        files.push((format!("/etc/systemd/network/20-{name}.network"), text));
    }
    for upper in &net.uppers {
        let kind = match upper.kind {
            Over::Vlan(id) => format!("vlan\n\n[VLAN]\nId={id}"),
            Over::Bond => "bond".to_owned(),
            Over::Bridge => "bridge".to_owned(),
        };
        let path = format!("/etc/systemd/network/10-{}.netdev", upper.name);
        files.push((path, format!("[NetDev]\nName={}\nKind={kind}\n", upper.name)));
    }
    files
}

fn keyfile(net: &Net) -> Files {
    let mut files = Files::new();
    let addresses = net.addresses();
    let uuid = |name: &str| format!("6c6f0e8a-0000-4000-8000-{name:0>12}");
    let mut profile = |name: &str, kind: &str, more: &str| {
        let mut text = format!("[connection]\nid={name}\nuuid={}\ntype={kind}\ninterface-name={name}\n", uuid(name));
        if let Some(master) = net.master(name) {
            let kind = if master.kind == Over::Bond { "bond" } else { "bridge" };
            text.push_str(&format!("master={}\nslave-type={kind}\n", uuid(&master.name)));
        }
        text.push_str(more);
        text.extend(addresses.get(name).map(|at| format!("[ipv4]\nmethod=manual\naddress1=10.0.{at}.5/24\n")));
        files.push((format!("/etc/NetworkManager/system-connections/{name}.nmconnection"), text));
    };
    // The parent of a VLAN needs no profile.
    for card in net.cards.iter().filter(|card| net.is_port(card) || !net.is_below(card)) {
        profile(card, "ethernet", "");
    }
    for upper in &net.uppers {
        match upper.kind {
            Over::Vlan(id) => profile(&upper.name, "vlan", &format!("[vlan]\nid={id}\nparent={}\n", upper.over[0])),
            Over::Bond => profile(&upper.name, "bond", "[bond]\nmode=active-backup\n"),
            Over::Bridge => profile(&upper.name, "bridge", "[bridge]\nstp=false\n"),
        }
    }
    files
}

fn ifcfg(net: &Net) -> Files {
    let mut files = Files::new();
    let addresses = net.addresses();
    let mut file = |name: &str, more: &str| {
        let mut text = format!("DEVICE={name}   # made\nONBOOT=\"yes\"\nBOOTPROTO=none\n{more}");
        match net.master(name) {
            Some(master) if master.kind == Over::Bond => text.push_str(&format!("MASTER={}\nSLAVE=yes\n", master.name)),
            Some(master) => text.push_str(&format!("BRIDGE={}\n", master.name)),
            None => {}
        }
        let path = format!("/etc/sysconfig/network-scripts/ifcfg-{name}");
        if let Some(at) = addresses.get(name) {
            text.push_str(&format!("IPADDR=10.0.{at}.5\nPREFIX=24\n"));
            files.push((format!("{path}:1"), format!("DEVICE={name}:1\nIPADDR=10.0.{at}.6\nPREFIX=24\n")));
            files.push((format!("{path}-range0"), format!("IPADDR_START=10.0.{at}.20\nIPADDR_END=10.0.{at}.29\n")));
        }
        files.push((path, text));
    };
    for card in &net.cards {
        file(card, "TYPE=Ethernet\n");
    }
    // Left of the template that the VM was made from.
    let left = "DEVICE=ens37\nONBOOT=no\nBOOTPROTO=dhcp\n";
    for upper in &net.uppers {
        match upper.kind {
            Over::Vlan(id) => file(&upper.name, &format!("VLAN=yes\nPHYSDEV={}\nVLAN_ID={id}\n", upper.over[0])),
            Over::Bond => file(&upper.name, "TYPE=Bond\nBONDING_OPTS=\"mode=1 miimon=100\"\n"),
            Over::Bridge => file(&upper.name, "TYPE=Bridge\nSTP=no\n"),
        }
    }
    files.push(("/etc/sysconfig/network-scripts/ifcfg-ens37".to_owned(), left.to_owned()));
    files
}

fn suse(net: &Net) -> Files {
    let mut files = Files::new();
    let addresses = net.addresses();
    let mut file = |name: &str, more: &str| {
        let mut text = format!("STARTMODE='auto'\n{more}");
        text.extend(addresses.get(name).map(|at| format!("BOOTPROTO='static'\nIPADDR='10.0.{at}.5/24'\n")));
        files.push((format!("/etc/sysconfig/network/ifcfg-{name}"), text));
    };
    for card in net.cards.iter().filter(|card| !net.is_below(card)) {
        file(card, "");
    }
    for upper in &net.uppers {
        let slaves = || {
            upper.over.iter().enumerate().map(|(at, port)| format!("BONDING_SLAVE{at}='{port}'\n")).collect::<String>()
        };
        match upper.kind {
            Over::Vlan(id) => file(&upper.name, &format!("ETHERDEVICE='{}'\nVLAN_ID='{id}'\n", upper.over[0])),
            Over::Bond => file(&upper.name, &format!("BONDING_MASTER='yes'\n{}", slaves())),
            Over::Bridge => file(&upper.name, &format!("BRIDGE='yes'\nBRIDGE_PORTS='{}'\n", upper.over.join(" "))),
        }
    }
    files
}

fn wicked(net: &Net) -> Files {
    let mut text = String::new();
    let addresses = net.addresses();
    let mut interface = |name: &str, more: &str| {
        let own = addresses
            .get(name)
            .map(|at| format!("<ipv4:static><address><local>10.0.{at}.5/24</local></address></ipv4:static>"));
        text.push_str(&format!("<interface>\n <name>{name}</name>{more}{}\n</interface>\n", own.unwrap_or_default()));
    };
    for card in net.cards.iter().filter(|card| !net.is_below(card)) {
        interface(card, "");
    }
    for upper in &net.uppers {
        let ports = |word: &str| {
            upper.over.iter().map(|port| format!("<{word}><device>{port}</device></{word}>")).collect::<String>()
        };
        match upper.kind {
            Over::Vlan(id) => {
                interface(&upper.name, &format!("<vlan><device>{}</device><tag>{id}</tag></vlan>", upper.over[0]))
            }
            Over::Bond => interface(
                &upper.name,
                &format!("<bond><mode>active-backup</mode><slaves>{}</slaves></bond>", ports("slave")),
            ),
            Over::Bridge => interface(&upper.name, &format!("<bridge><ports>{}</ports></bridge>", ports("port"))),
        }
    }
    vec![("/etc/wicked/ifconfig/all.xml".to_owned(), text)]
}

fn netctl(net: &Net) -> Files {
    let mut files = Files::new();
    let addresses = net.addresses();
    let mut profile = |name: &str, kind: &str, more: &str| {
        let own = addresses
            .get(name)
            .map_or_else(|| "IP=no\n".to_owned(), |at| format!("IP=static\nAddress=('10.0.{at}.5/24')\n"));
        files.push((format!("/etc/netctl/{name}"), format!("Interface={name}\nConnection={kind}\n{more}{own}")));
        files.push((format!("/etc/systemd/system/multi-user.target.wants/netctl@{name}.service"), String::new()));
    };
    for card in net.cards.iter().filter(|card| !net.is_below(card)) {
        profile(card, "ethernet", "");
    }
    for upper in &net.uppers {
        let (kind, more) = match upper.kind {
            Over::Vlan(id) => ("vlan", format!("VLANID={id}\n")),
            Over::Bond => ("bond", String::new()),
            Over::Bridge => ("bridge", String::new()),
        };
        profile(&upper.name, kind, &format!("BindsToInterfaces=({})\n{more}", upper.over.join(" ")));
    }
    files
}

fn netifrc(net: &Net) -> Files {
    let (mut text, mut files) = (String::new(), Files::new());
    let mut vlans: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, at) in net.addresses() {
        text.push_str(&format!("config_{name}=\"10.0.{at}.5/24\"\n"));
    }
    for upper in &net.uppers {
        match upper.kind {
            Over::Vlan(id) => {
                text.push_str(&format!("{0}_vlan{id}_name={1}\n", upper.over[0], upper.name));
                vlans.entry(upper.over[0].as_str()).or_default().push(id.to_string());
            }
            Over::Bond => text.push_str(&format!("slaves_{}=\"{}\"\n", upper.name, upper.over.join(" "))),
            Over::Bridge => text.push_str(&format!("bridge_{}=\"{}\"\n", upper.name, upper.over.join(" "))),
        }
    }
    text.extend(vlans.iter().map(|(card, ids)| format!("vlans_{card}=\"{}\"\n", ids.join(" "))));
    for name in net.cards.iter().chain(net.uppers.iter().map(|upper| &upper.name)) {
        files.push((format!("/etc/runlevels/default/net.{name}"), String::new()));
    }
    files.push(("/etc/conf.d/net".to_owned(), text));
    files
}

fn cloud_init(net: &Net) -> Files {
    let mut text = "network:\n  version: 1\n  config:\n".to_owned();
    let addresses = net.addresses();
    let mut item = |name: &str, kind: &str, more: &str| {
        let own = addresses.get(name).map(|at| format!(", subnets: [{{type: static, address: 10.0.{at}.5/24}}]"));
        text.push_str(&format!("    - {{type: {kind}, name: {name}{more}{}}}\n", own.unwrap_or_default()));
    };
    for card in &net.cards {
        item(card, "physical", "");
    }
    for upper in &net.uppers {
        let ports = upper.over.join(", ");
        match upper.kind {
            Over::Vlan(id) => item(&upper.name, "vlan", &format!(", vlan_link: {ports}, vlan_id: {id}")),
            Over::Bond => item(&upper.name, "bond", &format!(", bond_interfaces: [{ports}]")),
            Over::Bridge => item(&upper.name, "bridge", &format!(", bridge_interfaces: [{ports}]")),
        }
    }
    vec![("/etc/cloud/cloud.cfg.d/50.cfg".to_owned(), text)]
}

type Writer = fn(&Net) -> Files;
/// Each stack, and what writes a network as it has it.
pub(super) const STACKS: [(&str, Writer); 10] = [
    ("ifupdown", ifupdown),
    ("netplan", netplan),
    ("networkd", networkd),
    ("keyfile", keyfile),
    ("ifcfg", ifcfg),
    ("suse", suse),
    ("wicked", wicked),
    ("netctl", netctl),
    ("netifrc", netifrc),
    ("cloud-init", cloud_init),
];
