//! Which card gets which name, by the slots that the source states.

use super::*;

const LINK_RULE: (&str, &str) = SYSTEMD[0];
const OFF: (&str, &str) = ("/boot/grub/grub.cfg", "linux /vmlinuz root=UUID=x ro net.ifnames=0 biosdevname=0\n");

/// `NAME=CARD` of each pin, and the codes of the findings. Cards are `(MAC's end, slot)`; slot 0: not known.
fn pinned(files: &[(&str, &str)], cards: &[(u32, u32)]) -> (String, Vec<String>) {
    let mut context = fixture::context();
    let card = |(end, slot): &(u32, u32)| {
        fixture::nic(&format!("00:50:56:00:00:{end:02}")).with(|nic| nic.slot = Some(*slot).filter(|slot| *slot > 0))
    };
    context.vm.nics = cards.iter().map(card).collect();
    let guest = MapGuest::new(&[&SYSTEMD[..], files].concat());
    let plan = NetworkNames.plan(&context, &guest).unwrap();
    let pin = |change: &vmdk2kvm_plugin_api::model::Change| {
        let Action::WriteFile { content: Content::Text(text), .. } = &change.action else { panic!() };
        let value =
            |key: &str| text.lines().filter_map(move |line| line.strip_prefix(key)).collect::<Vec<_>>().join("+");
        let names = [value("Name="), value("AlternativeName=")].concat();
        format!("{names}={}", &value("MACAddress=")[15..])
    };
    let pins: Vec<String> = plan.changes.iter().map(pin).collect();
    (pins.join(" "), plan.findings.into_iter().map(|finding| finding.code).collect())
}

fn interfaces(names: &str) -> String {
    let stanza = |name: &str| format!("auto {name}\niface {name} inet dhcp\n");
    names.split(' ').map(stanza).collect()
}

#[test]
fn names_go_to_the_cards_that_bore_them() {
    for (names, cards, pins, findings) in [
        ("ens192", &[(1, 192)][..], "ens192=01", &[][..]),
        ("ens192 ens224", &[(1, 224), (2, 192)], "ens192=02 ens224=01", &[]),
        ("ens224", &[(1, 192), (2, 224)], "ens224=02", &[]),
        // The fifth card.
        ("ens161", &[(1, 160), (2, 1184)], "ens161=02", &[]),
        // By other ways of udev.
        ("enp11s0", &[(1, 160), (2, 192)], "enp11s0=02", &[]),
        ("eno16777984", &[(1, 192), (2, 160)], "eno16777984=02", &[]),
        ("eno16777736 eno33554984", &[(1, 33), (2, 0)], "eno16777736=01 eno33554984=02", &[]),
        ("enp0s3", &[(1, 3)], "enp0s3=01", &[]),
        ("ens192 enp11s0", &[(1, 192)], "ens192=01", &[]),
        ("enx005056000001", &[(1, 192)], "", &[]),
        // A name that no card had is told, and goes to none.
        ("ens33", &[(1, 192)], "", &["nic-name-unpinned"]),
        ("ens33 ens192", &[(1, 192)], "ens192=01", &["nic-name-unpinned"]),
        ("lan", &[(1, 192)], "", &["nic-name-unpinned"]),
        // What is not known of one card is left for it.
        ("ens160 ens192", &[(1, 0), (2, 160)], "ens160=02 ens192=01", &[]),
        ("ens160 ens192", &[(1, 0), (2, 0)], "ens160=01 ens192=02", &["nic-assigned-by-order"]),
        ("ens192", &[(1, 0), (2, 0)], "ens192=01", &["nic-assigned-by-order"]),
        // The kernel's names where udev gives others.
        ("eth0", &[(1, 192)], "", &["nic-name-unpinned"]),
        ("eth0", &[(1, 0)], "", &[]),
        // A tunnel goes over a card that something else has to configure.
        ("wg0", &[(1, 192)], "ens192=01", &["network-stack-unknown"]),
    ] {
        let (found, codes) = pinned(&[("/etc/network/interfaces", &interfaces(names))], cards);
        let found = found.replace("ens192+enp11s0", "ens192").replace("ens192enp11s0", "ens192");
        assert_eq!(
            (found.as_str(), codes.iter().map(String::as_str).collect::<Vec<_>>()),
            (pins, findings.to_vec()),
            "{names} {cards:?}"
        );
    }
}

