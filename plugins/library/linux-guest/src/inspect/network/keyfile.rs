//! NetworkManager's keyfiles (nm-settings-keyfile(5)).

use super::udev::names_old_driver;
use super::{Configuration, ini, is_pattern, mac};
use crate::textfile::TextFile;

pub(super) fn parse(file: &TextFile, out: &mut Configuration) {
    let (mut names, mut kind, mut card, mut dhcp) = (Vec::new(), "", None, false);
    let mut addresses = Vec::new();
    for (section, key, value) in ini::parse(&file.text) {
        match (section, key) {
            ("connection", "interface-name") => names.push(value),
            // Patterns to choose from; `!` and `|`, `&` combine them.
            ("match", "interface-name") => {
                names.extend(list(value).filter(|name| !name.starts_with(['!', '|', '&', '\\'])));
            }
            ("match", "driver") if names_old_driver(list(value)) => out.by_hardware.push(file.path.clone()),
            ("match", "path") if list(value).any(|path| path.starts_with("pci-")) => {
                out.by_hardware.push(file.path.clone());
            }
            ("connection", "type") => kind = value,
            ("ethernet" | "802-3-ethernet", "mac-address") => card = mac(value),
            ("ipv4", "method") => dhcp = value == "auto",
            ("ipv4" | "ipv6", key) if key == "addresses" || is_address_key(key) => {
                // `address1=10.0.0.5/24,10.0.0.1`: the gateway stands behind the comma.
                addresses
                    .extend(value.split([',', ';']).take(1).filter(|value| value.contains('/')).map(str::to_owned));
            }
            _ => {}
        }
    }
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if is_pattern(name) {
            out.patterns.push(name.to_owned());
            continue;
        }
        if !matches!(kind, "" | "ethernet" | "802-3-ethernet") {
            out.is_virtual(name, &file.path);
        }
        let info = out.interface(name, &file.path);
        info.dhcp |= dhcp;
        info.addresses.extend(addresses.iter().cloned());
        info.mac = info.mac.take().or_else(|| card.clone());
    }
}

fn list(value: &str) -> impl Iterator<Item = &str> + Clone {
    value.split([';', ',']).map(str::trim).filter(|one| !one.is_empty())
}

fn is_address_key(key: &str) -> bool {
    key.strip_prefix("address").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}
