//! `ifcfg-*` of Red Hat's network-scripts and of NetworkManager's plugin for them: shell assignments
//! (initscripts, `sysconfig.txt`; nm-settings-ifcfg-rh(5)).

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::{Graph, Interface, Kind};
use super::shell::Variables;
use super::udev::Pin;
use super::{files, mac, with_prefix};
use crate::textfile::TextFile;

const FOLDER: &str = "/etc/sysconfig/network-scripts";

/// Whether the scripts read a file of this name: not what editors and packages leave behind.
pub(super) fn is_ours(name: &str) -> bool {
    let left_behind = ["~", ".bak", ".orig", ".old", ".rpmsave", ".rpmnew", ".rpmorig", ".rpmtemp"];
    name.starts_with("ifcfg-") && name != "ifcfg-lo" && !left_behind.iter().any(|end| name.ends_with(end))
}

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    let files = files::of_folder(guest, FOLDER, is_ours, graph)?;
    // Called by a rule of initscripts, this program gives the card of HWADDR the name in DEVICE.
    let mut renames = false;
    for program in ["/usr/lib/udev/rename_device", "/lib/udev/rename_device"] {
        renames |= !files.is_empty() && guest.stat(program)?.is_some();
    }
    for file in files {
        graph.uses("ifcfg");
        parse(&file, renames, graph);
    }
    Ok(())
}

fn parse(file: &TextFile, renames: bool, graph: &mut Graph) {
    let path = &file.path;
    let values = Variables::parse(&file.text);
    let get = |key: &str| values.get(key);
    for name in values.unknown.iter().filter(|name| matches!(name.as_str(), "DEVICE" | "HWADDR" | "PHYSDEV")) {
        graph.not_understood(path, &format!("{name} comes from a command, which was not run"));
    }
    let of_name = path.rsplit("ifcfg-").next().unwrap_or_default();
    let is_on = |key: &str| get(key).is_some_and(|value| value.eq_ignore_ascii_case("yes") || value == "1");
    let is_off = |key: &str| get(key).is_some_and(|value| value.eq_ignore_ascii_case("no") || value == "0");
    // `ifcfg-eth0-range0` and `ifcfg-eth0:1` are further addresses of eth0.
    let of_name = of_name.find("-range").map_or(of_name, |at| &of_name[..at]);
    let card = get("HWADDR").and_then(mac);
    // NetworkManager's file of a card that it found by its MAC has the connection's name (`ifcfg-Wired_connection_1`).
    let Some(name) = get("DEVICE").or_else(|| Some(of_name).filter(|_| card.is_none())) else {
        graph.finds_any = true;
        return;
    };
    let is_alias = name.contains(':');
    let kind = kind(&values).filter(|_| !is_alias);
    if let Some(kind) = kind {
        graph.device(name, kind, path);
    }
    if renames && card.is_some() && kind.is_none() && !is_alias {
        graph.pins.push(Pin::new(name, card.clone(), path, false));
    }
    let info = graph.interface(name, path);
    info.active |= !is_off("ONBOOT") && !is_alias;
    info.mac = info.mac.take().or(card);
    info.dhcp |= get("BOOTPROTO").is_some_and(|kind| kind.starts_with("dhcp"));
    add_addresses(info, &values);
    let below = match kind {
        Some(Kind::Vlan) => get("PHYSDEV").or_else(|| name.rsplit_once('.').map(|(card, _)| card)),
        Some(Kind::Macvlan | Kind::Tunnel) => get("MACVLAN_PARENT").or(get("PHYSDEV")),
        _ => None,
    };
    for lower in below.into_iter().chain(values.words("BOND_IFACES")) {
        graph.stack(name, lower, path);
    }
    for (key, kind) in
        [("MASTER", Kind::Bond), ("TEAM_MASTER", Kind::Team), ("BRIDGE", Kind::Bridge), ("OVS_BRIDGE", Kind::Bridge)]
    {
        // By a UUID NetworkManager names a connection, whose own file names this one's interface.
        let Some(upper) = get(key).filter(|upper| !is_uuid(upper)) else { continue };
        // The master's own file may be missing, or say nothing about what it is.
        graph.device(upper, kind, path);
        graph.stack(upper, name, path);
    }
    // A port comes up with its bond, whatever its own file says, as far as that is up.
    if is_on("SLAVE") && get("MASTER").is_none() {
        graph.not_understood(path, "it is a port (SLAVE) of no bond (MASTER)");
    }
}

fn kind(values: &Variables) -> Option<Kind> {
    let get = |key: &str| values.get(key);
    let of_type = match get("TYPE").unwrap_or_default().to_ascii_lowercase().as_str() {
        // An Open vSwitch port that is a card has its type in TYPE as well.
        "" | "ethernet" | "ovsport" => None,
        "ovsbridge" | "ovsintport" => Some(Kind::Bridge),
        "ovsbond" => Some(Kind::Bond),
        "ovstunnel" => Some(Kind::Tunnel),
        word => Some(Kind::of_word(word)),
    };
    let is_vlan = get("VLAN").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let of_device = match get("DEVICETYPE").unwrap_or_default().to_ascii_lowercase().as_str() {
        "team" => Some(Kind::Team),
        "macvlan" => Some(Kind::Macvlan),
        _ => None,
    };
    // Of these a card's own file has none.
    let of_keys = [("BONDING_OPTS", Kind::Bond), ("BONDING_MASTER", Kind::Bond), ("TEAM_CONFIG", Kind::Team)];
    is_vlan
        .then_some(Kind::Vlan)
        .or(of_type)
        .or(of_device)
        .or_else(|| of_keys.into_iter().find(|(key, _)| get(key).is_some()).map(|(_, kind)| kind))
}

/// `IPADDR`, `IPADDR0`, `IPADDR_1`, each with the prefix or mask of the same ending.
pub(super) fn add_addresses(info: &mut Interface, values: &Variables) {
    let numbered = |ending: &str| ending.trim_start_matches('_').bytes().all(|byte| byte.is_ascii_digit());
    for (ending, address) in values.beginning("IPADDR").filter(|(ending, _)| numbered(ending)) {
        let of_ending = |key: &str| values.get(&format!("{key}{ending}"));
        let mask = of_ending("PREFIX").or_else(|| of_ending("PREFIXLEN")).or_else(|| of_ending("NETMASK"));
        info.addresses.extend(address.first().and_then(|address| with_prefix(address, mask)));
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4
}
