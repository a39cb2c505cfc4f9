//! wicked's own XML (wicked-config(5)), below the `ifcfg` files that it reads as well: only the names of interfaces count here.

use super::Configuration;
use crate::textfile::TextFile;

pub(super) fn parse(file: &TextFile, out: &mut Configuration) {
    let text = strip_comments(&file.text);
    for interface in text.split("<interface").skip(1) {
        let interface = interface.split("</interface>").next().unwrap_or_default();
        // A name in another namespace (`namespace="ethernet"`) is a MAC, which stays.
        let name = interface.split_once("<name>").and_then(|(_, rest)| rest.split_once("</name>"));
        let Some(name) = name.map(|(name, _)| name.trim()).filter(|name| !name.is_empty()) else { continue };
        let is_virtual = ["<bond>", "<bridge>", "<vlan>", "<macvlan>", "<dummy>", "<tun>", "<tap>", "<team>"];
        if is_virtual.iter().any(|tag| interface.contains(tag)) {
            out.is_virtual(name, &file.path);
        }
        let dhcp = interface.contains("<ipv4:dhcp>") || interface.contains("<ipv6:dhcp>");
        out.interface(name, &file.path).dhcp |= dhcp;
    }
}

fn strip_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = behind.split_once("-->").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}
