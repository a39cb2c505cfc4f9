//! Configurations of real guests, and which card gets which name.

use vmdk2kvm_plugin_api::model::{Action, Content};

use super::*;
use crate::fixture::{self, MapGuest};

const SYSTEMD: [(&str, &str); 2] =
    [("/usr/lib/systemd/systemd-udevd", ""), ("/usr/lib/systemd/libsystemd-shared-252-1.el9.so", "")];
const ONE: (&str, &str) = ("/etc/network/interfaces", "iface ens192 inet static\n address 10.0.2.77/24\n");
const CARD: &str = "00:50:56:aa:bb:01";

/// Target and text of each change, and the codes of the findings.
fn plan(files: &[(&str, &str)], cards: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
    let mut context = fixture::context();
    context.vm.nics = cards.iter().map(|card| fixture::nic(card)).collect();
    let mut guest = MapGuest::new(files);
    let plan = Network.plan(&context, &guest).unwrap();
    let mut changes = Vec::new();
    for change in plan.changes {
        let Action::WriteFile { content: Content::Text(text), .. } = change.action else { panic!() };
        guest.0.insert(change.target.clone(), text.clone().into_bytes());
        changes.push((change.target, text));
    }
    assert!(Network.plan(&context, &guest).unwrap().changes.is_empty(), "planning again gives changes");
    (changes, plan.findings.into_iter().map(|finding| finding.code).collect())
}

#[test]
fn the_only_name_is_the_only_card() {
    let (changes, findings) = plan(&[&SYSTEMD[..], &[ONE]].concat(), &[CARD]);
    assert_eq!(
        changes,
        [(
            "/etc/systemd/network/10-vmdk2kvm-ens192.link".to_owned(),
            "# Written by vmdk2kvm: the card keeps the name that the configuration uses.\n[Match]\nMACAddress=00:50:56:aa:bb:01\n\n[Link]\nName=ens192\n".to_owned()
        )]
    );
    assert!(findings.is_empty());
}

#[test]
fn bridges_do_not_get_the_cards_name() {
    let file = ("/etc/network/interfaces", "iface br0 inet dhcp\n bridge_ports ens192\n");
    let (changes, _) = plan(&[&SYSTEMD[..], &[file]].concat(), &[CARD]);
    assert!(changes[0].1.contains("\nType=ether\n"), "{}", changes[0].1);
}

#[test]
fn without_systemd_by_rule() {
    let (changes, _) = plan(&[ONE], &[CARD]);
    assert_eq!(changes[0].0, RULES);
    assert!(changes[0].1.ends_with("ATTR{address}==\"00:50:56:aa:bb:01\", ATTR{type}==\"1\", NAME=\"ens192\"\n"));
}

#[test]
fn a_rule_by_mac_stays() {
    let rule =
        "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"00:50:56:aa:bb:01\", NAME=\"ens192\"\n";
    assert!(plan(&[&SYSTEMD[..], &[ONE, (RULES, rule)]].concat(), &[CARD]).0.is_empty());
}

#[test]
fn a_rule_of_the_old_hardware_is_freed() {
    let rule = "SUBSYSTEM==\"net\", DRIVERS==\"vmxnet3\", ATTR{address}==\"00:50:56:aa:bb:01\", NAME=\"ens192\"\n";
    let (changes, _) = plan(&[&SYSTEMD[..], &[ONE, (RULES, rule)]].concat(), &[CARD]);
    assert_eq!(
        changes,
        [(RULES.to_owned(), "SUBSYSTEM==\"net\", ATTR{address}==\"00:50:56:aa:bb:01\", NAME=\"ens192\"\n".to_owned())]
    );
    let link = ("/etc/systemd/network/10-lan.link", "[Match]\nPath=pci-0000:0b:00.0\n[Link]\nName=ens192\n");
    assert_eq!(plan(&[&SYSTEMD[..], &[ONE, link]].concat(), &[CARD]).0.len(), 1);
}

#[test]
fn several_cards() {
    let two = ("/etc/network/interfaces", "iface ens224 inet dhcp\niface ens192 inet dhcp\n");
    let cards = ["00:50:56:00:00:01", "00:50:56:00:00:02"];
    let (changes, findings) = plan(&[&SYSTEMD[..], &[two]].concat(), &cards);
    assert!(changes[0].0.ends_with("ens192.link") && changes[0].1.contains(cards[0]));
    assert!(changes[1].0.ends_with("ens224.link") && changes[1].1.contains(cards[1]));
    assert_eq!(findings, ["nic-assigned-by-order"]);
    // By the MAC that the configuration names.
    let named =
        ("/etc/systemd/network/a.network", "[Match]\nMACAddress=00:50:56:00:00:02\nName=ens224\n[Network]\nDHCP=yes\n");
    let (changes, findings) = plan(&[&SYSTEMD[..], &[named]].concat(), &cards);
    assert!(changes[0].1.contains(cards[1]));
    assert!(findings.is_empty());
}

#[test]
fn what_is_left_alone() {
    let kernel = ("/etc/network/interfaces", "iface eth0 inet dhcp\n");
    assert!(plan(&[&SYSTEMD[..], &[kernel]].concat(), &[CARD]).0.is_empty());
    let any = ("/etc/systemd/network/a.network", "[Match]\nName=en*\n[Network]\nDHCP=yes\n");
    assert!(plan(&[&SYSTEMD[..], &[any]].concat(), &[CARD]).0.is_empty());
    let (changes, findings) = plan(&[&SYSTEMD[..], &[ONE]].concat(), &[]);
    assert!(changes.is_empty());
    assert_eq!(findings, ["nic-name-unpinned"]);
    let evil = ("/etc/network/interfaces", "iface ../../x inet dhcp\n");
    assert!(plan(&[&SYSTEMD[..], &[evil]].concat(), &[CARD]).0.is_empty());
}
