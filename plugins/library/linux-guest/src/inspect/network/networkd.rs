//! systemd-networkd's `.network` and `.netdev` files (systemd.network(5)).

use super::udev::names_old_driver;
use super::{Configuration, ini, is_pattern, mac};
use crate::textfile::TextFile;

pub(super) fn parse(file: &TextFile, out: &mut Configuration) {
    if file.path.ends_with(".netdev") {
        for (section, key, value) in ini::parse(&file.text) {
            if (section, key) == ("NetDev", "Name") {
                out.is_virtual(value, &file.path);
            }
        }
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    let mut card = None;
    let mut addresses = Vec::new();
    let mut dhcp = false;
    for (section, key, value) in ini::parse(&file.text) {
        match (section, key) {
            ("Match", "Name") => names.extend(value.split_whitespace().filter(|name| !name.starts_with('!'))),
            ("Match", "MACAddress" | "PermanentMACAddress") => card = mac(value),
            ("Match", "Driver") if names_old_driver(value.split_whitespace()) => {
                out.by_hardware.push(file.path.clone());
            }
            ("Match", "Path") if value.starts_with("pci-") => out.by_hardware.push(file.path.clone()),
            ("Network", "DHCP") => dhcp = matches!(value, "yes" | "true" | "both" | "ipv4" | "ipv6" | "1" | "on"),
            ("Network" | "Address", "Address") => addresses.push(value.to_owned()),
            _ => {}
        }
    }
    for name in names {
        if is_pattern(name) {
            out.patterns.push(name.to_owned());
            continue;
        }
        let info = out.interface(name, &file.path);
        info.dhcp |= dhcp;
        info.addresses.extend(addresses.iter().cloned());
        info.mac = info.mac.take().or_else(|| card.clone());
    }
}
