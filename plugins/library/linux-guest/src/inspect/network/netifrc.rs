//! netifrc's `/etc/conf.d/net` (net.example): shell variables with an interface's name in theirs. An interface comes up by the link
//! `net.NAME` in a runlevel.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::{Graph, Kind};
use super::shell::Variables;
use super::{files, with_prefix};

const FILE: &str = "/etc/conf.d/net";
const RUNLEVELS: &str = "/etc/runlevels";

/// Variables that name what an interface is made over.
const PORTS: [(&str, Kind); 4] =
    [("bridge_", Kind::Bridge), ("slaves_", Kind::Bond), ("link_", Kind::Vlan), ("team_", Kind::Team)];

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    let mut started = BTreeSet::new();
    for level in guest.list(RUNLEVELS)?.into_iter().flatten() {
        let services = guest.list(&format!("{RUNLEVELS}/{}", level.name))?.into_iter().flatten();
        started.extend(services.filter_map(|service| service.name.strip_prefix("net.").map(str::to_owned)));
    }
    let Some(file) = files::read(guest, FILE, graph)? else { return Ok(()) };
    let values = Variables::parse(&file.text);
    for name in &values.unknown {
        graph.not_understood(FILE, &format!("{name} comes from a command, which was not run"));
    }
    if values.beginning("").next().is_some() || started.iter().any(|name| name != "lo") {
        graph.uses("netifrc");
    }
    for name in started.iter().filter(|name| *name != "lo") {
        graph.interface(name, FILE).active = true;
    }
    // In a variable's name an underscore stands for what it cannot hold: the runlevel, or a VLAN's card, has the true name.
    let real = |name: &str| {
        let same = |own: &&String| own.replace(['.', '-'], "_") == name;
        started.iter().find(same).cloned().unwrap_or_else(|| name.to_owned())
    };
    let mut vlans = BTreeSet::new();
    for (card, ids) in values.beginning("vlans_") {
        let card = real(card);
        for id in ids.iter().flat_map(|ids| ids.split_whitespace()) {
            let of_card = format!("{}_vlan{id}_name", card.replace(['.', '-'], "_"));
            let named = values.get(&of_card).or_else(|| values.get(&format!("vlan{id}_name"))).map(str::to_owned);
            let name = named.unwrap_or_else(|| format!("{card}.{id}"));
            let is_up = graph.interface(&card, FILE).active;
            let vlan = graph.device(&name, Kind::Vlan, FILE);
            // They come up with their card.
            vlan.active |= is_up;
            graph.stack(&name, &card, FILE);
            vlans.insert(name);
        }
    }
    for (prefix, kind) in PORTS {
        for (upper, ports) in values.beginning(prefix) {
            let is_setting = prefix == "bridge_" && ports.iter().any(|text| text.contains('='));
            // `bridge_forward_delay_br0`, `bridge_add_ens192` and their kin set something of an interface.
            let of_option = ["add_", "forward_delay_", "hello_time_", "stp_state_", "max_age_", "ageing_time_"];
            if is_setting || of_option.iter().any(|option| upper.starts_with(option)) {
                continue;
            }
            let upper = real(upper);
            graph.device(&upper, kind, FILE);
            for port in ports.iter().flat_map(|ports| ports.split_whitespace()) {
                graph.stack(&upper, port, FILE);
            }
        }
    }
    for (name, lines) in values.beginning("config_") {
        let of_vlan = vlans.iter().find(|own| own.replace(['.', '-'], "_") == name).cloned();
        let info = graph.interface(&of_vlan.unwrap_or_else(|| real(name)), FILE);
        for word in lines.iter().flat_map(|line| line.split_whitespace()) {
            info.dhcp |= word == "dhcp";
            info.addresses.extend(with_prefix(word, None).filter(|_| word.contains('/')));
        }
    }
    Ok(())
}
