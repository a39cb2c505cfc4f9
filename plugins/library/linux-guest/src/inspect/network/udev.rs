//! What binds an interface name to a card: udev rules and systemd's `.link` files.

use super::{Configuration, ini, mac};
use crate::textfile::TextFile;

/// A rule that gives a card its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    /// The card; `None` when the rule finds it in another way, such as its driver.
    pub mac: Option<String>,
    /// The name.
    pub name: String,
    /// The file.
    pub file: String,
    /// The rule asks for the old hardware (its driver, its PCI address), so it does not apply any more.
    pub bound: bool,
}

/// Drivers of cards that VMware offers.
const DRIVERS: [&str; 5] = ["vmxnet3", "vmxnet", "e1000e", "e1000", "pcnet32"];
/// The driver of KVM's card.
pub(crate) const NEW_DRIVER: &str = "virtio_net";

/// Whether a list of drivers has one of VMware's cards, and not that of KVM's card.
pub(crate) fn names_old_driver<'a>(mut list: impl Iterator<Item = &'a str> + Clone) -> bool {
    list.clone().any(|driver| DRIVERS.contains(&driver)) && !list.any(|driver| driver == NEW_DRIVER)
}

pub(super) fn parse_rules(file: &TextFile, out: &mut Configuration) {
    for line in file.text.lines() {
        let keys = keys(line);
        let Some(name) = value(&keys, "NAME", "=").filter(|name| !name.contains(['%', '$', '/'])) else { continue };
        let card = ["ATTR{address}", "ATTRS{address}", "SYSFS{address}"].iter().find_map(|key| value(&keys, key, "=="));
        let is_card = value(&keys, "SUBSYSTEM", "==") == Some("net") || card.is_some();
        let bound = keys.iter().any(|key| is_bound(key));
        if is_card && (card.is_some() || bound) {
            out.pins.push(Pin { mac: card.and_then(mac), name: name.to_owned(), file: file.path.clone(), bound });
        }
    }
}

pub(super) fn parse_link(file: &TextFile, out: &mut Configuration) {
    let (mut card, mut name, mut bound, mut chosen) = (None, None, false, false);
    for (section, key, value) in ini::parse(&file.text) {
        match (section, key) {
            ("Match", "MACAddress" | "PermanentMACAddress") => card = mac(value),
            ("Match", "Driver") => {
                chosen = true;
                bound |= names_old_driver(value.split_whitespace());
            }
            ("Match", "Path" | "Property") => bound = true,
            ("Link", "Name") => name = Some(value.to_owned()),
            _ => {}
        }
    }
    if let Some(name) = name.filter(|_| card.is_some() || bound || chosen) {
        out.pins.push(Pin { mac: card, name, file: file.path.clone(), bound });
    }
}

/// The rule's line without what asks for the old hardware; `None` when it asks for nothing of the kind, or names no MAC and so
/// would apply to every card without it.
pub(crate) fn unbound_rule(line: &str) -> Option<String> {
    let keys = keys(line);
    let has_mac = keys.iter().any(|key| matches!(key.name, "ATTR{address}" | "ATTRS{address}" | "SYSFS{address}"));
    let names = keys.iter().any(|key| key.name == "NAME");
    if !has_mac || !names || !keys.iter().any(is_bound) {
        return None;
    }
    let kept: Vec<&str> = keys.iter().filter(|key| !is_bound(key)).map(|key| key.text).collect();
    Some(kept.join(", "))
}

struct Key<'a> {
    text: &'a str,
    name: &'a str,
    operator: &'a str,
    value: &'a str,
}

/// `KEY==value` pairs of a rule. Values may hold commas, but no quotes.
fn keys(line: &str) -> Vec<Key<'_>> {
    let mut out = Vec::new();
    let mut rest = line.trim();
    if rest.starts_with('#') {
        return out;
    }
    while let Some(open) = rest.find('"') {
        let Some(length) = rest[open + 1..].find('"') else { break };
        let end = open + 1 + length;
        let head = rest[..open].trim_start_matches([',', ' ', '\t']);
        let name = head.trim_end_matches([' ', '\t', '=', '!', '+', ':']);
        out.push(Key {
            text: rest[..=end].trim_start_matches([',', ' ', '\t']),
            name,
            operator: head[name.len()..].trim(),
            value: &rest[open + 1..end],
        });
        rest = &rest[end + 1..];
    }
    out
}

fn value<'a>(keys: &[Key<'a>], name: &str, operator: &str) -> Option<&'a str> {
    keys.iter()
        .find(|key| key.name == name && key.operator.trim_start_matches([':', '+']) == operator)
        .map(|key| key.value)
}

fn is_bound(key: &Key<'_>) -> bool {
    match key.name {
        "DRIVERS" | "DRIVER" => DRIVERS.contains(&key.value),
        "ENV{ID_NET_DRIVER}" => DRIVERS.contains(&key.value),
        "KERNELS" | "ID" | "BUS" => key.value.starts_with("0000:"),
        "ENV{ID_PATH}" | "ENV{ID_NET_NAME_PATH}" | "ENV{ID_NET_NAME_SLOT}" => true,
        "ATTRS{vendor}" => key.value == "0x15ad",
        _ => false,
    }
}
