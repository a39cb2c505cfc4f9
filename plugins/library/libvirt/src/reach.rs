//! What would keep a defined domain from starting, asked before: libvirt itself says it at the start.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use vmdk2kvm_plugin_api::model::{CardNetwork, Finding, Machine, Severity};
use vmdk2kvm_plugin_api::text::escape;

use super::connection::Connection;
use super::devices::DEFAULT_NETWORK;

/// A finding for each network of the machine's cards that is not there, or not active.
pub fn networks(connection: &Connection, machine: &Machine) -> Vec<Finding> {
    let name = |network: &Option<CardNetwork>| match network {
        Some(CardNetwork::Network(name)) => Some(name.clone()),
        Some(CardNetwork::Bridge(_)) => None,
        _ => Some(DEFAULT_NETWORK.to_owned()),
    };
    let names: BTreeSet<String> = machine.cards.iter().filter_map(|card| name(&card.network)).collect();
    names.iter().filter_map(|name| network(connection, name)).collect()
}

fn network(connection: &Connection, name: &str) -> Option<Finding> {
    let shown = escape(name);
    let warn = |code, message| Finding::new(code, Severity::Warn, message);
    Some(match connection.network_is_active(name) {
        Ok(Some(true)) => return None,
        Ok(Some(false)) => {
            warn("libvirt-network-inactive", format!("the network {shown} is not active: the domain will not start"))
                .hint(format!("virsh net-start {shown}, and virsh net-autostart {shown} to keep it so"))
        }
        Ok(None) => warn("libvirt-network-missing", format!("there is no network {shown}: the domain will not start"))
            .hint("name another one: --network OLD=NEW"),
        Err(error) => warn(
            "libvirt-network-unknown",
            format!("whether the network {shown} is active could not be asked: {}", error.message),
        ),
    })
}

/// Whether a URI is that of this machine's own daemon.
pub fn is_local_system(uri: &str) -> bool {
    let path = uri.split('?').next().unwrap_or_default();
    path.split_once("://").is_some_and(|(_, rest)| rest == "/system")
}

/// The first folder above a file that is closed to a user, `None` for one that nothing is known of, who has no other rights than everybody.
pub fn closed_folder(file: &Path, user: Option<u32>) -> Option<&Path> {
    let is_closed = |folder: &&Path| {
        let found = folder.metadata();
        found.is_ok_and(|found| {
            let is_own = user == Some(found.uid());
            found.permissions().mode() & if is_own { 0o100 } else { 0o001 } == 0
        })
    };
    file.ancestors().skip(1).find(is_closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_user_cannot_enter_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        let owner = folder.path().metadata().unwrap().uid();
        let mode = |mode| std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        for (bits, user, closed) in [
            (0o700, None, true),
            (0o700, Some(owner), false),
            (0o700, Some(owner + 1), true),
            (0o711, None, false),
            (0o711, Some(owner + 1), false),
        ] {
            mode(bits);
            assert_eq!(closed_folder(&file, user), closed.then_some(folder.path()), "{bits:o} {user:?}");
        }
    }

    #[test]
    fn the_systems_daemon_is_told_from_others() {
        assert!(is_local_system("qemu:///system") && is_local_system("qemu+unix:///system?socket=/x"));
        for other in ["qemu:///session", "qemu:///embed?root=/x", "qemu+ssh://host/system"] {
            assert!(!is_local_system(other), "{other}");
        }
    }
}
