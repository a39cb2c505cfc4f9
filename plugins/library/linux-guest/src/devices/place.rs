//! The grammar of names by place: what `/dev/sdb1`, a by-path and a by-id say about where a device is.
//!
//! Formats: the kernel's block device names, and the links that udev's `path_id` and `scsi_id` make.

/// Where a name says that a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The n-th disk: `sda`, `vda`, `xvda`, `cciss/c0d0`.
    Letter { index: u32, partition: u32 },
    /// The old IDE driver: `hda` is the master of the first channel.
    Ide { bus: u32, unit: u32, partition: u32 },
    /// An ATA port counted from 0, and its device.
    Ata { port: u32, device: u32, partition: u32 },
    /// NVMe controller and namespace, both counted from 0; a by-path does not number the controller.
    Nvme { controller: Option<u32>, namespace: u32, partition: u32 },
    /// A SCSI target behind the controller at a PCI address.
    Scsi { pci: String, target: u32, partition: u32 },
    /// A disk's own serial number.
    Serial { serial: String, partition: u32 },
    /// A name that VMware made and that says nothing of which disk: it can only be one disk when there is one.
    OnlyDisk { partition: u32 },
}

impl Place {
    pub(super) fn partition(&self) -> u32 {
        match self {
            Self::Letter { partition, .. }
            | Self::Ide { partition, .. }
            | Self::Ata { partition, .. }
            | Self::Nvme { partition, .. }
            | Self::Scsi { partition, .. }
            | Self::Serial { partition, .. }
            | Self::OnlyDisk { partition } => *partition,
        }
    }
}

/// What the name says; `None` when it does not name a place, or in a way that says nothing about this VM.
pub(super) fn parse(spec: &str) -> Option<Place> {
    let name = spec.strip_prefix("/dev/")?;
    if let Some(path) = name.strip_prefix("disk/by-path/") {
        return by_path(path);
    }
    if let Some(id) = name.strip_prefix("disk/by-id/") {
        let (id, partition) = split_partition(id)?;
        // `disk.EnableUUID` disks have NAA identifiers with VMware's number, others the model name.
        if let Some(serial) = ["scsi-3", "wwn-0x"].iter().find_map(|prefix| naa(id.strip_prefix(prefix)?)) {
            return Some(Place::Serial { serial, partition });
        }
        let of_vmware =
            ["scsi-SVMware", "scsi-0VMware", "ata-VMware", "nvme-VMware"].iter().any(|prefix| id.starts_with(prefix));
        return of_vmware.then_some(Place::OnlyDisk { partition });
    }
    if let Some(map) = name.strip_prefix("mapper/") {
        return multipath(map);
    }
    if let Some(rest) = name.strip_prefix("nvme") {
        let (controller, rest) = number(rest)?;
        let (namespace, rest) = number(rest.strip_prefix('n')?)?;
        let partition = match rest {
            "" => 0,
            rest => whole(rest.strip_prefix('p')?)?,
        };
        return Some(Place::Nvme { controller: Some(controller), namespace: namespace.checked_sub(1)?, partition });
    }
    if let Some(rest) = name.strip_prefix("cciss/c0d") {
        let (index, rest) = number(rest)?;
        let partition = match rest {
            "" => 0,
            rest => whole(rest.strip_prefix('p')?)?,
        };
        return Some(Place::Letter { index, partition });
    }
    let (ide, rest) = match (name.strip_prefix("hd"), ["xvd", "sd", "vd"].iter().find_map(|p| name.strip_prefix(p))) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    let letters = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_lowercase()).len();
    if letters == 0 || letters > 3 {
        return None;
    }
    let index = rest[..letters].bytes().fold(0, |index, letter| index * 26 + u32::from(letter - b'a') + 1) - 1;
    let partition = if rest.len() == letters { 0 } else { whole(&rest[letters..])? };
    Some(if ide {
        Place::Ide { bus: index / 2, unit: index % 2, partition }
    } else {
        Place::Letter { index, partition }
    })
}

/// A multipath map of a disk: `mpatha2`, `mpatha-part2`, `mpathap2`, or VMware's serial number in its place. The new disk has
/// no path to choose and so no map.
fn multipath(name: &str) -> Option<Place> {
    let (serial, rest) = match name.strip_prefix("mpath") {
        Some(rest) => (None, rest.trim_start_matches(|letter: char| letter.is_ascii_lowercase() && letter != 'p')),
        None => {
            let id = name.strip_prefix('3')?;
            // A partition's number follows at once, and is a hexadecimal digit, too: an identifier has 32 of them.
            let digits = id.bytes().take(32).take_while(u8::is_ascii_hexdigit).count();
            (Some(naa(&id[..digits])?), &id[digits..])
        }
    };
    let partition = rest.strip_prefix("-part").or_else(|| rest.strip_prefix('p')).unwrap_or(rest);
    let partition = if partition.is_empty() { 0 } else { whole(partition)? };
    Some(match serial {
        Some(serial) => Place::Serial { serial, partition },
        None => Place::OnlyDisk { partition },
    })
}

/// The identifier of one of VMware's disks (its NAA number with VMware's part of it), which `ddb.uuid` of the disk's descriptor states.
pub(super) fn naa(id: &str) -> Option<String> {
    let id = id.to_ascii_lowercase();
    (id.starts_with("6000c29") && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

fn by_path(path: &str) -> Option<Place> {
    let (path, partition) = split_partition(path)?;
    let (pci, rest) = path.strip_prefix("pci-")?.split_once('-')?;
    let (kind, rest) = rest.split_once('-')?;
    match kind {
        "scsi" => {
            // host:channel:target:lun, the host counted on this controller.
            let numbers: Vec<u32> = rest.split(':').map(whole).collect::<Option<_>>()?;
            match numbers[..] {
                [_, 0, target, 0] => Some(Place::Scsi { pci: pci.to_owned(), target, partition }),
                _ => None,
            }
        }
        "sas" => {
            let target = whole(rest.strip_prefix("phy")?.strip_suffix("-lun-0")?)?;
            Some(Place::Scsi { pci: pci.to_owned(), target, partition })
        }
        "ata" => {
            let (port, device) = match rest.split_once('.') {
                Some((port, device)) => (whole(port)?, whole(device)?),
                None => (whole(rest)?, 0),
            };
            Some(Place::Ata { port: port.checked_sub(1)?, device, partition })
        }
        "ide" => {
            let (bus, unit) = rest.split_once(':')?;
            Some(Place::Ide { bus: whole(bus)?, unit: whole(unit)?, partition })
        }
        "nvme" => Some(Place::Nvme { controller: None, namespace: whole(rest)?.checked_sub(1)?, partition }),
        _ => None,
    }
}

fn split_partition(name: &str) -> Option<(&str, u32)> {
    match name.rsplit_once("-part") {
        Some((name, partition)) => Some((name, whole(partition)?)),
        None => Some((name, 0)),
    }
}

fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    Some((whole(&text[..digits])?, &text[digits..]))
}

/// A decimal number of at most four digits.
fn whole(text: &str) -> Option<u32> {
    (!text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}
