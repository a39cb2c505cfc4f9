//! NetworkManager's keyfiles (nm-settings-keyfile(5)): profiles that find their card, and name each other by UUID or by interface.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::{Graph, Kind};
use super::pattern::{Pattern, is_pattern};
use super::udev::names_old_driver;
use super::{files, ini, mac};
use crate::textfile::TextFile;

/// Profiles of a user, and those that packages bring.
const FOLDERS: [&str; 2] = ["/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections"];

/// A profile.
#[derive(Default)]
struct Profile {
    path: String,
    uuid: String,
    kind: String,
    name: Option<String>,
    /// Of `[match]`.
    pattern: Pattern,
    mac: Option<String>,
    by_hardware: bool,
    /// By UUID or name: the bond or bridge that it is a port of, and of which kind that is.
    controller: Option<String>,
    port_type: String,
    /// By UUID, name or MAC: what it is made over.
    parent: Option<String>,
    vlan: Option<String>,
    manual: bool,
    dhcp: bool,
    addresses: Vec<String>,
}

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    let ours = |name: &str| {
        let left_behind = ["~", ".bak", ".rpmsave", ".rpmnew", ".rpmorig", ".swp", ".orig"];
        !name.starts_with('.') && !left_behind.iter().any(|end| name.ends_with(end))
    };
    let profiles: Vec<Profile> = files::layered(guest, &FOLDERS, ours, graph)?.iter().map(parse).collect();
    if !profiles.is_empty() {
        graph.uses("networkmanager");
    } else if guest.stat("/usr/sbin/NetworkManager")?.is_some() {
        // Without a profile of its own every card is brought up by DHCP.
        graph.finds_any = true;
    }
    let by_uuid: BTreeMap<&str, &Profile> =
        profiles.iter().filter(|profile| !profile.uuid.is_empty()).map(|own| (own.uuid.as_str(), own)).collect();
    for profile in &profiles {
        add(profile, &by_uuid, graph);
    }
    Ok(())
}

fn parse(file: &TextFile) -> Profile {
    let mut profile = Profile { path: file.path.clone(), ..Profile::default() };
    for (section, key, value) in ini::parse(&file.text) {
        let text = Some(value.clone()).filter(|value| !value.is_empty());
        match (section.as_str(), key.as_str()) {
            ("connection", "interface-name") => profile.name = text,
            ("connection", "uuid") => profile.uuid = value,
            ("connection", "type") => profile.kind = value,
            ("connection", "master" | "controller") => profile.controller = text,
            ("connection", "slave-type" | "port-type") => profile.port_type = value,
            ("connection", "autoconnect") => profile.manual = !ini::is_on(&value),
            // `|` and `&` say how a pattern counts, a backslash takes that meaning away.
            ("match", "interface-name") => {
                let words = list(&value).map(|word| word.trim_start_matches(['|', '&', '\\']));
                profile.pattern = Pattern::of_words(words);
            }
            ("match", "driver") => profile.by_hardware |= names_old_driver(list(&value)),
            ("match", "path") => profile.by_hardware |= list(&value).any(|path| path.starts_with("pci-")),
            ("ethernet" | "802-3-ethernet", "mac-address") => profile.mac = mac(&value),
            ("vlan", "id") => profile.vlan = text,
            (_, "parent") => profile.parent = text,
            ("ipv4", "method") => profile.dhcp = value == "auto",
            ("ipv4" | "ipv6", key) if is_address_key(key) => {
                // `address1=10.0.0.5/24,10.0.0.1`: the gateway stands behind the comma.
                let addresses = value.split([',', ';']).take(1).filter(|value| value.contains('/'));
                profile.addresses.extend(addresses.map(str::to_owned));
            }
            _ => {}
        }
    }
    profile
}

fn add(profile: &Profile, by_uuid: &BTreeMap<&str, &Profile>, graph: &mut Graph) {
    let path = &profile.path;
    let is_card = matches!(profile.kind.as_str(), "" | "ethernet" | "802-3-ethernet");
    if profile.by_hardware {
        graph.by_hardware.push(path.clone());
    }
    let parent = profile.parent.as_deref().and_then(|parent| named(parent, by_uuid));
    // A VLAN without a name of its own has its parent's and its number.
    let of_vlan = || Some(format!("{}.{}", parent.as_ref()?, profile.vlan.as_ref()?));
    let (patterns, names): (Vec<_>, Vec<_>) = profile.pattern.any.iter().cloned().partition(|name| is_pattern(name));
    let name = profile.name.clone().or_else(|| Some(()).filter(|()| profile.kind == "vlan").and_then(|()| of_vlan()));
    if name.is_none() && is_card {
        if !patterns.is_empty() || (names.is_empty() && !profile.pattern.none.is_empty()) {
            graph.patterns.push(Pattern {
                any: if patterns.is_empty() { vec!["*".to_owned()] } else { patterns },
                none: profile.pattern.none.clone(),
            });
        } else if names.is_empty() {
            // By its MAC, by the old hardware, or as any card.
            graph.finds_any |= !profile.by_hardware;
        }
    }
    for name in name.iter().chain(names.iter().filter(|_| name.is_none())) {
        if !is_card {
            graph.device(name, Kind::of_word(&profile.kind), path);
        }
        let info = graph.interface(name, path);
        info.active |= !profile.manual;
        info.dhcp |= profile.dhcp;
        info.addresses.extend(profile.addresses.iter().cloned());
        info.mac = info.mac.take().or_else(|| profile.mac.clone());
        if let Some(parent) = &parent {
            graph.stack(name, parent, path);
        }
        if let Some(upper) = profile.controller.as_deref().and_then(|upper| named(upper, by_uuid)) {
            graph.device(&upper, Kind::of_word(&profile.port_type), path);
            graph.stack(&upper, name, path);
        }
    }
}

/// The interface that a reference means: a UUID is a profile's, whose name it is; a MAC is a card's, which needs none.
fn named(reference: &str, by_uuid: &BTreeMap<&str, &Profile>) -> Option<String> {
    match by_uuid.get(reference) {
        Some(profile) => profile.name.clone(),
        None if mac(reference).is_some() || reference.len() == 36 => None,
        None => Some(reference.to_owned()),
    }
}

fn list(value: &str) -> impl Iterator<Item = &str> + Clone {
    value.split([';', ',']).map(str::trim).filter(|one| !one.is_empty())
}

fn is_address_key(key: &str) -> bool {
    // `addresses` is what the first versions wrote.
    key.strip_prefix("address").is_some_and(|rest| rest == "es" || rest.bytes().all(|byte| byte.is_ascii_digit()))
}
