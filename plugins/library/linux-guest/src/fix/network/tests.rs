//! Configurations of real guests, and which card gets which name.

use vmdk2kvm_plugin_api::model::{Action, Content};

mod graphs;
mod pairing;
mod places;
mod writers;

use super::*;
use crate::fixture::{self, MapGuest};

const SYSTEMD: [(&str, &str); 2] =
    [("/usr/lib/udev/rules.d/80-net-setup-link.rules", "x"), ("/usr/lib/systemd/libsystemd-shared-252-1.el9.so", "")];
const ONE: (&str, &str) = ("/etc/network/interfaces", "auto ens192\niface ens192 inet static\n address 10.0.2.77/24\n");
const CARD: &str = "00:50:56:aa:bb:01";
const RULES: &str = "/etc/udev/rules.d/70-persistent-net.rules";
/// An udev that reads rules alone.
const OLD_UDEV: (&str, &str) = ("/lib/udev/rules.d/75-persistent-net-generator.rules", "x");

/// Target and text of each change, and the codes of the findings.
fn plan(files: &[(&str, &str)], cards: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
    let mut context = fixture::context();
    context.vm.nics = cards.iter().map(|card| fixture::nic(card)).collect();
    let mut guest = MapGuest::new(files);
    let plan = NetworkNames.plan(&context, &guest).unwrap();
    let mut changes = Vec::new();
    for change in plan.changes {
        let Action::WriteFile { content: Content::Text(text), .. } = change.action else { panic!() };
        guest.0.insert(change.target.clone(), text.clone().into_bytes());
        changes.push((change.target, text));
    }
    assert!(NetworkNames.plan(&context, &guest).unwrap().changes.is_empty(), "planning again gives changes");
    let findings = Network::read(&MapGuest::new(files)).unwrap().graph.findings.into_iter().chain(plan.findings);
    (changes, findings.map(|finding| finding.code).collect())
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
    let (changes, _) = plan(&[OLD_UDEV, ONE], &[CARD]);
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
    let two = ("/etc/network/interfaces", "auto ens224 ens192\niface ens224 inet dhcp\niface ens192 inet dhcp\n");
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
    let kernel = ("/etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n");
    assert!(plan(&[&SYSTEMD[..], &[kernel]].concat(), &[CARD]).0.is_empty());
    let any = ("/etc/systemd/network/a.network", "[Match]\nName=en*\n[Network]\nDHCP=yes\n");
    assert!(plan(&[&SYSTEMD[..], &[any]].concat(), &[CARD]).0.is_empty());
    let (changes, findings) = plan(&[&SYSTEMD[..], &[ONE]].concat(), &[]);
    assert!(changes.is_empty());
    assert_eq!(findings, ["nic-name-unpinned"]);
    let evil = ("/etc/network/interfaces", "iface ../../x inet dhcp\n");
    let (changes, findings) = plan(&[&SYSTEMD[..], &[evil]].concat(), &[CARD]);
    assert!(changes.is_empty());
    assert_eq!(findings, ["nic-odd-name"]);
}

#[test]
fn where_links_are_not_read_a_rule_is_written() {
    // RHEL 7, an administrator's mask, Debian 7.
    for files in [
        &[("/usr/lib/udev/rules.d/80-net-name-slot.rules", "x"), ("/usr/lib/systemd/systemd-udevd", "")][..],
        &[("/usr/lib/udev/rules.d/80-net-setup-link.rules", "x"), ("/etc/udev/rules.d/80-net-setup-link.rules", "")],
        &[("/lib/udev/rules.d/75-persistent-net-generator.rules", "x")],
    ] {
        let ifcfg = ("/etc/sysconfig/network-scripts/ifcfg-ens192", "DEVICE=ens192\nBOOTPROTO=dhcp\n");
        let (changes, _) = plan(&[files, &[ifcfg]].concat(), &[CARD]);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].0, RULES, "{files:?}");
    }
}

#[test]
fn slots_in_vmwares_order() {
    let text = "iface ens161 inet dhcp\niface ens256 inet dhcp\niface ens192 inet dhcp\niface ens224 inet dhcp\n";
    let cards = ["00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:03", "00:50:56:00:00:04"];
    let (changes, _) = plan(&[&SYSTEMD[..], &[("/etc/network/interfaces", text)]].concat(), &cards);
    let order: Vec<&str> = changes.iter().map(|(path, _)| &path["/etc/systemd/network/10-vmdk2kvm-".len()..]).collect();
    assert_eq!(order, ["ens192.link", "ens224.link", "ens256.link", "ens161.link"]);
    assert!(changes[3].1.contains(cards[3]));
}

