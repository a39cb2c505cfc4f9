//! netplan's YAML (netplan-yaml reference): read only, so comments and layout do not matter here.

use serde_norway::Value;

use super::udev::names_old_driver;
use super::{Configuration, is_pattern, mac};
use crate::textfile::TextFile;

pub(super) fn parse(file: &TextFile, out: &mut Configuration) {
    let Ok(document) = serde_norway::from_str::<Value>(&file.text) else { return };
    let Some(network) = document.get("network") else { return };
    for (id, card) in members(network, "ethernets") {
        let matching = card.get("match");
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let address = matching.and_then(|matching| text(matching.get("macaddress"))).and_then(|text| mac(&text));
        if matching.and_then(|matching| matching.get("driver")).is_some_and(has_old_driver) {
            out.by_hardware.push(file.path.clone());
        }
        // The key is a name of its own when there is a match.
        let matched = matching.and_then(|matching| text(matching.get("name")));
        let name = text(card.get("set-name")).or(matched).or_else(|| matching.is_none().then(|| id.clone()));
        let Some(name) = name else { continue };
        if is_pattern(&name) {
            out.patterns.push(name);
            continue;
        }
        let info = out.interface(&name, &file.path);
        info.mac = info.mac.take().or(address);
        add_addresses(card, &name, file, out);
    }
    for kind in ["bonds", "bridges", "vlans", "tunnels", "dummy-devices", "vrfs"] {
        for (name, device) in members(network, kind) {
            out.is_virtual(&name, &file.path);
            add_addresses(device, &name, file, out);
        }
    }
}

fn add_addresses(device: &Value, name: &str, file: &TextFile, out: &mut Configuration) {
    let info = out.interface(name, &file.path);
    info.dhcp |= ["dhcp4", "dhcp6"].iter().any(|key| device.get(*key).and_then(Value::as_bool) == Some(true));
    for address in device.get("addresses").and_then(Value::as_sequence).into_iter().flatten() {
        // An address with options is a mapping of one member.
        let text = address.as_str().or_else(|| address.as_mapping()?.keys().next()?.as_str());
        info.addresses.extend(text.map(str::to_owned));
    }
}

fn members<'a>(network: &'a Value, kind: &str) -> Vec<(String, &'a Value)> {
    let mapping = network.get(kind).and_then(Value::as_mapping);
    mapping.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value))).collect()
}

fn has_old_driver(value: &Value) -> bool {
    let list = value.as_sequence().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    names_old_driver(list.iter().filter_map(Value::as_str))
}
