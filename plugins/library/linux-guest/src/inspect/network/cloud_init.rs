//! cloud-init's network configuration, version 1 and 2, where it is kept in the guest (cloud-init documentation, "Network configuration").

use vmdk2kvm_plugin_api::{Guest, Result};

use super::graph::{Graph, Kind};
use super::netplan::Definitions;
use super::yaml::Yaml;
use super::{files, mac, with_prefix};

/// Where it looks without any data source of the hypervisor.
const SEEDS: [&str; 2] =
    ["/var/lib/cloud/seed/nocloud-net/network-config", "/var/lib/cloud/seed/nocloud/network-config"];
const OFF: &str = "/etc/cloud/cloud-init.disabled";

pub(super) fn read(guest: &dyn Guest, graph: &mut Graph) -> Result<()> {
    if guest.stat(OFF)?.is_some() {
        return Ok(());
    }
    let mut files = files::of_folder(guest, "/etc/cloud/cloud.cfg.d", |name| name.ends_with(".cfg"), graph)?;
    for path in ["/etc/cloud/cloud.cfg"].iter().chain(&SEEDS) {
        files.extend(files::read(guest, path, graph)?);
    }
    let mut of_system = None;
    for file in &files {
        // The templates of packages are long, and few speak of the network.
        if !file.text.lines().any(|line| line.trim_start().starts_with("network:") || line.starts_with("version:")) {
            continue;
        }
        match Yaml::parse(&file.text) {
            Ok(document) => {
                let network = document
                    .get("network")
                    .cloned()
                    .or_else(|| Some(document).filter(|_| SEEDS.contains(&file.path.as_str())));
                of_system = network.map(|network| (network, file.path.clone())).or(of_system);
            }
            Err(error) => graph.not_understood(&file.path, &format!("it is no YAML that cloud-init reads: {error}")),
        }
    }
    let Some((network, path)) = of_system else { return Ok(()) };
    match (network.text("version"), network.text("config")) {
        (_, Some("disabled")) => {}
        (Some("2"), _) => {
            graph.uses("cloud-init");
            let mut definitions = Definitions::default();
            definitions.add(&network, &path);
            definitions.finish(graph);
        }
        _ => {
            graph.uses("cloud-init");
            let items = network.get("config").unwrap_or(&network).items();
            items.iter().for_each(|item| add(item, &path, graph));
        }
    }
    Ok(())
}

/// An item of version 1.
fn add(item: &Yaml, path: &str, graph: &mut Graph) {
    let kind = match item.text("type").unwrap_or_default() {
        "physical" => None,
        "bond" => Some(Kind::Bond),
        "bridge" => Some(Kind::Bridge),
        "vlan" => Some(Kind::Vlan),
        "loopback" => Some(Kind::Loopback),
        "infiniband" => Some(Kind::Virtual),
        // Name servers, routes.
        _ => return,
    };
    let Some(name) = item.text("name") else { return };
    if let Some(kind) = kind {
        graph.device(name, kind, path);
    }
    for key in ["bond_interfaces", "bridge_interfaces", "vlan_link"] {
        for lower in item.get(key).into_iter().flat_map(Yaml::items).filter_map(Yaml::as_text) {
            graph.stack(name, lower, path);
        }
    }
    let subnets = item.get("subnets").map(Yaml::items).unwrap_or_default();
    let info = graph.interface(name, path);
    info.active |= !subnets.iter().any(|subnet| subnet.text("control").is_some_and(|word| word.starts_with("manual")));
    info.dhcp |= subnets.iter().any(|subnet| subnet.text("type").is_some_and(|kind| kind.starts_with("dhcp")));
    info.mac = info.mac.take().or_else(|| item.text("mac_address").and_then(mac).filter(|_| kind.is_none()));
    let address = |subnet: &Yaml| with_prefix(subnet.text("address")?, subnet.text("netmask"));
    info.addresses.extend(subnets.iter().filter_map(address));
}
