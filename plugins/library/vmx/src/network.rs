//! Network cards of a VMX.
//!
//! VMware's default for a card without `connectionType` and `networkName` is `bridged`; that is marked as guessed.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::model::{Nic, NicKind};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::warn;

use crate::dictionary::Dictionary;
use crate::identity::mac;

/// Reads every card that is present, in the order of their numbers. What was guessed is added to `guessed`.
pub fn nics(dictionary: &Dictionary, guessed: &mut Vec<String>) -> Vec<Nic> {
    let numbers: BTreeSet<u32> = dictionary.iter().filter_map(|(key, _)| number(key)).collect();
    let mut nics = Vec::new();
    for number in numbers {
        let get = |member: &str| dictionary.text(&format!("ethernet{number}.{member}"));
        if dictionary.switch(&format!("ethernet{number}.present")) != Some(true) {
            continue;
        }
        let (kind, network, certain) =
            attachment(get("connectiontype"), get("networkname"), get("vnet"), get("dvs.portgroupid"));
        if !certain {
            guessed.push(format!("nics[{}].kind", nics.len()));
        }
        // `static`: a person chose the address; `generated` and `vpx`: VMware did, and wrote it elsewhere.
        let fixed = get("addresstype").is_some_and(|kind| kind.eq_ignore_ascii_case("static"));
        let written = if fixed { get("address") } else { get("generatedaddress").or_else(|| get("address")) };
        let address = written.and_then(mac);
        if let (Some(written), None) = (written, &address) {
            warn!("ethernet{number}: '{}' is not a MAC address; the card gets a new one", escape(written));
        }
        nics.push(Nic::new(kind).with(|it| {
            it.mac = address;
            it.model = get("virtualdev").map(str::to_lowercase);
            // -1: the card has had none yet.
            it.slot = get("pcislotnumber").and_then(|slot| slot.parse().ok());
            it.network = network;
        }));
    }
    nics
}

/// What a card is attached to, its name, and whether the VMX says so.
fn attachment(
    connection: Option<&str>,
    network: Option<&str>,
    vnet: Option<&str>,
    port_group: Option<&str>,
) -> (NicKind, Option<String>, bool) {
    let named = network.or(port_group).map(str::to_owned);
    // `/dev/vmnet2` on Linux hosts, `VMnet2` on others.
    let vnet = vnet.map(|name| name.strip_prefix("/dev/").unwrap_or(name).to_owned());
    match connection.map(str::to_lowercase).as_deref() {
        Some("bridged") => (NicKind::Bridge, named.or(vnet), true),
        Some("custom") => (NicKind::Network, named.or(vnet), true),
        // `nat`, `hostonly`, `pvn` and what is not known: its own word is the best name there is.
        Some(other) => (NicKind::Network, named.or_else(|| Some(other.to_owned())), true),
        None if named.is_some() => (NicKind::Network, named, true),
        None => (NicKind::Bridge, vnet, false),
    }
}

/// The number in a key such as `ethernet0.present`.
fn number(key: &str) -> Option<u32> {
    let digits = key.strip_prefix("ethernet")?.split_once('.')?.0;
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain && (digits.len() == 1 || !digits.starts_with('0')) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::decode;

    fn one(lines: &[(&str, &str)]) -> (Nic, Vec<String>) {
        let mut text = "ethernet0.present = \"TRUE\"\n".to_owned();
        for (member, value) in lines {
            text.push_str(&format!("ethernet0.{member} = \"{value}\"\n"));
        }
        let mut guessed = Vec::new();
        let nics = nics(&Dictionary::parse(&decode(text.as_bytes())).unwrap(), &mut guessed);
        assert_eq!(nics.len(), 1);
        (nics[0].clone(), guessed)
    }

    #[test]
    fn the_address_is_the_one_the_machine_used() {
        for (lines, expected) in [
            (
                &[("addressType", "static"), ("address", "00:50:56:AA:BB:01"), ("generatedAddress", "00:0c:29:0:0:0")]
                    [..],
                Some("00:50:56:aa:bb:01"),
            ),
            (&[("addressType", "generated"), ("generatedAddress", "00:0C:29:01:02:03")], Some("00:0c:29:01:02:03")),
            (&[("addressType", "vpx"), ("generatedAddress", "00:50:56:81:02:03")], Some("00:50:56:81:02:03")),
            (&[("address", "00:50:56:aa:bb:01")], Some("00:50:56:aa:bb:01")),
            (&[("addressType", "static"), ("address", "nonsense")], None),
            (&[("addressType", "generated")], None),
        ] {
            assert_eq!(one(lines).0.mac.as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn slots_are_those_that_a_card_has_had() {
        for (slot, expected) in [("192", Some(192)), ("-1", None), ("", None), ("x", None), ("1184", Some(1184))] {
            assert_eq!(one(&[("pciSlotNumber", slot)]).0.slot, expected, "{slot}");
        }
    }

    #[test]
    fn every_connection_has_its_kind() {
        for (lines, kind, network, guessed) in [
            (
                &[("networkName", "VM Network"), ("virtualDev", "VmxNet3")][..],
                NicKind::Network,
                Some("VM Network"),
                false,
            ),
            (&[("connectionType", "bridged")], NicKind::Bridge, None, false),
            (&[("connectionType", "nat")], NicKind::Network, Some("nat"), false),
            (&[("connectionType", "hostonly")], NicKind::Network, Some("hostonly"), false),
            (&[("connectionType", "custom"), ("vnet", "/dev/vmnet2")], NicKind::Network, Some("vmnet2"), false),
            (&[("dvs.portgroupId", "dvportgroup-7")], NicKind::Network, Some("dvportgroup-7"), false),
            (&[], NicKind::Bridge, None, true),
        ] {
            let (nic, marks) = one(lines);
            assert_eq!((nic.kind, nic.network.as_deref()), (kind, network), "{lines:?}");
            assert_eq!(!marks.is_empty(), guessed);
        }
        assert_eq!(one(&[("virtualDev", "VmxNet3")]).0.model.as_deref(), Some("vmxnet3"));
    }

    #[test]
    fn cards_come_by_number_and_absent_ones_do_not() {
        let text = "ethernet10.present = \"TRUE\"\nethernet10.virtualDev = \"c\"\nethernet2.present = \"TRUE\"\n\
                    ethernet2.virtualDev = \"b\"\nethernet1.present = \"FALSE\"\nethernet0.virtualDev = \"a\"\n";
        let nics = nics(&Dictionary::parse(&decode(text.as_bytes())).unwrap(), &mut Vec::new());
        let models: Vec<_> = nics.iter().filter_map(|nic| nic.model.as_deref()).collect();
        assert_eq!(models, ["b", "c"]);
    }
}
