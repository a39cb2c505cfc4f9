//! `/etc/network/interfaces` and what it sources (interfaces(5); bridge-utils-interfaces(5), vlan-interfaces(5), ifenslave, and what
//! ifupdown2, ifupdown-ng and Open vSwitch add).

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::{Guest, Result};

use super::commands;
use super::graph::{Graph, Kind};
use super::pattern::{Pattern, is_pattern, matches};
use super::{files, mac, with_prefix};
use crate::textfile::TextFile;

const MAIN: &str = "/etc/network/interfaces";
/// Files may source each other, and patterns be many; no sound configuration has more.
const MOST: usize = 200;

/// Keys that name what an interface is made over, without their `-` or `_`.
const PORTS: [(&str, Kind); 7] = [
    ("bridgeports", Kind::Bridge),
    ("bondslaves", Kind::Bond),
    ("slaves", Kind::Bond),
    ("vlanrawdevice", Kind::Vlan),
    ("ovsports", Kind::Bridge),
    ("ovsbonds", Kind::Bond),
    ("macvlandevice", Kind::Macvlan),
];

/// The files of ifupdown, in the order in which they are read.
pub(crate) fn files(guest: &dyn Guest, graph: &mut Graph) -> Result<Vec<TextFile>> {
    let mut waiting = vec![MAIN.to_owned()];
    let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) || seen.len() > MOST {
            continue;
        }
        let Some(file) = files::read(guest, &path, graph)? else { continue };
        let mut more = Vec::new();
        for line in joined(&file.text) {
            let mut words = line.split_whitespace();
            let (key, rest) = (words.next().unwrap_or_default(), words);
            for word in rest.filter(|_| matches!(key, "source" | "source-directory" | "source-dir")) {
                let target = if word.starts_with('/') { word.to_owned() } else { format!("/etc/network/{word}") };
                more.extend(sourced(guest, &target, key != "source", &path, graph)?);
            }
        }
        waiting.extend(more.into_iter().rev());
        out.push(file);
    }
    Ok(out)
}

/// The files that a `source` line means.
fn sourced(guest: &dyn Guest, target: &str, is_folder: bool, by: &str, graph: &mut Graph) -> Result<Vec<String>> {
    let (folder, glob) = match target.trim_end_matches('/').rsplit_once('/') {
        _ if is_folder => (target.trim_end_matches('/'), "*"),
        Some((folder, glob)) => (folder, glob),
        None => return Ok(Vec::new()),
    };
    if is_pattern(folder) {
        graph.not_understood(by, &format!("the folders that \"{target}\" means were not searched"));
        return Ok(Vec::new());
    }
    if !is_pattern(glob) {
        return Ok(vec![target.to_owned()]);
    }
    let entries = guest.list(folder)?.into_iter().flatten();
    // Of a folder only names as run-parts(8) has them count; of a pattern all that a shell would give.
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let counts = |name: &str| if is_folder { plain(name) } else { !name.starts_with('.') && matches(glob, name) };
    Ok(entries.filter(|entry| counts(&entry.name)).map(|entry| format!("{folder}/{}", entry.name)).collect())
}

/// The lines that are no comments, joined where one ends in a backslash.
fn joined(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace("\\\n", " ");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    let files = files(guest, graph)?;
    let mut names = Names::default();
    for line in files.iter().flat_map(|file| joined(&file.text)) {
        names.add(&line);
    }
    for file in &files {
        let mut stanza = None;
        for line in joined(&file.text) {
            stanza = parse(&line, stanza, file, &names, graph);
        }
        finish(stanza, file, graph);
    }
    Ok(())
}

/// Which stanzas come up, and which are no interfaces but what others are made from.
#[derive(Default)]
struct Names {
    /// Of `auto` and `allow-*`.
    up: BTreeSet<String>,
    /// `auto /ens*` and `auto /ens*/1`: those interfaces that are there and match.
    globs: Vec<String>,
    /// What `mapping` chooses from: names of stanzas, not of interfaces.
    logical: BTreeSet<String>,
    in_mapping: bool,
}

impl Names {
    fn add(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        match key {
            "map" if self.in_mapping => self.logical.extend(rest.last().map(|name| (*name).to_owned())),
            "script" if self.in_mapping => {}
            "iface" => {
                let from = rest.iter().position(|word| matches!(*word, "inherits" | "template"));
                self.logical.extend(from.and_then(|at| rest.get(at + 1)).map(|name| (*name).to_owned()));
            }
            _ if key == "auto" || key.starts_with("allow-") => {
                for word in rest {
                    // `ens192=lan`: the card gets the stanza `lan`.
                    let (card, stanza) = word.split_once('=').unwrap_or((word, ""));
                    match card.strip_prefix('/').filter(|_| self.globs.len() < MOST) {
                        Some(glob) => self.globs.push(glob.split('/').next().unwrap_or_default().to_owned()),
                        None => _ = self.up.insert(card.to_owned()),
                    }
                    if !stanza.is_empty() {
                        self.logical.insert(stanza.to_owned());
                    }
                }
            }
            _ => {}
        }
        self.in_mapping = key == "mapping" || (self.in_mapping && matches!(key, "map" | "script"));
    }

    fn is_up(&self, name: &str) -> bool {
        self.up.contains(name) || self.globs.iter().any(|glob| matches(glob, name))
    }
}

#[derive(Default)]
struct Stanza {
    name: String,
    method: String,
    address: Option<String>,
    netmask: Option<String>,
}

