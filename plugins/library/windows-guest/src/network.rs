//! The network cards that a system knows, with their settings, and which card of the VM each of them is.

mod ipv6;

use std::net::Ipv4Addr;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::Nic;

use crate::registry::Hives;

/// The class of network cards.
const NET_CLASS: &str = "{4D36E972-E325-11CE-BFC1-08002BE10318}";
/// Most cards that are looked at.
const MOST_CARDS: usize = 500;

/// A card that the system has a driver instance for, present or long gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// `{...}`, by which its settings are found.
    pub guid: String,
    /// The name that people see: `Ethernet0`.
    pub name: String,
    /// Its place in the tree of devices: `PCI\VEN_15AD&DEV_07B0...\...`.
    pub device: String,
    /// The address, where the hive says it.
    pub mac: Option<String>,
    /// The slot that the old hypervisor gave it.
    pub slot: Option<u32>,
    /// It asks for its address.
    pub dhcp: bool,
    /// Addresses with their masks that were set by hand.
    pub addresses: Vec<(String, String)>,
    /// Gateways with their metrics (0: automatic).
    pub gateways: Vec<(String, u32)>,
    /// Name servers that were set by hand.
    pub name_servers: Vec<String>,
    /// The domain of this connection.
    pub domain: String,
    /// WINS servers.
    pub wins: Vec<String>,
    /// Addresses of IPv6 with the lengths of their prefixes that were set by hand: `fd00::7/64`.
    pub ipv6: Vec<String>,
    /// Name servers of IPv6 that were set by hand.
    pub ipv6_name_servers: Vec<String>,
}

impl Interface {
    /// Whether it has settings that a new card would not have.
    pub fn is_static(&self) -> bool {
        !self.dhcp && !self.addresses.is_empty()
            || !self.name_servers.is_empty()
            || !self.domain.is_empty()
            || !self.wins.is_empty()
            || !self.ipv6.is_empty()
            || !self.ipv6_name_servers.is_empty()
    }

    /// Addresses as a person writes them: `10.0.2.7/24`, those of IPv6 last.
    pub fn with_prefixes(&self) -> Vec<String> {
        let prefix = |mask: &str| mask.parse::<Ipv4Addr>().ok().map(|mask| u32::from(mask).count_ones());
        let shown = |(address, mask): &(String, String)| match prefix(mask) {
            Some(length) => format!("{address}/{length}"),
            None => address.clone(),
        };
        self.addresses.iter().map(shown).chain(self.ipv6.iter().cloned()).collect()
    }
}

/// Every network card that is a device of a bus, with its settings.
pub fn read(hives: &Hives) -> Result<Vec<Interface>> {
    let class = hives.current(&format!("Control\\Class\\{NET_CLASS}"));
    let mut found = Vec::new();
    for number in hives.system.keys(&class)?.into_iter().take(MOST_CARDS) {
        let key = format!("{class}\\{number}");
        let guid = hives.system.text(&key, "NetCfgInstanceId")?;
        let device = hives.system.text(&key, "DeviceInstanceID")?;
        // What software makes (tunnels, WAN ports) is on no bus that a machine has.
        let (Some(guid), Some(device)) = (guid, device.filter(|device| is_on_a_bus(device))) else { continue };
        found.push(one(hives, &key, guid, device)?);
    }
    Ok(found)
}

fn is_on_a_bus(device: &str) -> bool {
    device.split('\\').next().is_some_and(|bus| bus.eq_ignore_ascii_case("PCI") || bus.eq_ignore_ascii_case("USB"))
}

