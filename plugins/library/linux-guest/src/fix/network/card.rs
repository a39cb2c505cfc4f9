//! A card of the VM, and what it was called on the old machine.
//!
//! VMware numbers the places of cards so: five bits of device, five of bridge, the rest is the bridge's function (VMware's article 2047927,
//! "Mapping PCI slot numbers to guest-visible PCI bus topology"). Its firmware tells the guest bridge, function and device as one number, of
//! which udev makes `ens192`; the bus behind each bridge follows from the order in which the firmware numbers them.

/// A card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    /// Its MAC, in lower case with colons; `None`: the only card, whose MAC nobody knows.
    mac: Option<String>,
    place: Option<Place>,
    /// What the running guest calls it.
    name: Option<String>,
}

/// A place on VMware's PCI buses. VirtualBox has one bus, whose devices are numbered alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    bridge: u32,
    function: u32,
    device: u32,
}

impl Place {
    fn new(slot: u32) -> Option<Self> {
        const LARGEST: u32 = 1 << 13;
        (0 < slot && slot < LARGEST).then_some(Self { device: slot & 31, bridge: slot >> 5 & 31, function: slot >> 10 })
    }

    /// The number of the bus: the old bridge's is 2, then come eight functions of each of four PCI Express bridges.
    fn bus(self) -> Option<u32> {
        const EXPRESS: u32 = 5;
        match self.bridge {
            0 => Some(0),
            1 => Some(2),
            bridge @ EXPRESS..=8 => Some(3 + (bridge - EXPRESS) * 8 + self.function),
            _ => None,
        }
    }
}

impl Card {
    /// The card of a MAC.
    pub fn new(mac: String, slot: Option<u32>) -> Self {
        Self { mac: Some(mac), place: slot.and_then(Place::new), name: None }
    }

    /// The only card of the VM, of unknown MAC.
    pub fn only(slot: Option<u32>) -> Self {
        Self { mac: None, place: slot.and_then(Place::new), name: None }
    }

    /// The same card, which the running guest calls so.
    pub fn called(self, name: Option<String>) -> Self {
        Self { name, ..self }
    }

    /// Its MAC.
    pub fn mac(&self) -> Option<&str> {
        self.mac.as_deref()
    }

    /// The name that it has on the old machine, where that was seen; else those that udev has for it there, the one that it prefers first
    /// (systemd.net-naming-scheme(7)).
    pub fn names(&self) -> Vec<String> {
        if let Some(name) = &self.name {
            return vec![name.clone()];
        }
        let Some(place) = self.place else { return Vec::new() };
        let slot = format!("ens{}", (place.bridge << 5) + place.function + place.device);
        let path = place.bus().map(|bus| format!("enp{bus}s{}", place.device));
        if place.bridge == 0 {
            // The first bus has no hotplug slots.
            return path.into_iter().chain([slot]).collect();
        }
        std::iter::once(slot).chain(path).collect()
    }

    /// Whether udev has this name for it. Before version 220 it took what VMware calls an index of the card: its number, its bus and
    /// its device (`eno16777984` is the first card, on bus 3).
    pub fn was_called(&self, name: &str) -> bool {
        let of_index = || {
            let index: u32 = name.strip_prefix("eno")?.parse().ok()?;
            let place = self.place?;
            Some(index >> 24 > 0 && index & 0xff_ffff == (place.bus()? << 8 | place.device << 3))
        };
        self.names().iter().any(|own| own == name) || of_index().unwrap_or_default()
    }

    /// The name that udev makes of the MAC, which stays.
    pub fn mac_name(&self) -> Option<String> {
        Some(format!("enx{}", self.mac()?.replace(':', "")))
    }

    /// Its PCI address, as in `0000:0b:00.0`.
    pub fn address(&self) -> Option<String> {
        let place = self.place?;
        Some(format!("0000:{:02x}:{:02x}.0", place.bus()?, place.device))
    }

    /// Where the kernel finds it among the others.
    pub fn kernel_order(&self) -> Option<(u32, u32)> {
        let place = self.place?;
        Some((place.bus()?, place.device))
    }
}

impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.mac().unwrap_or("the only card"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_slot() {
        for (slot, names, address) in [
            (32, &["ens32", "enp2s0"][..], Some("0000:02:00.0")),
            (33, &["ens33", "enp2s1"], Some("0000:02:01.0")),
            (160, &["ens160", "enp3s0"], Some("0000:03:00.0")),
            (192, &["ens192", "enp11s0"], Some("0000:0b:00.0")),
            (224, &["ens224", "enp19s0"], Some("0000:13:00.0")),
            (256, &["ens256", "enp27s0"], Some("0000:1b:00.0")),
            (1184, &["ens161", "enp4s0"], Some("0000:04:00.0")),
            (1216, &["ens193", "enp12s0"], Some("0000:0c:00.0")),
            (2208, &["ens162", "enp5s0"], Some("0000:05:00.0")),
            (3, &["enp0s3", "ens3"], Some("0000:00:03.0")),
            (96, &["ens96"], None),
            (0, &[], None),
            (1 << 13, &[], None),
        ] {
            let card = Card::new("00:50:56:aa:bb:01".to_owned(), Some(slot));
            assert_eq!(card.names(), names, "{slot}");
            assert_eq!(card.address().as_deref(), address, "{slot}");
        }
        assert_eq!(Card::only(None).names(), [""; 0]);
        let seen = Card::only(Some(192)).called(Some("lan0".to_owned()));
        assert!(seen.names() == ["lan0"] && seen.was_called("lan0") && !seen.was_called("ens192"));
    }

    #[test]
    fn the_index_of_old_versions_names_bus_and_device() {
        for (slot, name, expected) in [
            (33, "eno16777736", true),
            (160, "eno16777984", true),
            (192, "eno33557248", true),
            (224, "eno50336512", true),
            (33, "eno33554952", true),
            (160, "eno16777736", false),
            (160, "eno1", false),
            (160, "ens192", false),
            (192, "enp11s0", true),
        ] {
            assert_eq!(Card::only(Some(slot)).was_called(name), expected, "{slot} {name}");
        }
    }
}
