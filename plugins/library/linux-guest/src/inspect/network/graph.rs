//! The guest's network as a graph: interfaces by name, what each is made over, and which files say so.
//!
//! Owns what follows from all files together: VLANs that only their name tells, what is active because something active is made over it,
//! and which interfaces are cards. Knows no file's grammar.

use std::collections::{BTreeMap, BTreeSet};

use vmdk2kvm_plugin_api::model::{Finding, InterfaceInfo, NetworkInfo, Severity};

use super::pattern::Pattern;
use super::udev::Pin;

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vlan,
    Bond,
    Bridge,
    Team,
    Macvlan,
    Tunnel,
    Dummy,
    Loopback,
    /// Made by software, in another way.
    Virtual,
}

impl Kind {
    /// The word that a report uses.
    fn as_str(self) -> &'static str {
        match self {
            Self::Vlan => "vlan",
            Self::Bond => "bond",
            Self::Bridge => "bridge",
            Self::Team => "team",
            Self::Macvlan => "macvlan",
            Self::Tunnel => "tunnel",
            Self::Dummy => "dummy",
            Self::Loopback => "loopback",
            Self::Virtual => "virtual",
        }
    }

    /// The kind by the word that `ip link`, networkd and NetworkManager share for it.
    pub fn of_word(word: &str) -> Self {
        match word {
            "vlan" => Self::Vlan,
            "bond" => Self::Bond,
            "bridge" | "ovs-bridge" => Self::Bridge,
            "team" => Self::Team,
            "macvlan" | "macvtap" | "ipvlan" | "ipvtap" => Self::Macvlan,
            "gre" | "gretap" | "ipip" | "sit" | "vti" | "vxlan" | "geneve" | "ip-tunnel" | "tun" | "tap"
            | "wireguard" | "ip6tnl" | "ip6gre" | "tunnel" | "l2tp" | "macsec" => Self::Tunnel,
            "dummy" => Self::Dummy,
            "loopback" => Self::Loopback,
            _ => Self::Virtual,
        }
    }
}

/// An interface that some file speaks of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interface {
    pub name: String,
    /// `None`: no file makes it, so it is there by itself, as a card is.
    pub kind: Option<Kind>,
    /// The interfaces that it is made over.
    pub over: BTreeSet<String>,
    /// Whether it comes up by itself, or for something that does.
    pub active: bool,
    /// The MAC by which a file finds it.
    pub mac: Option<String>,
    /// The MAC that a file gives it, which a careful administrator takes from the card.
    pub given_mac: Option<String>,
    pub addresses: Vec<String>,
    pub dhcp: bool,
    pub files: Vec<String>,
}

impl Interface {
    /// Whether it is a card. Devices that daemons make while they run are in no file; those have names of their own making.
    fn is_card(&self) -> bool {
        const DAEMONS: [&str; 12] =
            ["docker", "virbr", "veth", "vnet", "tun", "tap", "wg", "ppp", "dummy", "cni", "lxcbr", "tailscale"];
        let numbered = |prefix: &str| {
            self.name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        };
        self.kind.is_none() && self.name != "lo" && !DAEMONS.iter().any(|prefix| numbered(prefix))
    }
}

/// No sound guest has more interfaces.
const MOST: usize = 4000;

/// Everything that the guest's files say about its network.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub stacks: Vec<&'static str>,
    interfaces: BTreeMap<String, Interface>,
    /// What gives a name to a card.
    pub pins: Vec<Pin>,
    /// Files that find cards by the old hardware: its driver, its PCI address.
    pub by_hardware: Vec<String>,
    /// Cards that are configured by a pattern of names.
    pub patterns: Vec<Pattern>,
    /// A card is configured whatever its name is: by its MAC, or as any card.
    pub finds_any: bool,
    pub findings: Vec<Finding>,
}

impl Graph {
    /// The interface of this name, which `file` speaks of. An alias (`ens192:0`) is its interface.
    pub fn interface(&mut self, name: &str, file: &str) -> &mut Interface {
        let name = name.split_once(':').map_or(name, |(interface, _)| interface);
        let interface = self
            .interfaces
            .entry(name.to_owned())
            .or_insert_with(|| Interface { name: name.to_owned(), ..Interface::default() });
        if !interface.files.iter().any(|own| own == file) {
            interface.files.push(file.to_owned());
        }
        interface
    }

    /// An interface that a file makes.
    pub fn device(&mut self, name: &str, kind: Kind, file: &str) -> &mut Interface {
        let interface = self.interface(name, file);
        interface.kind = Some(kind);
        interface
    }

    /// Says that `upper` is made over `lower`.
    pub fn stack(&mut self, upper: &str, lower: &str, file: &str) {
        if upper != lower {
            self.interface(lower, file);
            self.interface(upper, file).over.insert(lower.to_owned());
        }
    }

    /// Says that this stack has configuration.
    pub fn uses(&mut self, stack: &'static str) {
        if !self.stacks.contains(&stack) {
            self.stacks.push(stack);
        }
    }

    /// Says that a part of the configuration was not understood.
    pub fn not_understood(&mut self, file: &str, what: &str) {
        self.findings.push(
            Finding::new("network-not-understood", Severity::Warn, format!("{file}: {what}"))
                .hint("after the move, check that each card has its addresses"),
        );
    }

