//! How the guest's network is configured: one graph of interfaces, filled by a reader per network stack, and what gives cards their names.
//!
//! Owns which readers there are and what a guest uses that none of them reads; each grammar has its own file, what follows from all of them
//! together is in `graph`.

mod cloud_init;
mod command_line;
mod commands;
mod files;
pub(crate) mod graph;
mod ifcfg;
pub(crate) mod ifupdown;
mod ini;
mod keyfile;
mod matching;
mod naming;
mod netctl;
mod netifrc;
mod netplan;
mod networkd;
mod pattern;
mod shell;
mod suse;
pub(crate) mod udev;
mod wicked;
mod yaml;

use vmdk2kvm_plugin_api::{Guest, Result};

pub(crate) use graph::Graph;
pub(crate) use naming::Naming;
pub(crate) use udev::rivals;

use naming::Udev;

type Reader = fn(&dyn Guest, &mut Graph) -> Result<()>;

/// Every stack and where in /etc its configuration is, if that is a place of its own. The one in use is first where one writes the files of
/// another.
const STACKS: [(Option<&str>, Reader); 10] = [
    // Its files are about much else.
    (None, cloud_init::read),
    (Some("/etc/netplan"), netplan::read),
    (Some("/etc/NetworkManager"), keyfile::read),
    (Some("/etc/systemd/network"), networkd::read),
    (Some("/etc/sysconfig/network-scripts"), ifcfg::read),
    (Some("/etc/sysconfig/network"), suse::read),
    (Some("/etc/wicked"), wicked::read),
    (Some("/etc/network"), ifupdown::read),
    (Some("/etc/netctl"), netctl::read),
    (Some("/etc/conf.d/net"), netifrc::read),
];

/// Whether a path is where a stack that is read here has its configuration.
pub(crate) fn is_read(path: &str) -> bool {
    STACKS.iter().any(|(place, _)| *place == Some(path))
}

/// Files of stacks that are known by name only, and the stack.
const UNREAD: [(&str, &str); 9] = [
    ("/etc/dhcpcd.conf", "dhcpcd"),
    ("/var/lib/connman", "ConnMan"),
    ("/etc/rc.d/rc.inet1.conf", "Slackware's rc.inet1"),
    ("/etc/config/network", "OpenWrt's netifd"),
    ("/config/config.boot", "VyOS"),
    ("/etc/nixos", "NixOS"),
    ("/etc/guix", "Guix"),
    ("/etc/conf.d/network", "OpenRC's simple network"),
    ("/etc/rc.conf", "the initscripts of /etc/rc.conf"),
];

/// The guest's network, and who gives its cards their names.
pub(crate) struct Network {
    pub graph: Graph,
    pub naming: Naming,
    pub udev: Udev,
    /// The first stack in use that is not read.
    pub unread: Option<&'static str>,
}

impl Network {
    /// Reads everything.
    pub fn read(guest: &dyn Guest) -> Result<Self> {
        let mut graph = Graph::default();
        for (_, read) in STACKS {
            read(guest, &mut graph)?;
        }
        let lines = command_line::read(guest, &mut graph)?;
        command_line::add(&lines, &mut graph);
        udev::read(guest, &mut graph)?;
        let udev = Udev::read(guest)?;
        if !udev.links {
            graph.pins.retain(|pin| !pin.file.ends_with(".link"));
        }
        graph.finish();
        let mut unread = None;
        for (path, stack) in UNREAD.iter().filter(|_| graph.is_empty()) {
            if unread.is_none() && guest.stat(path)?.is_some() {
                unread = Some(*stack);
            }
        }
        Ok(Self { naming: Naming::read(guest, &lines)?, udev, graph, unread })
    }
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
