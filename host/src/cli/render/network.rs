//! The network of a guest as a table: each interface with what it is made over.

use vmdk2kvm_plugin_api::model::{InterfaceInfo, NetworkInfo};

use super::table::Table;

/// A row for each interface that the guest's configuration names.
pub(super) fn interfaces(network: &NetworkInfo) -> Table {
    let mut table = Table::new(&["INTERFACE", "MAC", "ADDRESS"]);
    for interface in &network.interfaces {
        let mut addresses = interface.addresses.clone();
        if interface.dhcp {
            addresses.push("dhcp".to_owned());
        }
        table.row([name(interface), interface.mac.clone().unwrap_or_default(), addresses.join(" ")]);
    }
    table
}

/// `bond0 (bond over ens192, ens224)`.
fn name(interface: &InterfaceInfo) -> String {
    let over = if interface.over.is_empty() { String::new() } else { format!("over {}", interface.over.join(", ")) };
    let off = if interface.inactive { "off" } else { "" };
    let what = format!("{} {over}", interface.kind.as_deref().unwrap_or_default());
    let notes: Vec<&str> = [what.trim(), off].into_iter().filter(|note| !note.is_empty()).collect();
    if notes.is_empty() { interface.name.clone() } else { format!("{} ({})", interface.name, notes.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_says_what_it_is_made_over() {
        let network: NetworkInfo = serde_json::from_value(serde_json::json!({"interfaces": [
            {"name": "bond0", "kind": "bond", "over": ["ens192", "ens224"], "addresses": ["10.0.2.5/24"], "dhcp": true},
            {"name": "ens192", "mac": "00:50:56:aa:bb:01"},
            {"name": "ens33", "inactive": true},
            {"name": "br0", "kind": "bridge", "inactive": true}
        ]}))
        .unwrap();
        let expected = "\
INTERFACE                         MAC                ADDRESS
bond0 (bond over ens192, ens224)  -                  10.0.2.5/24 dhcp
ens192                            00:50:56:aa:bb:01  -
ens33 (off)                       -                  -
br0 (bridge, off)                 -                  -
";
        assert_eq!(interfaces(&network).render(""), expected);
    }
}
