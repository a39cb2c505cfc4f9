//! systemd-networkd's `.network` and `.netdev` files (systemd.network(5)).

use super::{Configuration, ini, mac};
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
            ("Match", "Name") => {
                names.extend(value.split_whitespace().filter(|name| !name.contains(['*', '?', '[', '!'])))
            }
            ("Match", "MACAddress" | "PermanentMACAddress") => card = mac(value),
            ("Match", "Driver") if value.contains("vmxnet") => out.by_driver.push(file.path.clone()),
            ("Network", "DHCP") => dhcp = matches!(value, "yes" | "true" | "both" | "ipv4" | "ipv6" | "1" | "on"),
            ("Network" | "Address", "Address") => addresses.push(value.to_owned()),
            _ => {}
        }
    }
    for name in names {
        let info = out.interface(name, &file.path);
        info.dhcp |= dhcp;
        info.addresses.extend(addresses.iter().cloned());
        info.mac = info.mac.take().or_else(|| card.clone());
    }
}
