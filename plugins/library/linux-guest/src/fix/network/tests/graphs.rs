//! Random networks, written as each stack has them: exactly the cards that carry something are pinned, each to the name that udev gave it on
//! VMware.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// An interface that is made over others.
#[derive(Debug, Clone)]
struct Upper {
    name: String,
    kind: Over,
    over: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Vlan(u16),
    Bond,
    Bridge,
}

#[derive(Debug, Clone)]
struct Net {
    /// Slots of the cards, in the order of the new machine.
    slots: Vec<u32>,
    /// Names of the cards that carry something.
    cards: Vec<String>,
    uppers: Vec<Upper>,
}

/// Slots of VMware, with the names that its guests have for them.
const SLOTS: [(u32, &str); 8] = [
    (32, "ens32"),
    (33, "ens33"),
    (160, "ens160"),
    (192, "ens192"),
    (224, "ens224"),
    (256, "ens256"),
    (1184, "ens161"),
    (1216, "ens193"),
];

fn net() -> impl Strategy<Value = Net> {
    let slots = Just(SLOTS.to_vec()).prop_shuffle();
    let uppers =
        prop::collection::vec((0..3_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 2..4000_u16), 0..5);
    (slots, 1..6_usize, 1..6_usize, uppers).prop_map(|(slots, there, used, made)| {
        let there = &slots[..there];
        let cards: Vec<String> = there.iter().take(used).map(|(_, name)| (*name).to_owned()).collect();
        // What nothing is made over yet may become a port; a card can carry several VLANs.
        let (mut open, mut bases) = (cards.clone(), cards.clone());
        let mut uppers = Vec::new();
        for (at, (kind, first, second, id)) in made.into_iter().enumerate() {
            let (name, kind, over) = match kind {
                0 => {
                    let base = bases[first.index(bases.len())].clone();
                    open.retain(|name| *name != base);
                    (format!("vlan{at}"), Over::Vlan(id % 90 + 100 * at as u16 + 2), vec![base])
                }
                kind => {
                    let mut ports = BTreeSet::new();
                    for index in [first, second] {
                        if !open.is_empty() {
                            ports.insert(open[index.index(open.len())].clone());
                        }
                    }
                    if ports.is_empty() {
                        continue;
                    }
                    open.retain(|name| !ports.contains(name));
                    bases.retain(|name| !ports.contains(name));
                    let is_bond = kind == 1 && ports.iter().all(|port| cards.contains(port));
                    let (word, kind) = if is_bond { ("bond", Over::Bond) } else { ("br", Over::Bridge) };
                    (format!("{word}{at}"), kind, ports.into_iter().collect())
                }
            };
            open.push(name.clone());
            bases.push(name.clone());
            uppers.push(Upper { name, kind, over });
        }
        Net { slots: there.iter().map(|(slot, _)| *slot).collect(), cards, uppers }
    })
}

impl Net {
    fn is_port(&self, name: &str) -> bool {
        self.uppers.iter().any(|upper| !matches!(upper.kind, Over::Vlan(_)) && upper.over.iter().any(|own| own == name))
    }

    /// Cards that only a stanza of something above them names.
    fn is_below(&self, name: &str) -> bool {
        self.uppers.iter().any(|upper| upper.over.iter().any(|own| own == name))
    }

    /// The interfaces that have addresses of their own: each with its number.
    fn addressed(&self) -> impl Iterator<Item = (usize, &str)> {
        let names = self.cards.iter().chain(self.uppers.iter().map(|upper| &upper.name));
        names.enumerate().filter(|(_, name)| !self.is_below(name)).map(|(at, name)| (at, name.as_str()))
    }

    fn master(&self, name: &str) -> Option<&Upper> {
        self.uppers
            .iter()
            .find(|upper| !matches!(upper.kind, Over::Vlan(_)) && upper.over.iter().any(|own| own == name))
    }
}

type Files = Vec<(String, String)>;

fn ifupdown(net: &Net) -> Files {
    let mut text = "auto lo\niface lo inet loopback\n".to_owned();
    let addressed: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
    for (at, name) in net.addressed() {
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
    let addresses: BTreeMap<&str, usize> = net.addressed().map(|(at, name)| (name, at)).collect();
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
const STACKS: [(&str, Writer); 10] = [
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

proptest! {
    #[test]
    fn exactly_the_cards_that_carry_something_are_pinned_to_their_names(net in net()) {
        let mac = |at: usize| format!("00:50:56:00:00:{at:02}");
        let mut context = fixture::context();
        let card = |(at, slot): (usize, &u32)| fixture::nic(&mac(at)).with(|nic| nic.slot = Some(*slot));
        context.vm.nics = net.slots.iter().enumerate().map(card).collect();
        let name_of = |slot: &u32| SLOTS.iter().find(|(own, _)| own == slot).unwrap().1;
        let expected: BTreeMap<String, String> = net
            .slots
            .iter()
            .enumerate()
            .map(|(at, slot)| (name_of(slot).to_owned(), mac(at)))
            .filter(|(name, _)| net.cards.contains(name))
            .collect();
        for (stack, write) in STACKS {
            let files = write(&net);
            let mut all: Vec<(&str, &str)> = SYSTEMD.to_vec();
            all.extend(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
            let guest = MapGuest::new(&all);
            let network = Network::read(&guest).unwrap();
            prop_assert!(network.graph.findings.is_empty(), "{stack}: {:?}", network.graph.findings);
            let plan = NetworkNames.plan(&context, &guest).unwrap();
            prop_assert!(plan.findings.is_empty(), "{stack}: {:?}\n{files:#?}", plan.findings);
            let mut pins = BTreeMap::new();
            for change in &plan.changes {
                let Action::WriteFile { content: Content::Text(text), .. } = &change.action else { panic!() };
                let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
                pins.insert(value("Name="), value("MACAddress="));
            }
            prop_assert_eq!(&pins, &expected, "{}: {:#?}", stack, files);
        }
    }
}
