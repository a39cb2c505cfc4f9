//! Real configuration files of every stack, and the graph that they are.
//!
//! A graph is written so: `bond0=bond(ens192 ens224) off 00:50:56:aa:bb:01 dhcp 10.0.2.5/24; ens192; ~en* !ens3; any; ?1`, which is a bond over two
//! cards that does not come up by itself, a pattern of names, a card that is found whatever its name is, and one finding.

mod ifcfg;
mod ifupdown;
mod keyfile;
mod netplan;
mod networkd;
mod others;
mod suse;

use super::*;
use crate::fixture::MapGuest;

/// The graph of these files.
fn graph(files: &[(&str, &str)]) -> Graph {
    Network::read(&MapGuest::new(files)).unwrap().graph
}

/// The graph as text.
fn shown(graph: &Graph) -> String {
    let interface = |info: &vmdk2kvm_plugin_api::model::InterfaceInfo| {
        let mut text = info.name.clone();
        text.extend(info.kind.iter().map(|kind| format!("={kind}")));
        if !info.over.is_empty() {
            text.push_str(&format!("({})", info.over.join(" ")));
        }
        text.push_str(if info.inactive { " off" } else { "" });
        text.extend(info.mac.iter().map(|mac| format!(" {mac}")));
        text.push_str(if info.dhcp { " dhcp" } else { "" });
        text.extend(info.addresses.iter().map(|address| format!(" {address}")));
        text
    };
    let pattern = |own: &pattern::Pattern| {
        let none = own.none.iter().map(|name| format!("!{name}"));
        format!("~{}", own.any.iter().cloned().chain(none).collect::<Vec<_>>().join(" "))
    };
    let mut parts: Vec<String> = graph.info().interfaces.iter().map(interface).collect();
    parts.extend(graph.patterns.iter().map(pattern));
    parts.extend(graph.finds_any.then(|| "any".to_owned()));
    parts.extend((!graph.findings.is_empty()).then(|| format!("?{}", graph.findings.len())));
    parts.join("; ")
}

/// Each text at this path is this graph.
fn check(path: &str, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(shown(&graph(&[(path, text)])), *expected, "{path}:\n{text}");
    }
}

/// Each set of files is this graph.
fn check_files(table: &[(&[(&str, &str)], &str)]) {
    for (files, expected) in table {
        assert_eq!(shown(&graph(files)), *expected, "{files:?}");
    }
}

#[test]
fn stacks_are_those_with_configuration() {
    let found = graph(&[
        (
            "/etc/NetworkManager/system-connections/a.nmconnection",
            "[connection]\ntype=ethernet\ninterface-name=ens192\n",
        ),
        ("/etc/sysconfig/network-scripts/ifcfg-ens224", "DEVICE=\"ens224\"\n"),
        ("/etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO='static'\n"),
        ("/etc/network/interfaces", "auto lo\niface lo inet loopback\n"),
    ]);
    assert_eq!(found.info().stacks, ["networkmanager", "ifcfg", "wicked", "ifupdown"]);
    assert_eq!(found.cards().map(|card| card.name.as_str()).collect::<Vec<_>>(), ["ens192", "ens224", "eth0"]);
}

#[test]
fn netmasks() {
    assert_eq!(prefix_length("255.255.255.0"), Some(24));
    assert_eq!(prefix_length("255.0.255.0"), None);
    assert_eq!(with_prefix("fe80::1", None).as_deref(), Some("fe80::1/128"));
    assert_eq!(with_prefix("dhcp", None), None);
}