#[test]
fn the_only_card_without_a_mac_is_known_by_its_driver() {
    let mut context = fixture::context();
    context.vm.nics[0].mac = None;
    for (files, path, want) in [
        (
            &SYSTEMD[..],
            "/etc/systemd/network/10-vmdk2kvm-ens192.link",
            "[Match]\nDriver=virtio_net\n\n[Link]\nName=ens192\n",
        ),
        (&[OLD_UDEV], RULES, "ACTION==\"add\", DRIVERS==\"virtio_net\", ATTR{type}==\"1\", NAME=\"ens192\"\n"),
    ] {
        let mut guest = MapGuest::new(&[files, &[ONE]].concat());
        let planned = NetworkNames.plan(&context, &guest).unwrap();
        assert!(planned.findings.is_empty(), "{:?}", planned.findings);
        let Action::WriteFile { content: Content::Text(text), .. } = &planned.changes[0].action else { panic!() };
        assert_eq!(planned.changes[0].target, path);
        assert!(text.ends_with(want), "{text}");
        guest.0.insert(path.to_owned(), text.clone().into_bytes());
        assert!(NetworkNames.plan(&context, &guest).unwrap().changes.is_empty());
    }
}

#[test]
fn patterns_of_vmwares_names() {
    for (pattern, pinned) in [("ens*", 1), ("en*", 0), ("e*", 0), ("eth*", 0)] {
        let text = format!("[Match]\nName={pattern}\n[Network]\nDHCP=yes\n");
        let file = ("/etc/systemd/network/a.network", text.as_str());
        let (changes, findings) = plan(&[&SYSTEMD[..], &[file]].concat(), &[CARD]);
        assert_eq!(changes.len(), pinned, "{pattern}");
        assert!(findings.is_empty());
        assert!(changes.iter().all(|(path, _)| path.ends_with("-ens192.link")));
    }
}

#[test]
fn a_pattern_pins_the_only_card_without_a_mac_once() {
    let file = ("/etc/systemd/network/a.network", "[Match]\nName=ens*\n[Network]\nDHCP=yes\n");
    let mut context = fixture::context();
    context.vm.nics[0].mac = None;
    let mut guest = MapGuest::new(&[&SYSTEMD[..], &[file]].concat());
    for changes in [1, 0] {
        let planned = NetworkNames.plan(&context, &guest).unwrap().changes;
        assert_eq!(planned.len(), changes);
        for change in planned {
            let Action::WriteFile { content: Content::Text(text), .. } = change.action else { panic!() };
            guest.0.insert(change.target, text.into_bytes());
        }
    }
}

#[test]
fn names_by_the_kernel_are_a_finding_when_they_may_be_swapped() {
    let text = "auto eth0 eth1\niface eth0 inet dhcp\niface eth1 inet dhcp\n";
    let (changes, findings) = plan(&[("/etc/network/interfaces", text)], &["00:50:56:00:00:01", "00:50:56:00:00:02"]);
    assert!(changes.is_empty());
    assert_eq!(findings, ["nic-names-by-kernel"]);
}

#[test]
fn what_asks_for_the_old_hardware() {
    for (path, old, new) in [
        (
            "/etc/systemd/network/a.network",
            "[Match]\r\nDriver=vmxnet3\r\n[Network]\r\nDHCP=yes\r\n",
            "[Match]\r\nDriver=vmxnet3 virtio_net\r\n[Network]\r\nDHCP=yes\r\n",
        ),
        (
            "/etc/systemd/network/a.network",
            "[Match]\nPath=pci-0000:0b:00.0\n[Network]\nDHCP=yes\n",
            "[Match]\nMACAddress=00:50:56:aa:bb:01\n[Network]\nDHCP=yes\n",
        ),
        (
            "/etc/netplan/a.yaml",
            "network:\n  ethernets:\n    all: # every card\n      match: {name: '*'}\n    lan:\n      match:\n        driver: vmxnet3 # old\n      dhcp4: true\n",
            "network:\n  ethernets:\n    all: # every card\n      match: {name: '*'}\n    lan:\n      match:\n        driver: virtio_net # old\n      dhcp4: true\n",
        ),
        (
            "/etc/NetworkManager/system-connections/a.nmconnection",
            "[connection]\ntype=ethernet\n[match]\ndriver=vmxnet3;\n",
            "[connection]\ntype=ethernet\n[match]\ndriver=vmxnet3;virtio_net;\n",
        ),
    ] {
        let (changes, findings) = plan(&[&SYSTEMD[..], &[(path, old)]].concat(), &[CARD]);
        assert_eq!(changes, [(path.to_owned(), new.to_owned())]);
        assert!(findings.is_empty());
    }
    // What cannot be rewritten is said.
    let listed = ("/etc/netplan/a.yaml", "network:\n  ethernets:\n    lan:\n      match: {driver: [vmxnet3]}\n");
    assert_eq!(plan(&[listed], &[CARD]).1, ["network-matches-hardware"]);
    let slot = ("/etc/systemd/network/a.network", "[Match]\nPath=pci-0000:0b:00.0\n");
    assert_eq!(plan(&[slot], &["00:50:56:00:00:01", "00:50:56:00:00:02"]).1, ["network-matches-hardware"]);
}

