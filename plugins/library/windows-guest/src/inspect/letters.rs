//! Drive letters, and what they mean: kept by the system itself, by signature and offset or by partition.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Finding, GuestBlockDevice, GuestDiskInfo, Severity};

use crate::registry::Hives;

/// A letter and the partition that it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// `C:`.
    pub letter: String,
    /// Name of the device in the inspector's naming; `None`: no partition of these disks.
    pub device: Option<String>,
}

/// Letters of disks; those of drives and sticks mean a place of the old machine and are left out.
pub fn read(hives: &Hives, disks: &[GuestDiskInfo]) -> Result<Vec<Letter>> {
    let mut found = Vec::new();
    for value in hives.system.values("MountedDevices")? {
        let Some(letter) = value.name.strip_prefix("\\DosDevices\\") else { continue };
        let device = match value.data.len() {
            12 => by_signature(&value.data, disks),
            24 if value.data.starts_with(b"DMIO:ID:") => by_partition(&value.data[8..], disks),
            _ => continue,
        };
        found.push(Letter { letter: letter.to_owned(), device });
    }
    found.sort_by(|one, other| one.letter.cmp(&other.letter));
    Ok(found)
}

/// Writes each letter at its partition.
pub fn note(disks: &mut [GuestDiskInfo], letters: &[Letter]) {
    for device in disks.iter_mut().flat_map(|disk| &mut disk.devices) {
        let own = letters.iter().find(|letter| letter.device.as_deref() == Some(device.device.as_str()));
        if let Some(letter) = own {
            device.last_mounted = Some(letter.letter.clone());
        }
    }
}

/// A finding on a letter whose disk is not among these: an old one, or one that was left out.
pub fn without_disk(letter: &Letter) -> Option<Finding> {
    if letter.device.is_some() {
        return None;
    }
    let message = format!("the system knows a drive {} that is on none of these disks", letter.letter);
    Some(
        Finding::new("drive-without-disk", Severity::Info, message)
            .hint("if the VM has that disk, give it, too; a disk that was taken out long ago is of no concern"),
    )
}

/// The signature of an MBR, and the first byte.
fn by_signature(data: &[u8], disks: &[GuestDiskInfo]) -> Option<String> {
    let signature = u32::from_le_bytes(data.get(..4)?.try_into().ok()?);
    let start = u64::from_le_bytes(data.get(4..12)?.try_into().ok()?);
    with_signature(signature, start, disks)
}

/// The device that begins there on the disk with this signature.
pub fn with_signature(signature: u32, start: u64, disks: &[GuestDiskInfo]) -> Option<String> {
    let is_it = |device: &&GuestBlockDevice| {
        let signed = device.partuuid.as_deref().is_some_and(|own| own.starts_with(&format!("{signature:08x}-")));
        signed && device.start_bytes == Some(start)
    };
    devices(disks).find(is_it).map(|device| device.device.clone())
}

/// The GUID of a partition, its first three numbers with their low bytes first.
fn by_partition(raw: &[u8], disks: &[GuestDiskInfo]) -> Option<String> {
    let hex = |bytes: &mut dyn Iterator<Item = &u8>| bytes.map(|byte| format!("{byte:02x}")).collect::<String>();
    let guid = [
        hex(&mut raw.get(..4)?.iter().rev()),
        hex(&mut raw.get(4..6)?.iter().rev()),
        hex(&mut raw.get(6..8)?.iter().rev()),
        hex(&mut raw.get(8..10)?.iter()),
        hex(&mut raw.get(10..16)?.iter()),
    ]
    .join("-");
    with_guid(&guid, disks)
}

/// The device that is the partition with this GUID, in lower case.
pub fn with_guid(guid: &str, disks: &[GuestDiskInfo]) -> Option<String> {
    let is_it = |device: &&GuestBlockDevice| device.partuuid.as_deref() == Some(guid);
    devices(disks).find(is_it).map(|device| device.device.clone())
}

fn devices(disks: &[GuestDiskInfo]) -> impl Iterator<Item = &GuestBlockDevice> {
    disks.iter().flat_map(|disk| &disk.devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disks() -> Vec<GuestDiskInfo> {
        let device = |name: &str, partuuid: &str, start| {
            GuestBlockDevice::new(name, 1).with(|it| {
                it.partuuid = Some(partuuid.to_owned());
                it.start_bytes = Some(start);
            })
        };
        vec![GuestDiskInfo::new(0, 1 << 40, "gpt").with(|disk| {
            disk.devices = vec![
                device("/dev/sda1", "df4546ae-01", 1 << 20),
                device("/dev/sda2", "df4546ae-02", 525_336_576),
                device("/dev/sda3", "1e178d94-4f79-41e9-865d-2e5b4328cd23", 1 << 30),
            ];
        })]
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_letter_means_a_partition() {
        assert_eq!(by_signature(&bytes("ae4645df0000501f00000000"), &disks()).as_deref(), Some("/dev/sda2"));
        assert_eq!(by_signature(&bytes("ae4645df0000100000000000"), &disks()).as_deref(), Some("/dev/sda1"));
        assert_eq!(by_signature(&bytes("e51b2b000000100000000000"), &disks()), None);
        assert_eq!(by_partition(&bytes("948d171e794fe941865d2e5b4328cd23"), &disks()).as_deref(), Some("/dev/sda3"));
        assert_eq!(by_partition(&bytes("948d171e"), &disks()), None);
    }
}
