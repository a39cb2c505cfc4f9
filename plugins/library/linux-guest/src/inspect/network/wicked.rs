//! wicked's own XML (wicked-config(5)), below the `ifcfg` files that it reads as well.

use roxmltree::{Document, Node, ParsingOptions};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::files;
use super::graph::{Graph, Kind};

/// The most elements of a file.
const LARGEST: u32 = 20_000;

/// Elements of an interface that is no card.
const KINDS: [&str; 15] = [
    "bond",
    "bridge",
    "ovs-bridge",
    "team",
    "vlan",
    "macvlan",
    "macvtap",
    "ipvlan",
    "dummy",
    "tun",
    "tap",
    "gre",
    "ipip",
    "sit",
    "vxlan",
];

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    for file in files::of_folder(guest, "/etc/wicked/ifconfig", |name| name.ends_with(".xml"), graph)? {
        graph.uses("wicked");
        // A file may have several roots; a declaration may only stand before all else.
        let body = file.text.trim_start_matches('\u{feff}').trim_start();
        let body = body.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(body, |(_, body)| body);
        // Prefixes of names (`ipv4:dhcp`) are declared nowhere.
        let text = format!("<interfaces>{}</interfaces>", without_prefixes(body));
        let options = ParsingOptions { nodes_limit: LARGEST, ..ParsingOptions::default() };
        match Document::parse_with_options(&text, options) {
            Ok(document) => {
                for interface in document.descendants().filter(|node| node.has_tag_name("interface")) {
                    add(interface, &file.path, graph);
                }
            }
            Err(error) => graph.not_understood(&file.path, &format!("it is no XML: {error}")),
        }
    }
    Ok(())
}

/// The text with `ipv4:dhcp` as `ipv4-dhcp` in its tags.
fn without_prefixes(text: &str) -> String {
    let (mut out, mut in_name) = (String::with_capacity(text.len()), false);
    for letter in text.chars() {
        in_name =
            letter == '<' || (in_name && (letter.is_ascii_alphanumeric() || matches!(letter, '/' | ':' | '-' | '_')));
        out.push(if in_name && letter == ':' { '-' } else { letter });
    }
    out
}

fn add(interface: Node<'_, '_>, path: &str, graph: &mut Graph) {
    let below =
        |name: &str| interface.children().filter(move |node| node.tag_name().name() == name).collect::<Vec<_>>();
    let text = |node: &Node<'_, '_>| node.text().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    // A name in another namespace (`namespace="ethernet"`) is a MAC, which stays.
    let Some(name) = below("name").iter().find(|node| node.attribute("namespace").is_none()).and_then(text) else {
        graph.finds_any = true;
        return;
    };
    for kind in KINDS {
        for node in below(kind) {
            graph.device(&name, Kind::of_word(kind), path);
            // `<port><device>` of a bridge, `<slave><device>` of a bond, `<device>` of a VLAN.
            for lower in node.descendants().filter(|node| node.has_tag_name("device")).filter_map(|node| text(&node)) {
                graph.stack(&name, &lower, path);
            }
        }
    }
    let mode = below("control")
        .iter()
        .flat_map(Node::children)
        .find(|node| node.has_tag_name("mode"))
        .and_then(|node| text(&node));
    let addresses = interface.descendants().filter(|node| node.has_tag_name("local")).filter_map(|node| text(&node));
    let info = graph.interface(&name, path);
    info.active |= !mode.is_some_and(|mode| matches!(mode.as_str(), "off" | "manual"));
    info.dhcp |= ["ipv4-dhcp", "ipv6-dhcp"].iter().any(|kind| !below(kind).is_empty());
    info.addresses.extend(addresses);
}
