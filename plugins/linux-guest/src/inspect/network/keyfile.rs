//! NetworkManager's keyfiles (nm-settings-keyfile(5)).

use super::{Configuration, ini, mac};
use crate::textfile::TextFile;

pub(super) fn parse(file: &TextFile, out: &mut Configuration) {
    let (mut name, mut kind, mut card, mut dhcp) = (None, "", None, false);
    let mut addresses = Vec::new();
    for (section, key, value) in ini::parse(&file.text) {
        match (section, key) {
            ("connection", "interface-name") => name = Some(value),
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
    let Some(name) = name.filter(|name| !name.is_empty()) else { return };
    if !matches!(kind, "" | "ethernet" | "802-3-ethernet") {
        out.is_virtual(name, &file.path);
    }
    let info = out.interface(name, &file.path);
    info.dhcp |= dhcp;
    info.addresses.extend(addresses);
    info.mac = info.mac.take().or(card);
}

fn is_address_key(key: &str) -> bool {
    key.strip_prefix("address").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}