#[test]
fn a_further_name_of_udev_stays_beside_the_first() {
    let (pins, _) = pinned(&[("/etc/network/interfaces", &interfaces("ens192 enp11s0"))], &[(1, 192)]);
    assert_eq!(pins, "ens192enp11s0=01");
}

#[test]
fn kernel_names_stay() {
    for (names, cards, findings) in [
        ("eth0", &[(1, 192)][..], &[][..]),
        ("eth0 eth1", &[(1, 192), (2, 224)], &[]),
        ("eth0 eth1", &[(1, 224), (2, 192)], &["nic-names-by-kernel"]),
        // The fifth card is the second on the bus.
        ("eth0 eth1", &[(1, 160), (2, 192), (3, 1184)], &["nic-names-by-kernel"]),
        ("eth0", &[(1, 160), (2, 192), (3, 1184)], &[]),
        ("eth0 eth1", &[(1, 0), (2, 0)], &["nic-names-by-kernel"]),
        ("eth1", &[(1, 192)], &["nic-name-unpinned"]),
        // Left from before net.ifnames=0.
        ("eth0 ens192", &[(1, 192)], &["nic-name-unpinned"]),
        ("eth0", &[], &["nic-name-unpinned"]),
    ] {
        let (pins, codes) = pinned(&[("/etc/network/interfaces", &interfaces(names)), OFF], cards);
        assert_eq!(
            (pins.as_str(), codes.iter().map(String::as_str).collect::<Vec<_>>()),
            ("", findings.to_vec()),
            "{names} {cards:?}"
        );
    }
    // A range of addresses beside eth0 is no card.
    let range = [
        ("/etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nONBOOT=yes\nIPADDR=10.0.2.5\n"),
        ("/etc/sysconfig/network-scripts/ifcfg-eth0-range0", "IPADDR_START=10.0.2.20\nIPADDR_END=10.0.2.29\n"),
        OFF,
    ];
    assert_eq!(pinned(&range, &[(1, 192)]), (String::new(), vec![]));
}

#[test]
fn what_is_off_comes_behind_what_is_on() {
    let off = ("/etc/sysconfig/network-scripts/ifcfg-ens33", "DEVICE=ens33\nONBOOT=no\n");
    let on = ("/etc/sysconfig/network-scripts/ifcfg-ens192", "DEVICE=ens192\nONBOOT=yes\n");
    for (files, cards, pins) in [
        (&[off, on][..], &[(1, 192)][..], "ens192=01"),
        (&[off, on], &[(1, 0)], "ens192=01"),
        (&[off], &[(1, 33)], "ens33=01"),
        (&[off], &[(1, 0)], "ens33=01"),
        (&[off], &[(1, 192)], ""),
        (&[off, on], &[(1, 33), (2, 192)], "ens33=01 ens192=02"),
    ] {
        assert_eq!(pinned(files, cards), (pins.to_owned(), vec![]), "{files:?} {cards:?}");
    }
}

