//! systemd-networkd's `.network` and `.netdev` files (systemd.network(5), systemd.netdev(5)).

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::graph::{Graph, Kind};
use super::matching::Match;
use super::pattern::{Pattern, is_pattern};
use super::{files, ini};
use crate::textfile::TextFile;

/// Where the files are; one of an earlier folder hides its name in the later ones.
pub(super) const FOLDERS: [&str; 4] =
    ["/etc/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network"];

/// Keys of `[Network]` that name what is made over the interface, and those that name what it is a port of.
const UPPERS: [(&str, Kind); 12] = [
    ("VLAN", Kind::Vlan),
    ("MACVLAN", Kind::Macvlan),
    ("MACVTAP", Kind::Macvlan),
    ("IPVLAN", Kind::Macvlan),
    ("IPVTAP", Kind::Macvlan),
    ("VXLAN", Kind::Tunnel),
    ("Tunnel", Kind::Tunnel),
    ("MACsec", Kind::Tunnel),
    ("Xfrm", Kind::Tunnel),
    ("Bond", Kind::Bond),
    ("Bridge", Kind::Bridge),
    ("VRF", Kind::Virtual),
];

/// Names that cards have by the place and by the kernel.
const CARDS: [&str; 3] = ["ens192", "enp11s0", "eth0"];

/// Section, key and value.
type Setting = (String, String, String);

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    for (file, settings) in units(guest, &FOLDERS, ".netdev", graph)? {
        let get = |wanted: &str| settings.iter().rfind(|(section, key, _)| section == "NetDev" && key == wanted);
        if let Some((.., name)) = get("Name") {
            let kind = get("Kind").map_or(Kind::Virtual, |(.., word)| Kind::of_word(&word.to_ascii_lowercase()));
            graph.device(name, kind, &file.path);
        }
    }
    for (file, settings) in units(guest, &FOLDERS, ".network", graph)? {
        // What the packages bring is there on every system.
        if file.path.starts_with("/etc/") {
            graph.uses("systemd-networkd");
        }
        network(&file, &settings, graph);
    }
    Ok(())
}

/// Files of systemd with their settings, and those of the files in the folder of each (`lan.network.d/*.conf`).
pub(super) fn units(
    guest: &dyn Guest,
    folders: &[&str],
    ending: &str,
    graph: &mut Graph,
) -> Result<Vec<(TextFile, Vec<Setting>)>> {
    let mut more = BTreeSet::new();
    for folder in folders {
        let entries = guest.list(folder)?.into_iter().flatten();
        more.extend(entries.filter(|entry| entry.kind == FileKind::Dir).map(|entry| entry.name));
    }
    let mut units = Vec::new();
    for file in files::layered(guest, folders, |name| name.ends_with(ending), graph)? {
        let mut settings = ini::parse(&file.text);
        let own = format!("{}.d", file.path.rsplit('/').next().unwrap_or_default());
        if more.contains(&own) {
            let folders: Vec<String> = folders.iter().map(|folder| format!("{folder}/{own}")).collect();
            let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
            for file in files::layered(guest, &folders, |name| name.ends_with(".conf"), graph)? {
                settings.extend(ini::parse(&file.text));
            }
        }
        units.push((file, settings));
    }
    Ok(units)
}

fn network(file: &TextFile, settings: &[Setting], graph: &mut Graph) {
    let path = &file.path;
    let found = Match::read(settings);
    if found.never {
        return;
    }
    if let Some(key) = &found.old_machine {
        graph.not_understood(path, &format!("it holds only where {key}, which is VMware; with KVM it does not hold"));
    }
    if found.by_hardware {
        graph.by_hardware.push(path.clone());
    }
    let mut active = true;
    let (mut dhcp, mut addresses, mut uppers) = (false, Vec::new(), Vec::new());
    for (section, key, value) in settings {
        match (section.as_str(), key.as_str()) {
            ("Network", "DHCP") => {
                dhcp = ini::is_on(value) || matches!(value.as_str(), "both" | "ipv4" | "ipv6" | "v4" | "v6")
            }
            ("Network" | "Address", "Address") => addresses.push(value.clone()),
            ("Link", "Unmanaged") => active &= !ini::is_on(value),
            ("Link", "ActivationPolicy") => active &= !matches!(value.as_str(), "manual" | "down" | "always-down"),
            ("Network", key) => {
                let kind = UPPERS.iter().find(|(own, _)| *own == key).map(|(_, kind)| *kind);
                uppers.extend(kind.into_iter().flat_map(|kind| value.split_whitespace().map(move |name| (name, kind))));
            }
            _ => {}
        }
    }
    for (upper, kind) in &uppers {
        // Its own file says better what it is, where there is one.
        let device = graph.interface(upper, path);
        device.kind = device.kind.or(Some(*kind));
        // A bond comes up by its own file; what is made over a card comes up with it.
        device.active |= active;
    }
    let (patterns, names): (Vec<_>, Vec<_>) = found.names.any.iter().partition(|name| is_pattern(name));
    for name in &names {
        let info = graph.interface(name, path);
        if !found.is_card() {
            info.kind = info.kind.or(Some(Kind::Virtual));
        }
        info.active |= active;
        info.dhcp |= dhcp;
        info.addresses.extend(addresses.iter().cloned());
        info.mac = info.mac.take().or_else(|| found.macs.first().cloned());
        for (upper, _) in &uppers {
            graph.stack(upper, name, path);
        }
    }
    if !patterns.is_empty() {
        let pattern = Pattern { any: patterns.into_iter().cloned().collect(), none: found.names.none.clone() };
        // Packages bring files for what containers and tunnels are called.
        if active && (path.starts_with("/etc/") || CARDS.iter().any(|name| pattern.fits(name))) {
            graph.patterns.push(pattern);
        }
    } else if names.is_empty() {
        graph.finds_any |= !found.by_hardware && found.is_card();
    }
}