#[test]
fn every_stack_keeps_its_names() {
    for (path, text) in [
        ("/etc/sysconfig/network-scripts/ifcfg-ens192", "TYPE=Ethernet\nNAME=ens192\nDEVICE=ens192\nONBOOT=yes\n"),
        ("/etc/sysconfig/network/ifcfg-ens192", "BOOTPROTO='static'\nIPADDR='10.0.0.5/24'\n"),
        (
            "/etc/wicked/ifconfig/lan.xml",
            "<!-- <interface><name>x</name> -->\n<interface><name>ens192</name></interface>",
        ),
        (
            "/etc/NetworkManager/system-connections/ens192.nmconnection",
            "[connection]\ntype=ethernet\ninterface-name=ens192\n[ipv4]\nmethod=auto\n",
        ),
        (
            "/etc/NetworkManager/system-connections/m.nmconnection",
            "[connection]\ntype=ethernet\n[match]\ninterface-name=ens192;!ens9;\n",
        ),
        ("/etc/netplan/50-cloud-init.yaml", "network:\n  version: 2\n  ethernets:\n    ens192: {dhcp4: true}\n"),
        ("/etc/systemd/network/10.network", "[Match]\nName=ens192 !ens9\n[Network]\nDHCP=yes\n"),
        ("/etc/network/interfaces", "auto ens192\niface ens192 inet dhcp\n"),
    ] {
        let (changes, findings) = plan(&[&SYSTEMD[..], &[(path, text)]].concat(), &[CARD]);
        assert_eq!(changes.len(), 1, "{path}");
        assert!(
            changes[0].1.ends_with("MACAddress=00:50:56:aa:bb:01\n\n[Link]\nName=ens192\n"),
            "{path}: {}",
            changes[0].1
        );
        assert!(findings.is_empty(), "{path}: {findings:?}");
    }
    // What is bound to the MAC alone needs no name.
    for (path, text) in [
        ("/etc/sysconfig/network-scripts/ifcfg-Wired_1", "HWADDR=00:50:56:AA:BB:01\nBOOTPROTO=dhcp\n"),
        (
            "/etc/netplan/a.yaml",
            "network:\n  ethernets:\n    lan:\n      match: {macaddress: '00:50:56:aa:bb:01'}\n      dhcp4: true\n",
        ),
        (
            "/etc/NetworkManager/system-connections/a.nmconnection",
            "[connection]\ntype=ethernet\n[ethernet]\nmac-address=00:50:56:AA:BB:01\n",
        ),
    ] {
        let (changes, findings) = plan(&[&SYSTEMD[..], &[(path, text)]].concat(), &[CARD]);
        assert!(changes.is_empty() && findings.is_empty(), "{path}");
    }
}

#[test]
fn a_name_of_a_slot_goes_to_the_card_that_was_in_it() {
    let file = ("/etc/network/interfaces", "auto ens192 ens224\niface ens192 inet dhcp\niface ens224 inet dhcp\n");
    let guest = MapGuest::new(&[&SYSTEMD[..], &[file]].concat());
    let mut context = fixture::context();
    context.vm.nics = [("00:50:56:aa:bb:01", 224), ("00:50:56:aa:bb:02", 192)]
        .map(|(mac, slot)| fixture::nic(mac).with(|nic| nic.slot = Some(slot)))
        .to_vec();
    let plan = NetworkNames.plan(&context, &guest).unwrap();
    assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    let pins = plan.changes.iter().map(|change| change.summary.as_str()).collect::<Vec<_>>();
    assert_eq!(pins, ["ens192 is the card 00:50:56:aa:bb:02", "ens224 is the card 00:50:56:aa:bb:01"]);
}
