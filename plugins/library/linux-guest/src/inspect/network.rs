//! How the guest's network is configured: every stack's files, the interfaces they name, and what pins a name to a card.
//!
//! Owns which files are read and what they add up to; each grammar has its own file.

mod ifcfg;
mod ifupdown;
mod ini;
mod keyfile;
mod netplan;
mod networkd;
pub(crate) mod udev;
mod wicked;

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::model::{InterfaceInfo, NetworkInfo};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use crate::textfile::TextFile;
pub(crate) use udev::{Pin, unbound_rule};

/// The guest's network configuration.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    stacks: Vec<&'static str>,
    /// By name, with whether it is virtual (a bond, bridge, VLAN, tunnel).
    interfaces: BTreeMap<String, (InterfaceInfo, bool)>,
    /// What binds a name to a card.
    pub pins: Vec<Pin>,
    /// Files that match cards by the old hardware: its driver, its PCI address.
    pub by_hardware: Vec<String>,
    /// Patterns of interface names.
    pub patterns: Vec<String>,
}

/// A folder of configuration files of one grammar.
struct Source {
    stack: &'static str,
    folder: &'static str,
    is_ours: fn(&str) -> bool,
    parse: fn(&TextFile, &mut Configuration),
}

const SOURCES: [Source; 10] = [
    Source { stack: "netplan", folder: "/etc/netplan", is_ours: |name| name.ends_with(".yaml"), parse: netplan::parse },
    Source {
        stack: "networkmanager",
        folder: "/etc/NetworkManager/system-connections",
        is_ours: |name| !name.starts_with('.') && !name.ends_with('~'),
        parse: keyfile::parse,
    },
    Source {
        stack: "systemd-networkd",
        folder: "/etc/systemd/network",
        is_ours: |name| name.ends_with(".network") || name.ends_with(".netdev"),
        parse: networkd::parse,
    },
    Source {
        stack: "",
        folder: "/etc/systemd/network",
        is_ours: |name| name.ends_with(".link"),
        parse: udev::parse_link,
    },
    Source {
        stack: "",
        folder: "/etc/udev/rules.d",
        is_ours: |name| name.ends_with(".rules"),
        parse: udev::parse_rules,
    },
    Source { stack: "ifcfg", folder: "/etc/sysconfig/network-scripts", is_ours: ifcfg::is_ours, parse: ifcfg::parse },
    Source { stack: "wicked", folder: "/etc/sysconfig/network", is_ours: ifcfg::is_ours, parse: ifcfg::parse },
    Source {
        stack: "wicked",
        folder: "/etc/wicked/ifconfig",
        is_ours: |name| name.ends_with(".xml"),
        parse: wicked::parse,
    },
    Source {
        stack: "ifupdown",
        folder: "/etc/network/interfaces.d",
        is_ours: |name| !name.starts_with('.') && !name.ends_with('~'),
        parse: ifupdown::parse,
    },
    Source { stack: "ifupdown", folder: "/etc/network", is_ours: |name| name == "interfaces", parse: ifupdown::parse },
];

impl Configuration {
    /// Reads the guest's configuration.
    pub fn read(guest: &dyn Guest) -> Result<Self> {
        let mut out = Self::default();
        let mut folder = "";
        let mut names: Vec<String> = Vec::new();
        for source in &SOURCES {
            if source.folder != folder {
                folder = source.folder;
                let entries = guest.list(folder)?.unwrap_or_default().into_iter();
                names = entries
                    .filter(|entry| matches!(entry.kind, FileKind::File | FileKind::Symlink))
                    .map(|entry| entry.name)
                    .collect();
            }
            let before = out.interfaces.len() + out.patterns.len();
            for name in names.iter().filter(|name| (source.is_ours)(name)) {
                // A link to /dev/null masks a file; reading it would be an error of the guest.
                let Some(file) = TextFile::read(guest, &format!("{folder}/{name}"), &mut Vec::new())? else {
                    continue;
                };
                (source.parse)(&file, &mut out);
            }
            if !source.stack.is_empty()
                && out.interfaces.len() + out.patterns.len() > before
                && !out.stacks.contains(&source.stack)
            {
                out.stacks.push(source.stack);
            }
        }
        Ok(out)
    }

    /// The interface of this name, which `file` speaks of.
    fn interface(&mut self, name: &str, file: &str) -> &mut InterfaceInfo {
        let (info, _) = self
            .interfaces
            .entry(name.to_owned())
            .or_insert_with(|| (InterfaceInfo::new(name.to_owned()), has_virtual_name(name)));
        if !info.files.iter().any(|own| own == file) {
            info.files.push(file.to_owned());
        }
        info
    }

    /// Says that the interface of this name is no card.
    fn is_virtual(&mut self, name: &str, file: &str) {
        self.interface(name, file);
        if let Some((_, is_virtual)) = self.interfaces.get_mut(name) {
            *is_virtual = true;
        }
    }

    /// Names of cards that the configuration uses.
    pub fn cards(&self) -> impl Iterator<Item = &InterfaceInfo> {
        self.interfaces.values().filter(|(_, is_virtual)| !is_virtual).map(|(info, _)| info)
    }

    /// Whether bonds, bridges or VLANs exist, which may bear the MAC of a card.
    pub fn has_virtual(&self) -> bool {
        self.interfaces.values().any(|(info, is_virtual)| *is_virtual && info.name != "lo")
    }

    /// What the inspection says.
    pub fn info(&self) -> NetworkInfo {
        let interfaces = self.interfaces.values().filter(|(info, _)| info.name != "lo").map(|(info, _)| {
            let mut info = info.clone();
            if let Some(pin) = self.pins.iter().find(|pin| pin.name == info.name && pin.mac.is_some()) {
                info.mac.clone_from(&pin.mac);
                if !info.files.contains(&pin.file) {
                    info.files.push(pin.file.clone());
                }
            }
            info
        });
        NetworkInfo::default().with(|it| {
            it.stacks = self.stacks.iter().map(|stack| (*stack).to_owned()).collect();
            it.interfaces = interfaces.collect();
        })
    }
}

/// Whether a name is a pattern of names (glob(7)).
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn has_virtual_name(name: &str) -> bool {
    let numbered =
        |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    name == "lo"
        || name.contains('.')
        || ["bond", "br", "team", "vlan", "virbr", "docker", "tun", "tap", "wg", "dummy", "ppp", "sit", "xenbr"]
            .into_iter()
            .any(numbered)
}

/// A MAC in lower case with colons; `None` when it is none.
pub(crate) fn mac(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['"', '\'']).replace('-', ":").to_ascii_lowercase();
    let parts: Vec<&str> = text.split(':').collect();
    let right =
        parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
    right.then_some(text)
}

/// Prefix length of a dotted netmask, or the text itself when it is a number already.
fn prefix_length(mask: &str) -> Option<u32> {
    if let Ok(length) = mask.parse::<u32>() {
        return (length <= 128).then_some(length);
    }
    let mask = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
    (mask.leading_ones() + mask.trailing_zeros() == 32).then(|| mask.leading_ones())
}

/// `ADDRESS/LENGTH` of an address that may have its length, or a netmask beside it.
fn with_prefix(address: &str, mask: Option<&str>) -> Option<String> {
    let address = address.trim();
    let bare = address.split('/').next()?;
    let parsed: std::net::IpAddr = bare.parse().ok()?;
    if address.contains('/') {
        return Some(address.to_owned());
    }
    let length = mask.and_then(prefix_length).unwrap_or(if parsed.is_ipv4() { 32 } else { 128 });
    Some(format!("{address}/{length}"))
}

#[cfg(test)]
mod tests;
