//! The network cards of a configuration.

use vmdk2kvm_plugin_api::model::{Nic, NicKind};

use crate::tree::Tree;

/// The cards of `config.hardware.device`, in the order of their keys. `network` gives the name of a distributed or opaque network by its id.
pub fn cards(devices: &Tree, network: &dyn Fn(&str) -> Option<String>) -> Vec<Nic> {
    // Whatever its type is called: what has an address of this kind is a card.
    let is_card = |device: &&Tree| device.find("macAddress").is_some();
    let mut found: Vec<&Tree> = devices.children.iter().filter(is_card).collect();
    found.sort_by_key(|device| device.number::<i64>("key"));
    let card = |device: &Tree| {
        Nic::new(NicKind::Network).with(|it| {
            it.mac = device.text("macAddress").map(str::to_lowercase);
            it.model = model(&device.kind);
            it.slot = device.number("slotInfo.pciSlotNumber");
            let by_id =
                ["backing.port.portgroupKey", "backing.opaqueNetworkId"].into_iter().find_map(|path| device.text(path));
            let named = device.text("backing.deviceName").map(str::to_owned);
            it.network = named.or_else(|| by_id.map(|id| network(id).unwrap_or_else(|| id.to_owned())));
        })
    };
    found.into_iter().map(card).collect()
}

/// The model, in the word that a VMX has for it.
fn model(kind: &str) -> Option<String> {
    let model = kind.strip_prefix("Virtual")?.to_lowercase();
    Some(match model.as_str() {
        "pcnet32" => "vlance".to_owned(),
        "vmxnet2" => "vmxnet".to_owned(),
        "vmxnet3vrdma" => "vmxnet3".to_owned(),
        "sriovethernetcard" => "pcipassthru".to_owned(),
        _ => model,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_known_by_their_address_and_named_by_their_network() {
        let devices = Tree::parse(
            r#"<val xmlns:xsi="x"><VirtualDevice xsi:type="VirtualE1000e"><key>4001</key><backing xsi:type="VirtualEthernetCardDistributedVirtualPortBackingInfo">
            <port><switchUuid>u</switchUuid><portgroupKey>dvportgroup-7</portgroupKey></port></backing><macAddress>00:50:56:AA:BB:02</macAddress></VirtualDevice>
            <VirtualDevice xsi:type="VirtualVmxnet3"><key>4000</key><backing><deviceName>VM Network</deviceName></backing>
            <slotInfo xsi:type="VirtualDevicePciBusSlotInfo"><pciSlotNumber>192</pciSlotNumber></slotInfo><macAddress>00:50:56:aa:bb:01</macAddress></VirtualDevice>
            <VirtualDevice xsi:type="VirtualPCNet32"><key>4002</key><backing><opaqueNetworkId>n-1</opaqueNetworkId></backing><macAddress/></VirtualDevice>
            <VirtualDevice xsi:type="VirtualPointingDevice"><key>700</key></VirtualDevice></val>"#,
            "vc",
        )
        .unwrap();
        let found: Vec<_> = cards(&devices, &|id| (id == "dvportgroup-7").then(|| "prod".to_owned()))
            .into_iter()
            .map(|card| (card.mac, card.model.unwrap(), card.slot, card.network.unwrap()))
            .collect();
        let mac = |last: &str| Some(format!("00:50:56:aa:bb:{last}"));
        assert_eq!(
            found,
            [
                (mac("01"), "vmxnet3".to_owned(), Some(192), "VM Network".to_owned()),
                (mac("02"), "e1000e".to_owned(), None, "prod".to_owned()),
                (None, "vlance".to_owned(), None, "n-1".to_owned()),
            ]
        );
    }
}