fn one(hives: &Hives, class: &str, guid: String, device: String) -> Result<Interface> {
    let system = &hives.system;
    let settings = hives.current(&format!("Services\\Tcpip\\Parameters\\Interfaces\\{guid}"));
    let netbios = hives.current(&format!("Services\\NetBT\\Parameters\\Interfaces\\Tcpip_{guid}"));
    let connection = hives.current(&format!("Control\\Network\\{NET_CLASS}\\{guid}\\Connection"));
    let dhcp = system.number(&settings, "EnableDHCP")?.unwrap_or(1) != 0;
    let (mut addresses, mut gateways) = (Vec::new(), Vec::new());
    if !dhcp {
        let given = |text: &String| text != "0.0.0.0";
        let masks = system.texts(&settings, "SubnetMask")?;
        let own = system.texts(&settings, "IPAddress")?.into_iter().filter(given);
        addresses = own.zip(masks).collect();
        let metrics = system.texts(&settings, "DefaultGatewayMetric")?;
        let metric = |index: usize| metrics.get(index).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let own = system.texts(&settings, "DefaultGateway")?.into_iter().filter(given).enumerate();
        gateways = own.map(|(index, gateway)| (gateway, metric(index))).collect();
    }
    let list = |text: Option<String>| -> Vec<String> {
        let text = text.unwrap_or_default();
        text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let of_ipv6 = hives.current(&format!("Services\\Tcpip6\\Parameters\\Interfaces\\{guid}"));
    Ok(Interface {
        mac: mac(hives, &guid, &device)?,
        slot: slot(hives, &device)?,
        name: system.text(&connection, "Name")?.unwrap_or_default(),
        dhcp,
        addresses,
        gateways,
        name_servers: list(system.text(&settings, "NameServer")?),
        domain: system.text(&settings, "Domain")?.unwrap_or_default(),
        wins: system.texts(&netbios, "NameServerList")?,
        ipv6: ipv6::addresses(hives, class)?,
        ipv6_name_servers: list(system.text(&of_ipv6, "NameServer")?),
        guid,
        device,
    })
}

/// The card's own address: newer systems keep it; a PCIe card's instance is made of it.
fn mac(hives: &Hives, guid: &str, device: &str) -> Result<Option<String>> {
    let key = hives.current(&format!("Control\\NetworkSetup2\\Interfaces\\{guid}\\Kernel"));
    let kept = hives.system.value(&key, "PermanentAddress")?.map(|value| value.data);
    if let Some(kept) = kept.filter(|kept| kept.len() == 6 && kept.iter().any(|byte| *byte != 0)) {
        return Ok(Some(written(&kept)));
    }
    Ok(device.rsplit('\\').next().and_then(from_serial_number))
}

/// The address in a PCIe card's serial number, which has `FFFF` in its middle and a byte of its own at its end.
fn from_serial_number(instance: &str) -> Option<String> {
    let digits = instance.strip_suffix("00").filter(|digits| digits.len() == 16 && digits.is_ascii())?;
    let (vendor, rest) = digits.split_at(6);
    let own = rest.strip_prefix("FFFF").or_else(|| rest.strip_prefix("ffff"))?;
    let all = format!("{vendor}{own}");
    let bytes: Option<Vec<u8>> = (0..6).map(|at| u8::from_str_radix(all.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    bytes.map(|bytes| written(&bytes))
}

fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn slot(hives: &Hives, device: &str) -> Result<Option<u32>> {
    let number = hives.system.number(&hives.current(&format!("Enum\\{device}")), "UINumber")?;
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

/// For each interface the address of the VM's card that it was, as far as anything proves it: by its address, else by its slot.
pub fn paired(interfaces: &[Interface], nics: &[Nic]) -> Vec<Option<String>> {
    let by_mac = |interface: &Interface| {
        let own = interface.mac.as_deref()?;
        nics.iter().find(|nic| nic.mac.as_deref().is_some_and(|mac| mac.eq_ignore_ascii_case(own)))
    };
    // Two interfaces may claim one slot: a card that was changed for another kind leaves its settings.
    let by_slot = |interface: &Interface| {
        let slot = interface.slot.filter(|_| interface.mac.is_none())?;
        let claims = interfaces.iter().filter(|other| other.slot == Some(slot)).count();
        nics.iter().find(|nic| nic.slot == Some(slot)).filter(|_| claims == 1)
    };
    let pair = |interface| by_mac(interface).or_else(|| by_slot(interface)).and_then(|nic: &Nic| nic.mac.clone());
    interfaces.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::NicKind;

    use super::*;

    #[test]
    fn the_address_of_a_pcie_card_is_in_its_instance() {
        for (instance, mac) in [
            ("000C29FFFF661AA200", Some("00:0c:29:66:1a:a2")),
            ("4&B70F118&0&0888", None),
            ("000C29661AA2000000", None),
            ("000C29FFFFéé1A00", None),
            ("", None),
        ] {
            assert_eq!(from_serial_number(instance).as_deref(), mac, "{instance}");
        }
    }

    #[test]
    fn cards_are_paired_by_what_proves_it() {
        let nic = |mac: &str, slot| {
            Nic::new(NicKind::Network).with(|nic| {
                nic.mac = Some(mac.to_owned());
                nic.slot = slot;
            })
        };
        let interface =
            |mac: Option<&str>, slot| Interface { mac: mac.map(str::to_owned), slot, ..Interface::default() };
        let nics = [nic("00:50:56:00:00:01", Some(33)), nic("00:50:56:00:00:02", Some(35))];
        let found = paired(
            &[
                interface(Some("00:50:56:00:00:02"), None),
                interface(None, Some(33)),
                interface(Some("00:50:56:00:00:09"), Some(33)),
                interface(None, None),
            ],
            &nics,
        );
        assert_eq!(found, [Some("00:50:56:00:00:02".to_owned()), None, None, None]);
        let found = paired(&[interface(None, Some(33)), interface(None, Some(35))], &nics);
        assert_eq!(found, [Some("00:50:56:00:00:01".to_owned()), Some("00:50:56:00:00:02".to_owned())]);
    }
}
