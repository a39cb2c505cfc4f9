//! Drivers that the system starts with, as it is.

use vmdk2kvm_plugin_api::Result;

use crate::registry::Hives;

/// A driver of disks that comes with Windows, and the word for what it drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bus {
    /// Name of the service.
    pub service: &'static str,
    /// The word of `Inspection::drives`.
    pub word: &'static str,
}

/// What Windows brings for the buses that a lesser machine has. `msahci` is that of 7.
pub const FALLBACK: [Bus; 5] = [
    Bus { service: "storahci", word: "ahci" },
    Bus { service: "msahci", word: "ahci" },
    Bus { service: "atapi", word: "ide" },
    Bus { service: "intelide", word: "ide" },
    Bus { service: "pciide", word: "ide" },
];
/// Drivers of virtio devices, with the words for what they drive.
const VIRTIO: [(&str, &str); 4] =
    [("viostor", "virtio-blk"), ("vioscsi", "virtio-scsi"), ("netkvm", "virtio-net"), ("viogpudo", "virtio-gpu")];
/// Starts of a service: with the loader, with the kernel, by itself, on demand.
const BOOT: u64 = 0;

/// How a driver starts: the number of its service, or of the override that counts in its place.
pub fn started(hives: &Hives, service: &str) -> Result<Option<u64>> {
    let key = hives.service(service);
    let Some(own) = hives.system.number(&key, "Start")? else { return Ok(None) };
    let over = hives.system.values(&format!("{key}\\StartOverride"))?.iter().find_map(|value| value.number());
    Ok(Some(over.unwrap_or(own)))
}

/// The first builds that bring a driver for a card, the newest first: 7 that for e1000e, Vista that for e1000, older ones that for rtl8139.
const CARDS: [(u32, &str); 3] = [(7600, "e1000e"), (6000, "e1000"), (0, "rtl8139")];

/// The words for what the system can start from, or drive once it runs.
pub fn drives(hives: &Hives) -> Result<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let build = super::system::build(hives)?.unwrap_or(0);
    words.extend(CARDS.iter().find(|(first, _)| build >= *first).map(|(_, word)| (*word).to_owned()));
    for bus in FALLBACK {
        if started(hives, bus.service)? == Some(BOOT) && !words.iter().any(|word| word == bus.word) {
            words.push(bus.word.to_owned());
        }
    }
    for (service, word) in VIRTIO {
        let is_disk = matches!(service, "viostor" | "vioscsi");
        // A key that an imported but unused package left has no start at all.
        let start = started(hives, service)?;
        if start.is_some_and(|start| start == BOOT || !is_disk && start <= 3) {
            words.push(word.to_owned());
        }
    }
    Ok(words)
}
