//! What binds an interface name to a card: udev rules and systemd's `.link` files.

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::Graph;
use super::matching::Match;
use super::{files, mac, networkd};
use crate::textfile::TextFile;
use crate::udev_rule::{Key, keys, rules};

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
    /// The PCI address that it asks for, as in `0000:0b:00.0`.
    pub address: Option<String>,
}

/// Drivers of cards that VMware offers.
const DRIVERS: [&str; 5] = ["vmxnet3", "vmxnet", "e1000e", "e1000", "pcnet32"];
/// The driver of KVM's card.
pub(crate) const NEW_DRIVER: &str = "virtio_net";

/// Whether a list of drivers has one of VMware's cards, and not that of KVM's card.
pub(crate) fn names_old_driver<'a>(mut list: impl Iterator<Item = &'a str> + Clone) -> bool {
    list.clone().any(|driver| DRIVERS.contains(&driver)) && !list.any(|driver| driver == NEW_DRIVER)
}

/// Reads rules, `.link` files, and the tables of older tools.
pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    for file in files::of_folder(guest, "/etc/udev/rules.d", |name| name.ends_with(".rules"), graph)? {
        parse_rules(&file, graph);
    }
    for (file, settings) in networkd::units(guest, &[LINKS], ".link", graph)? {
        graph.pins.extend(parse_link(&file, &settings));
    }
    // ifrename(8) has `eth0 mac 00:50:...`, nameif(8) `eth0 00:50:...`.
    for path in ["/etc/iftab", "/etc/mactab"] {
        let Some(file) = files::read(guest, path, graph)? else { continue };
        for line in file.text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let mut words = line.split_whitespace();
            let (Some(name), Some(card)) = (words.next(), words.find_map(mac)) else { continue };
            graph.pins.push(Pin::new(name, Some(card), path, false));
        }
    }
    Ok(())
}

/// Where the guest's own `.link` files are.
pub(crate) const LINKS: &str = "/etc/systemd/network";

impl Pin {
    /// A pin that asks for no PCI address.
    pub fn new(name: &str, mac: Option<String>, file: &str, bound: bool) -> Self {
        Self { mac, name: name.to_owned(), file: file.to_owned(), bound, address: None }
    }
}

fn parse_rules(file: &TextFile, graph: &mut Graph) {
    for keys in rules(&file.text) {
        let Some(name) = value(&keys, "NAME", "=").filter(|name| !name.contains(['%', '$', '/'])) else { continue };
        let card = ["ATTR{address}", "ATTRS{address}", "SYSFS{address}"].iter().find_map(|key| value(&keys, key, "=="));
        let is_card = value(&keys, "SUBSYSTEM", "==") == Some("net") || card.is_some();
        let bound = keys.iter().any(|key| is_bound(key));
        if is_card && (card.is_some() || bound) {
            let place = ["KERNELS", "ID"].iter().find_map(|key| value(&keys, key, "=="));
            let of_path = value(&keys, "ENV{ID_PATH}", "==").and_then(|path| path.strip_prefix("pci-"));
            let mut pin = Pin::new(name, card.and_then(mac), &file.path, bound);
            pin.address = place.or(of_path).map(str::to_owned);
            graph.pins.push(pin);
        }
    }
}

/// A pin for each MAC of a `.link` file, or one for what it asks for instead.
fn parse_link(file: &TextFile, settings: &[(String, String, String)]) -> Vec<Pin> {
    let found = Match::read(settings);
    let name = settings.iter().rfind(|(section, key, _)| section == "Link" && key == "Name");
    let Some((.., name)) = name else { return Vec::new() };
    let bound = found.by_hardware || found.old_machine.is_some();
    let address = found.paths.any.iter().find_map(|path| path.strip_prefix("pci-")).map(str::to_owned);
    let pin = |mac| Pin { address: address.clone(), ..Pin::new(name, mac, &file.path, bound) };
    if found.macs.is_empty() && (bound || !found.drivers.any.is_empty()) {
        return vec![pin(None)];
    }
    found.macs.iter().cloned().map(|mac| pin(Some(mac))).collect()
}

/// Names of the guest's `.link` files that udev may take for a card of this MAC and driver: of all that match, the first counts.
pub(crate) fn rivals(guest: &dyn Guest, card: &str, driver: &str) -> Result<Vec<String>> {
    let mut graph = Graph::default();
    let mut names = Vec::new();
    for (file, settings) in networkd::units(guest, &networkd::FOLDERS, ".link", &mut graph)? {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        // A file of ours is the same in every plan.
        let is_other = !name.contains("vmdk2kvm-");
        if is_other && Match::read(&settings).may_mean(card, driver) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The rule's line without what asks for the old hardware; `None` when it asks for nothing of the kind, or names no MAC and so
/// would apply to every card without it.
pub(crate) fn unbound_rule(line: &str) -> Option<String> {
    let line = line.trim();
    let keys = if line.starts_with('#') { Vec::new() } else { keys(line) };
    let has_mac = keys.iter().any(|key| matches!(key.name, "ATTR{address}" | "ATTRS{address}" | "SYSFS{address}"));
    let names = keys.iter().any(|key| key.name == "NAME");
    if !has_mac || !names || !keys.iter().any(is_bound) {
        return None;
    }
    let kept: Vec<&str> = keys.iter().filter(|key| !is_bound(key)).map(|key| key.text).collect();
    Some(kept.join(", "))
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