    /// What follows from all files together, once all are read.
    pub(super) fn finish(&mut self) {
        // What comes then looks at each against all others.
        if self.interfaces.len().max(self.pins.len()).max(self.patterns.len()) > MOST {
            self.not_understood(
                "the network's configuration",
                "it has far too many interfaces, and only the first were looked at",
            );
            if let Some(name) = self.interfaces.keys().nth(MOST).cloned() {
                self.interfaces.split_off(&name);
            }
            self.pins.truncate(MOST);
            self.patterns.truncate(MOST);
        }
        let names: Vec<String> = self.interfaces.keys().cloned().collect();
        for name in names.iter().filter(|name| !is_name(name)) {
            if let Some(odd) = self.interfaces.remove(name) {
                let message = format!("{}: \"{}\" is no name of a card", odd.files.join(", "), name.escape_debug());
                let hint = "correct the guest's network configuration";
                self.findings.push(Finding::new("nic-odd-name", Severity::Warn, message).hint(hint));
            }
        }
        // `ens192.100` is VLAN 100 over ens192 wherever no file says otherwise.
        for name in &names {
            let plain = self.interfaces.get(name).filter(|own| own.kind.is_none() && own.over.is_empty());
            let Some(file) = plain.and_then(|own| own.files.first().cloned()) else { continue };
            let Some((card, id)) = name.rsplit_once('.') else { continue };
            if !card.is_empty() && id.parse::<u16>().is_ok() {
                self.device(name, Kind::Vlan, &file);
                self.stack(name, card, &file);
            }
        }
        // What is made over something is no card, whatever it is; one card cannot be made over another.
        for interface in self.interfaces.values_mut().filter(|own| own.kind.is_none() && !own.over.is_empty()) {
            interface.kind = Some(Kind::Virtual);
        }
        let mut rising: Vec<String> =
            self.interfaces.values().filter(|own| own.active).map(|own| own.name.clone()).collect();
        while let Some(name) = rising.pop() {
            for lower in self.interfaces.get(&name).map(|own| own.over.clone()).unwrap_or_default() {
                if let Some(interface) = self.interfaces.get_mut(&lower).filter(|own| !own.active) {
                    interface.active = true;
                    rising.push(lower);
                }
            }
        }
    }

    /// The cards that the configuration names.
    pub fn cards(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values().filter(|own| own.is_card())
    }

    /// Whether bonds, bridges or VLANs exist, which may bear the MAC of a card.
    pub fn has_virtual(&self) -> bool {
        self.interfaces.values().any(|own| own.name != "lo" && !own.is_card())
    }

    /// Whether nothing at all says how a card gets its addresses, nor was said to be not understood.
    pub fn is_empty(&self) -> bool {
        self.cards().next().is_none()
            && self.patterns.is_empty()
            && !self.finds_any
            && self.by_hardware.is_empty()
            && self.findings.is_empty()
    }

    /// What the inspection says.
    pub fn info(&self) -> NetworkInfo {
        let interfaces = self.interfaces.values().filter(|own| own.name != "lo").map(|own| {
            InterfaceInfo::new(own.name.clone()).with(|info| {
                info.kind = own.kind.map(|kind| kind.as_str().to_owned());
                info.over = own.over.iter().cloned().collect();
                info.inactive = !own.active;
                info.mac = own.mac.clone().or_else(|| own.given_mac.clone());
                info.addresses.clone_from(&own.addresses);
                info.dhcp = own.dhcp;
                info.files.clone_from(&own.files);
                if let Some(pin) = self.pins.iter().find(|pin| pin.name == info.name && pin.mac.is_some()) {
                    info.mac.clone_from(&pin.mac);
                    if !info.files.contains(&pin.file) {
                        info.files.push(pin.file.clone());
                    }
                }
            })
        });
        NetworkInfo::default().with(|it| {
            it.stacks = self.stacks.iter().map(|stack| (*stack).to_owned()).collect();
            it.interfaces = interfaces.collect();
        })
    }
}

/// Whether an interface can have this name: what the kernel takes (`dev_valid_name`), without what no file's name and no rule should hold.
pub(crate) fn is_name(name: &str) -> bool {
    const IFNAMSIZ: usize = 16;
    !name.is_empty()
        && name.len() < IFNAMSIZ
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@'))
        && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_something_active_is_active_itself() {
        let mut graph = Graph::default();
        graph.device("br0", Kind::Bridge, "a").active = true;
        graph.stack("br0", "bond0.7", "a");
        graph.device("bond0", Kind::Bond, "a");
        graph.stack("bond0", "ens192", "a");
        graph.interface("ens33", "b");
        // A ring comes to an end.
        graph.stack("bond0", "br0", "a");
        graph.finish();
        let cards: Vec<(&str, bool)> = graph.cards().map(|card| (card.name.as_str(), card.active)).collect();
        assert_eq!(cards, [("ens192", true), ("ens33", false)]);
        assert_eq!(graph.interfaces["bond0.7"].kind, Some(Kind::Vlan));
    }

    #[test]
    fn far_too_many_interfaces_are_told() {
        let mut graph = Graph::default();
        for at in 0..=MOST {
            graph.interface(&format!("x{at}"), "a");
        }
        graph.finish();
        assert_eq!((graph.findings.len(), graph.cards().count()), (1, MOST));
    }

    #[test]
    fn names_that_no_interface_can_have() {
        for (name, expected) in [
            ("ens192", true),
            ("a@b-c_d.7", true),
            ("", false),
            ("../../x", false),
            (".x", false),
            ("a b", false),
            ("fifteen-letters", true),
            ("sixteen--letters", false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
        let mut graph = Graph::default();
        graph.interface("../x", "/etc/a");
        graph.finish();
        assert_eq!(graph.findings[0].message, "/etc/a: \"../x\" is no name of a card");
        assert!(graph.cards().next().is_none());
    }
}
