//! netplan's YAML (netplan-yaml reference), merged as netplan merges: file after file in the order of their names, a key that stands twice
//! counting each time, lists growing and everything else being said anew.

use std::collections::{BTreeMap, BTreeSet};

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::{Graph, Kind};
use super::pattern::{Pattern, is_pattern};
use super::udev::names_old_driver;
use super::yaml::Yaml;
use super::{files, mac};

/// Of an equal name the file of the first counts. (`/run` is empty while the guest is off.)
const FOLDERS: [&str; 2] = ["/etc/netplan", "/lib/netplan"];

/// What a section's definitions are; `None`: cards.
const SECTIONS: [(&str, Option<Kind>); 9] = [
    ("ethernets", None),
    ("bonds", Some(Kind::Bond)),
    ("bridges", Some(Kind::Bridge)),
    ("vlans", Some(Kind::Vlan)),
    ("tunnels", Some(Kind::Tunnel)),
    ("dummy-devices", Some(Kind::Dummy)),
    ("vrfs", Some(Kind::Virtual)),
    ("virtual-ethernets", Some(Kind::Virtual)),
    ("wifis", Some(Kind::Virtual)),
];

/// Definitions by their IDs, which are names only where nothing else says the name.
#[derive(Default)]
pub(super) struct Definitions(BTreeMap<String, Definition>);

#[derive(Default)]
struct Definition {
    kind: Option<Kind>,
    files: BTreeSet<String>,
    has_match: bool,
    name: Option<String>,
    mac: Option<String>,
    by_hardware: bool,
    set_name: Option<String>,
    /// IDs of what it is made over.
    over: BTreeSet<String>,
    manual: bool,
    dhcp: BTreeMap<String, bool>,
    addresses: BTreeSet<String>,
}

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    let mut definitions = Definitions::default();
    for file in files::layered(guest, &FOLDERS, |name| name.ends_with(".yaml"), graph)? {
        graph.uses("netplan");
        match Yaml::parse(&file.text) {
            Ok(document) => document.all("network").for_each(|network| definitions.add(network, &file.path)),
            Err(error) => graph.not_understood(&file.path, &format!("it is no YAML that netplan reads: {error}")),
        }
    }
    definitions.finish(graph);
    Ok(())
}

impl Definitions {
    /// Adds what stands below `network`.
    pub fn add(&mut self, network: &Yaml, file: &str) {
        for (section, below) in network.members() {
            let Some((_, kind)) = SECTIONS.iter().find(|(name, _)| *name == section) else { continue };
            for (id, definition) in below.members().filter(|(id, _)| *id != "renderer" && *id != "version") {
                let own = self.0.entry(id.to_owned()).or_default();
                own.kind = *kind;
                own.files.insert(file.to_owned());
                own.add(definition);
            }
        }
    }

    /// Puts all of them into the graph.
    pub fn finish(self, graph: &mut Graph) {
        let names: BTreeMap<&str, Option<&str>> =
            self.0.iter().map(|(id, definition)| (id.as_str(), definition.real_name(id))).collect();
        for (id, definition) in &self.0 {
            if definition.by_hardware {
                graph.by_hardware.extend(definition.files.iter().cloned());
            }
            let Some(name) = definition.real_name(id) else {
                graph.finds_any |= !definition.by_hardware;
                continue;
            };
            if is_pattern(name) {
                graph.patterns.push(Pattern::of_words(std::iter::once(name)));
                continue;
            }
            for file in &definition.files {
                if let Some(kind) = definition.kind {
                    graph.device(name, kind, file);
                }
                // What is found by its MAC alone needs no name.
                let lowers =
                    definition.over.iter().filter_map(|id| names.get(id.as_str()).copied().unwrap_or(Some(id)));
                for lower in lowers.filter(|lower| !is_pattern(lower)) {
                    graph.stack(name, lower, file);
                }
                let info = graph.interface(name, file);
                info.active |= !definition.manual;
                info.mac = info.mac.take().or_else(|| definition.mac.clone());
                info.dhcp |= definition.dhcp.values().any(|on| *on);
            }
            if let Some(file) = definition.files.first() {
                graph.interface(name, file).addresses.extend(definition.addresses.iter().cloned());
            }
        }
    }
}

impl Definition {
    fn add(&mut self, definition: &Yaml) {
        for (key, value) in definition.members() {
            let text = value.as_text().map(str::to_owned);
            match key {
                "match" => {
                    self.has_match = true;
                    for (key, value) in value.members() {
                        let mut words = value.items().iter().filter_map(Yaml::as_text);
                        match key {
                            "name" => self.name = words.next().map(str::to_owned),
                            "macaddress" => self.mac = words.next().and_then(mac),
                            "driver" => {
                                self.by_hardware = names_old_driver(value.items().iter().filter_map(Yaml::as_text))
                            }
                            _ => {}
                        }
                    }
                }
                "set-name" => self.set_name = text,
                "interfaces" => self.over.extend(value.items().iter().filter_map(Yaml::as_text).map(str::to_owned)),
                "link" | "peer" if self.kind.is_some() => self.over.extend(text),
                "activation-mode" => self.manual = matches!(text.as_deref(), Some("manual" | "off")),
                "dhcp4" | "dhcp6" => {
                    let on = text
                        .is_some_and(|word| matches!(word.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "y"));
                    self.dhcp.insert(key.to_owned(), on);
                }
                "addresses" => {
                    // An address with options is a mapping of one member.
                    let address = |item: &Yaml| {
                        item.as_text().or_else(|| item.members().next().map(|(name, _)| name)).map(str::to_owned)
                    };
                    self.addresses.extend(value.items().iter().filter_map(address));
                }
                _ => {}
            }
        }
    }

    /// The name of the interface; a pattern of names, or `None` where the card is found by something else.
    fn real_name<'a>(&'a self, id: &'a str) -> Option<&'a str> {
        let given = self.set_name.as_deref().filter(|_| self.has_match);
        given.or(self.name.as_deref()).or_else(|| (!self.has_match || self.kind.is_some()).then_some(id))
    }
}