#[test]
fn hints_of_files() {
    let profile = "[connection]\ntype=ethernet\ninterface-name=lan\n[ethernet]\nmac-address=00:50:56:00:00:02\n";
    let lan = ("/etc/network/interfaces", "auto lan\niface lan inet dhcp\n");
    let path = ("/etc/systemd/network/10-lan.link", "[Match]\nPath=pci-0000:0b:00.0\n[Link]\nName=lan\n");
    let template = ("/etc/sysconfig/network-scripts/ifcfg-ens32", "DEVICE=ens32\nHWADDR=00:0C:29:99:99:99\n");
    for (files, cards, pins, findings) in [
        // A MAC says more than a slot.
        (&[("/etc/NetworkManager/system-connections/a", profile)][..], &[(1, 192), (2, 224)][..], "lan=02", 0),
        // The old machine's udev named it by its address.
        (&[lan, path], &[(1, 160), (2, 192)], "lan=02", 0),
        (
            &[
                lan,
                (
                    "/etc/systemd/network/10-lan.link",
                    "[Match]\nMACAddress=00:50:56:00:00:02\nDriver=vmxnet3\n[Link]\nName=lan\n",
                ),
            ],
            &[(1, 160), (2, 192)],
            "lan=02",
            0,
        ),
        (
            &[lan, ("/etc/systemd/network/10-lan.link", "[Match]\nDriver=vmxnet3\n[Link]\nName=lan\n")],
            &[(1, 192)],
            "lan=01",
            0,
        ),
        // It is found by either of two MACs, and keeps its name.
        (
            &[
                lan,
                (
                    "/etc/systemd/network/10-lan.link",
                    "[Match]\nMACAddress=00:50:56:00:00:09 00:50:56:00:00:02\n[Link]\nName=lan\n",
                ),
            ],
            &[(1, 160), (2, 192)],
            "",
            0,
        ),
        // A MAC that is given to the card may be the card's.
        (
            &[("/etc/network/interfaces", "auto lan\niface lan inet dhcp\n hwaddress 00:50:56:00:00:02\n")],
            &[(1, 0), (2, 0)],
            "lan=02",
            0,
        ),
        (
            &[("/etc/network/interfaces", "auto lan\niface lan inet dhcp\n hwaddress 02:00:00:00:00:02\n")],
            &[(1, 0)],
            "lan=01",
            0,
        ),
        // initscripts keep the name themselves.
        (
            &[
                ("/etc/sysconfig/network-scripts/ifcfg-lan", "DEVICE=lan\nHWADDR=00:50:56:00:00:02\n"),
                ("/usr/lib/udev/rename_device", ""),
            ],
            &[(1, 192), (2, 224)],
            "",
            0,
        ),
        // By a MAC that no card has.
        (&[template], &[(1, 0)], "", 1),
    ] {
        let (found, codes) = pinned(files, cards);
        assert_eq!((found.as_str(), codes.len()), (pins, findings), "{files:?} {codes:?}");
    }
}

#[test]
fn patterns_that_new_names_would_not_fit() {
    for (pattern, pins) in [
        ("ens*", "ens192=01 ens224=02"),
        ("ens* !ens224", "ens192=01"),
        ("ens19? en*", ""),
        ("en*", ""),
        ("eth*", ""),
        ("enp11*", ""),
    ] {
        let text = format!("[Match]\nName={pattern}\n[Network]\nDHCP=yes\n");
        let (found, findings) = pinned(&[("/etc/systemd/network/a.network", &text)], &[(1, 192), (2, 224)]);
        assert_eq!((found.as_str(), findings.len()), (pins, 0), "{pattern}");
    }
}

#[test]
fn an_unknown_stack_is_told_and_its_cards_keep_their_names() {
    for (files, message) in [
        (&[][..], "nothing was found that configures the network"),
        (&[("/etc/dhcpcd.conf", "interface ens192\n")], "the network is configured by dhcpcd, which was not read"),
    ] {
        let mut context = fixture::context();
        context.vm.nics = vec![fixture::nic(CARD).with(|nic| nic.slot = Some(192))];
        let plan = NetworkNames.plan(&context, &MapGuest::new(&[&[LINK_RULE], files].concat())).unwrap();
        assert_eq!(plan.findings[0].message, message);
        assert_eq!(plan.changes[0].summary, format!("ens192 is the card {CARD}"));
        context.vm.nics[0].slot = None;
        assert!(
            NetworkNames.plan(&context, &MapGuest::new(&[&[LINK_RULE], files].concat())).unwrap().changes.is_empty()
        );
    }
}
