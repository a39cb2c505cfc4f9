//! `/etc/sysconfig/network/ifcfg-*` of SUSE, read by wicked and by the scripts before it (ifcfg(5), ifcfg-bonding(5), ifcfg-bridge(5),
//! ifcfg-vlan(5), ifcfg-team(5), ifcfg-macvlan(5)). The file's name is the interface's.

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::{Graph, Kind};
use super::ifcfg::{add_addresses, is_ours};
use super::shell::Variables;
use super::{files, mac};
use crate::textfile::TextFile;

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    for file in files::of_folder(guest, "/etc/sysconfig/network", is_ours, graph)? {
        graph.uses("wicked");
        parse(&file, graph);
    }
    Ok(())
}

fn parse(file: &TextFile, graph: &mut Graph) {
    let path = &file.path;
    let values = Variables::parse(&file.text);
    let name = path.rsplit("ifcfg-").next().unwrap_or_default();
    // SLES 9 and 10 find a card by its MAC or its place: `ifcfg-eth-id-00:0c:29:...`, `ifcfg-eth-bus-pci-0000:02:01.0`.
    if name.strip_prefix("eth-id-").and_then(mac).is_some() {
        graph.finds_any = true;
        return;
    }
    if name.starts_with("eth-bus-pci-") {
        graph.by_hardware.push(path.clone());
        return;
    }
    let uppers = [
        ("BONDING_SLAVE", Kind::Bond),
        ("BRIDGE_PORTS", Kind::Bridge),
        ("TEAM_PORT_DEVICE", Kind::Team),
        ("OVS_BRIDGE_PORT_DEVICE", Kind::Bridge),
        ("ETHERDEVICE", Kind::Vlan),
        ("MACVLAN_DEVICE", Kind::Macvlan),
        ("MACVTAP_DEVICE", Kind::Macvlan),
        ("TUNNEL_DEVICE", Kind::Tunnel),
    ];
    let switches = [
        ("BONDING_MASTER", Kind::Bond),
        ("BRIDGE", Kind::Bridge),
        ("TEAM", Kind::Team),
        ("VLAN", Kind::Vlan),
        ("DUMMY", Kind::Dummy),
        ("TUNNEL", Kind::Tunnel),
    ];
    for (key, kind) in switches {
        if values.get(key).is_some_and(|value| !value.eq_ignore_ascii_case("no")) {
            graph.device(name, kind, path);
        }
    }
    for (key, kind) in uppers {
        // `BONDING_SLAVE0`, `BONDING_SLAVE_0`: one port each; `BRIDGE_PORTS`: all of them.
        let ports = values
            .beginning(key)
            .filter(|(ending, _)| ending.trim_start_matches('_').bytes().all(|byte| byte.is_ascii_digit()));
        for port in ports.flat_map(|(_, value)| value.iter().flat_map(|text| text.split_whitespace())) {
            graph.device(name, kind, path);
            graph.stack(name, port, path);
        }
    }
    // A VLAN whose name is `eth0.7` or `vlan7` needs no key but ETHERDEVICE; the others have their interface's type.
    if let Some(word) = values.get("INTERFACETYPE").filter(|word| *word != "eth" && *word != "ethernet") {
        graph.device(name, Kind::of_word(word), path);
    }
    for key in values.unknown.iter().filter(|key| uppers.iter().any(|(own, _)| key.starts_with(own))) {
        graph.not_understood(path, &format!("{key} comes from a command, which was not run"));
    }
    let info = graph.interface(name, path);
    info.active |= !values.get("STARTMODE").is_some_and(|mode| matches!(mode, "off" | "manual" | "none"));
    info.dhcp |= values.get("BOOTPROTO").is_some_and(|kind| kind.starts_with("dhcp"));
    add_addresses(info, &values);
}