/// Reads a line; returns the stanza that the next one belongs to.
fn parse(line: &str, stanza: Option<Stanza>, file: &TextFile, names: &Names, graph: &mut Graph) -> Option<Stanza> {
    let mut words = line.split_whitespace();
    let key = words.next()?;
    let rest: Vec<&str> = words.collect();
    let starts = matches!(
        key,
        "iface"
            | "auto"
            | "mapping"
            | "rename"
            | "template"
            | "source"
            | "source-directory"
            | "source-dir"
            | "no-auto-down"
            | "no-scripts"
    ) || key.starts_with("allow-");
    if !starts {
        let mut stanza = stanza?;
        option(key, &rest, line, &mut stanza, &file.path, graph);
        return Some(stanza);
    }
    finish(stanza, file, graph);
    match key {
        "iface" => begin(&rest, file, names, graph),
        "mapping" => {
            for card in &rest {
                uses(card, &file.path, graph);
            }
            None
        }
        "rename" => {
            graph.not_understood(&file.path, "it renames cards by itself");
            None
        }
        // A name that has no stanza is somebody else's to make sense of, and brought up all the same.
        _ => None,
    }
}

fn begin(rest: &[&str], file: &TextFile, names: &Names, graph: &mut Graph) -> Option<Stanza> {
    let name = rest.first()?;
    if names.logical.contains(*name) && !names.is_up(name) {
        // Its card is the one that is mapped to it, which has this stanza's addresses.
        return Some(Stanza::default());
    }
    if is_pattern(name) {
        graph.patterns.push(Pattern::of_words(std::iter::once(*name)));
        return Some(Stanza::default());
    }
    graph.uses("ifupdown");
    let method = rest.get(2).copied().unwrap_or_default();
    let kind = match method {
        "loopback" => Some(Kind::Loopback),
        "tunnel" | "v4tunnel" | "6to4" => Some(Kind::Tunnel),
        "ppp" | "wvdial" => Some(Kind::Virtual),
        _ => None,
    };
    if let Some(kind) = kind {
        graph.device(name, kind, &file.path);
    }
    let interface = graph.interface(name, &file.path);
    interface.active |= names.is_up(name);
    interface.dhcp |= method == "dhcp";
    Some(Stanza { name: interface.name.clone(), method: method.to_owned(), ..Stanza::default() })
}

fn option(key: &str, rest: &[&str], line: &str, stanza: &mut Stanza, path: &str, graph: &mut Graph) {
    let Some(value) = rest.first().copied().filter(|_| !stanza.name.is_empty()) else { return };
    let bare: String = key.chars().filter(|letter| !matches!(letter, '-' | '_')).collect();
    if let Some((_, kind)) = PORTS.iter().find(|(key, _)| *key == bare) {
        graph.device(&stanza.name, *kind, path);
        ports(&stanza.name, rest, path, graph);
        return;
    }
    match bare.as_str() {
        "address" => stanza.address = Some(value.to_owned()),
        "netmask" => stanza.netmask = Some(value.to_owned()),
        // `hwaddress ether MAC`, or the MAC alone.
        "hwaddress" => graph.interface(&stanza.name, path).given_mac = rest.last().and_then(|value| mac(value)),
        "bondmaster" | "ovsbridge" => {
            graph.device(value, if bare == "bondmaster" { Kind::Bond } else { Kind::Bridge }, path);
            graph.stack(value, &stanza.name, path);
        }
        "bondmode" | "vlanid" | "bridgestp" | "bridgefd" | "ovstype" | "wireguardconfigpath" if value != "OVSPort" => {
            let kind = match bare.as_str() {
                "bondmode" => Kind::Bond,
                "vlanid" => Kind::Vlan,
                "wireguardconfigpath" => Kind::Tunnel,
                _ => Kind::Bridge,
            };
            graph.device(&stanza.name, kind, path);
        }
        // ifupdown-ng says what an interface uses.
        "requires" => ports(&stanza.name, rest, path, graph),
        "preup" | "up" | "postup" => {
            commands::read(line.split_once(char::is_whitespace).map_or("", |(_, rest)| rest), path, graph);
        }
        _ => {}
    }
}

/// The ports of a bridge or bond.
fn ports(name: &str, words: &[&str], path: &str, graph: &mut Graph) {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "none" | "auto" => {}
            // Every card is a port, whatever its name is.
            "all" => graph.finds_any = true,
            "glob" | "regex" => {
                let pattern = words.next().copied().unwrap_or_default();
                graph.not_understood(path, &format!("the ports of {name} are those that \"{pattern}\" means"));
            }
            port if is_pattern(port) => graph.patterns.push(Pattern::of_words(std::iter::once(port))),
            port => graph.stack(name, port, path),
        }
    }
}

fn uses(card: &str, path: &str, graph: &mut Graph) {
    graph.uses("ifupdown");
    if is_pattern(card) {
        graph.patterns.push(Pattern::of_words(std::iter::once(card)));
    } else {
        graph.interface(card, path).active = true;
    }
}

fn finish(stanza: Option<Stanza>, file: &TextFile, graph: &mut Graph) {
    let Some(stanza) = stanza.filter(|stanza| !stanza.name.is_empty() && stanza.method != "loopback") else { return };
    // ifupdown2 and ifupdown-ng take an address without any method.
    if matches!(stanza.method.as_str(), "static" | "") {
        let address = stanza.address.and_then(|address| with_prefix(&address, stanza.netmask.as_deref()));
        graph.interface(&stanza.name, &file.path).addresses.extend(address);
    }
}
