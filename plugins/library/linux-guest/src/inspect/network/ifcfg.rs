//! `ifcfg-*` of Red Hat's network-scripts and of SUSE's wicked: shell assignments.

use std::collections::BTreeMap;

use super::{Configuration, mac, with_prefix};
use crate::textfile::TextFile;

pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("ifcfg-")
        && name != "ifcfg-lo"
        && ![".bak", ".orig", ".rpmsave", ".rpmnew", "~"].iter().any(|end| name.ends_with(end))
}

pub(super) fn parse(file: &TextFile, out: &mut Configuration) {
    let values: BTreeMap<&str, &str> = file
        .text
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(key, _)| !key.starts_with('#'))
        .map(|(key, value)| (key, value.trim().trim_matches(['"', '\''])))
        .collect();
    let get = |key: &str| values.get(key).copied().filter(|value| !value.is_empty());
    let of_name = file.path.rsplit("ifcfg-").next().unwrap_or_default();
    // SUSE's files have no DEVICE, and in Red Hat's the file's own name is the last resort; but one that NetworkManager found
    // by its MAC has the connection's name (`ifcfg-Wired_connection_1`), which is no interface's.
    let is_suse = file.path.starts_with("/etc/sysconfig/network/");
    let name = match get("DEVICE") {
        Some(name) => name,
        None if is_suse || get("HWADDR").is_none() => of_name,
        None => return,
    };
    let is_virtual = get("BONDING_MASTER").is_some()
        || get("BRIDGE").is_some_and(|value| value == "yes")
        || get("VLAN").is_some_and(|value| value == "yes")
        || get("ETHERDEVICE").is_some()
        || get("TYPE").is_some_and(|kind| !kind.eq_ignore_ascii_case("ethernet"));
    if is_virtual {
        out.is_virtual(name, &file.path);
    }
    let info = out.interface(name, &file.path);
    info.mac = info.mac.take().or_else(|| get("HWADDR").and_then(mac));
    info.dhcp |= get("BOOTPROTO").is_some_and(|kind| kind.starts_with("dhcp"));
    for suffix in ["", "0", "1", "2", "_0", "_1"] {
        let Some(address) = get(&format!("IPADDR{suffix}")) else { continue };
        let mask =
            get(&format!("PREFIX{suffix}")).or(get(&format!("PREFIXLEN{suffix}"))).or(get(&format!("NETMASK{suffix}")));
        info.addresses.extend(with_prefix(address, mask));
    }
}
