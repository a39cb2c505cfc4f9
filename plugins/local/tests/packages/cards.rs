//! Network cards: what the items say, and what VMware and VirtualBox write beside them.

use vmdk2kvm_plugin_api::model::Nic;

use crate::documents::{envelope, item, system};
use crate::support::Lab;

/// The cards of these items, with this behind the hardware section.
fn cards(hardware: &str, more: &str) -> Vec<Nic> {
    let lab = Lab::new();
    let ovf = envelope("", "", &system("web", "Web", hardware));
    lab.file("web.ovf", ovf.replace("</VirtualSystem>", &format!("{more}</VirtualSystem>")));
    lab.describe("web.ovf", None).unwrap().nics
}

/// A machine of VirtualBox with these cards: whether it is enabled, slot, MAC.
fn virtualbox(chipset: &str, cards: &[(bool, u32, &str)]) -> String {
    let adapter = |(enabled, slot, mac): &(bool, u32, &str)| {
        format!("<Adapter slot=\"{slot}\" enabled=\"{enabled}\" MACAddress=\"{mac}\" type=\"82540EM\"/>")
    };
    let adapters: String = cards.iter().map(adapter).collect();
    format!("<vbox:Machine><Hardware>{chipset}<Network>{adapters}</Network></Hardware></vbox:Machine>")
}

#[test]
fn virtualbox_keeps_addresses_in_its_own_element() {
    let items = [item(10, 5, "Connection=LAN"), item(10, 6, "Connection=LAN")].concat();
    let adapters = [(true, 2, "080027AABB03"), (false, 1, "080027AABB02"), (true, 0, "080027AABB01")];
    let macs = |nics: Vec<Nic>| nics.into_iter().map(|nic| nic.mac).collect::<Vec<_>>();
    let some = |mac: &str| Some(mac.to_owned());
    assert_eq!(macs(cards(&items, &virtualbox("", &adapters))), [some("08:00:27:aa:bb:01"), some("08:00:27:aa:bb:03")]);
    // What an item says counts, and where the two lists do not fit, nothing is made up.
    let stated = items.replacen(
        "LAN<",
        "LAN</rasd:Connection><rasd:Address>00:50:56:00:00:01</rasd:Address><rasd:Connection>x<",
        1,
    );
    assert_eq!(
        macs(cards(&stated, &virtualbox("", &adapters))),
        [some("00:50:56:00:00:01"), some("08:00:27:aa:bb:03")]
    );
    assert_eq!(macs(cards(&items, &virtualbox("", &adapters[..2]))), [None, None]);
}

#[test]
fn slots_are_vmwares_of_the_item_or_of_its_vmx_or_virtualboxes() {
    let slots = |nics: Vec<Nic>| nics.into_iter().map(|nic| nic.slot).collect::<Vec<_>>();
    let of_item = |id: u32, place: &str, slot: &str| {
        let config = format!(
            "<vmw:Config ovf:required=\"false\" vmw:key=\"slotInfo.pciSlotNumber\" vmw:value=\"{slot}\"/></Item>"
        );
        item(10, id, place).replace("</Item>", &config)
    };
    let items = [of_item(6, "AddressOnParent=8", "192"), of_item(5, "AddressOnParent=7", "224")].concat();
    assert_eq!(slots(cards(&items, "")), [Some(224), Some(192)]);
    // The place on the parent is no slot; -1 is none yet.
    assert_eq!(slots(cards(&[item(10, 5, "AddressOnParent=7"), of_item(6, "", "-1")].concat(), "")), [None, None]);
    let of_vmx = |number: u32, slot: u32| {
        format!("<vmw:ExtraConfig vmw:key=\"ethernet{number}.pciSlotNumber\" vmw:value=\"{slot}\"/>")
    };
    // ethernet1 was taken away once: the card at place 9 is ethernet2.
    let items = [
        item(10, 5, "AddressOnParent=7"),
        item(10, 6, "AddressOnParent=9"),
        of_vmx(0, 160),
        of_vmx(1, 192),
        of_vmx(2, 256),
    ];
    assert_eq!(slots(cards(&items.concat(), "")), [Some(160), Some(256)]);
    let items = [item(10, 5, ""), item(10, 6, ""), of_vmx(1, 33)];
    assert_eq!(slots(cards(&items.concat(), "")), [None, Some(33)]);

    let items = [item(10, 5, ""), item(10, 6, "")].concat();
    let adapters = [(true, 0, "080027AABB01"), (true, 4, "080027AABB02")];
    assert_eq!(slots(cards(&items, &virtualbox("", &adapters))), [Some(3), Some(16)]);
    assert_eq!(slots(cards(&items, &virtualbox("<Chipset type=\"PIIX3\"/>", &adapters))), [Some(3), Some(16)]);
    assert_eq!(slots(cards(&items, &virtualbox("<Chipset type=\"ICH9\"/>", &adapters))), [None, None]);
}

#[test]
fn whether_the_guest_saw_serial_numbers_of_disks_is_read() {
    let shown = |settings: &str| {
        let lab = Lab::new();
        lab.file("web.ovf", envelope("", "", &system("web", "Web", settings)));
        lab.describe("web.ovf", None).unwrap().shows_disk_serials
    };
    assert_eq!(shown(""), None);
    assert_eq!(shown("<vmw:ExtraConfig vmw:key=\"disk.EnableUUID\" vmw:value=\"TRUE\"/>"), Some(true));
    assert_eq!(shown("<vmw:Config vmw:key=\"flags.diskUuidEnabled\" vmw:value=\"false\"/>"), Some(false));
}
