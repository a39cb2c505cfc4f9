//! `/etc/network/interfaces` (interfaces(5)).

use super::{Configuration, mac, with_prefix};
use crate::textfile::TextFile;

#[derive(Default)]
struct Stanza {
    name: String,
    method: String,
    address: Option<String>,
    netmask: Option<String>,
}

pub(super) fn parse(file: &TextFile, out: &mut Configuration) {
    let mut stanza = Stanza::default();
    for line in file.text.replace("\\\n", " ").lines() {
        let mut words = line.split_whitespace();
        let Some(key) = words.next() else { continue };
        let rest: Vec<&str> = words.collect();
        let value = rest.first().copied().unwrap_or_default();
        match key {
            "iface" => {
                finish(std::mem::take(&mut stanza), file, out);
                // `eth0:1` is a further address of eth0.
                stanza.name = value.split(':').next().unwrap_or_default().to_owned();
                stanza.method = rest.get(2).copied().unwrap_or_default().to_owned();
            }
            "auto" | "mapping" | "source" | "source-directory" | "no-auto-down" | "no-scripts" => {
                finish(std::mem::take(&mut stanza), file, out);
            }
            _ if key.starts_with("allow-") => finish(std::mem::take(&mut stanza), file, out),
            "address" => stanza.address = Some(value.to_owned()),
            "netmask" => stanza.netmask = Some(value.to_owned()),
            "hwaddress" => {
                // `hwaddress ether MAC`, or the MAC alone; it sets the address and so says which card is meant.
                let address = rest.last().and_then(|value| mac(value));
                if let (Some(address), false) = (address, stanza.name.is_empty()) {
                    out.interface(&stanza.name, &file.path).mac = Some(address);
                }
            }
            "bridge_ports" | "bridge-ports" | "bond-slaves" | "bond_slaves" | "slaves" => {
                out.is_virtual(&stanza.name, &file.path);
                for port in rest.iter().filter(|port| !matches!(**port, "none" | "all" | "regex")) {
                    out.interface(port, &file.path);
                }
            }
            "vlan-raw-device" | "vlan_raw_device" => {
                out.is_virtual(&stanza.name, &file.path);
                out.interface(value, &file.path);
            }
            _ => {}
        }
    }
    finish(stanza, file, out);
}

fn finish(stanza: Stanza, file: &TextFile, out: &mut Configuration) {
    if stanza.name.is_empty() || stanza.name == "lo" {
        return;
    }
    // `eth0.7` needs its card.
    if let Some((card, _)) = stanza.name.split_once('.') {
        out.interface(card, &file.path);
    }
    let info = out.interface(&stanza.name, &file.path);
    info.dhcp |= stanza.method == "dhcp";
    if stanza.method == "static" {
        let address = stanza.address.and_then(|address| with_prefix(&address, stanza.netmask.as_deref()));
        info.addresses.extend(address);
    }
}
