//! Disks and removable drives of a VMX.
//!
//! Order: kind of controller (IDE, SCSI, SATA, NVMe), then number of the controller, then unit. VMware's firmware tries IDE
//! before the adapters with an option ROM of their own, and these by number. This is also the order in which a guest's kernel names the
//! disks. From which of them the firmware starts, `bios.bootOrder` and `bios.hddOrder` say.

use vmdk2kvm_plugin_api::model::{Controller, Removable, RemovableKind};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::dictionary::Dictionary;

/// The most disks of a machine (VMware's own limit is 256).
const MAX_DISKS: usize = 256;
/// The most floppy drives of a machine.
const FLOPPIES: u32 = 2;

/// A disk as the VMX names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmxDisk {
    /// Its place as the VMX writes it, e.g. `scsi0:1`.
    pub key: String,
    /// Kind of controller.
    pub controller: Controller,
    /// Number of the controller among those of its kind.
    pub bus: u32,
    /// Unit on the controller.
    pub unit: u32,
    /// Its file, as written: hostile.
    pub file_name: String,
    /// `persistent`, `independent-persistent`, ...; `None`: the VMX says nothing.
    pub mode: Option<String>,
    /// Other machines may write to it: by its own word, or its controller is shared with them.
    pub shared: bool,
}

impl VmxDisk {
    /// Snapshots leave it out.
    pub fn is_independent(&self) -> bool {
        self.mode.as_deref().is_some_and(|mode| mode.to_ascii_lowercase().starts_with("independent"))
    }
}

/// Disks in order, and removable drives.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Disks, sorted.
    pub disks: Vec<VmxDisk>,
    /// CD-ROM drives in the same order, then floppies.
    pub removable: Vec<Removable>,
    /// The disks, by their number, that the firmware starts from first.
    pub boot_order: Vec<u32>,
}

/// Reads every device that is present.
pub fn devices(dictionary: &Dictionary) -> Result<Devices> {
    let mut devices = Devices::default();
    let mut places: Vec<Place> = dictionary.iter().filter_map(|(key, _)| Place::of(key)).collect();
    places.sort();
    places.dedup();
    for place in places {
        let key = place.key();
        let get = |member: &str| dictionary.text(&format!("{key}.{member}"));
        if dictionary.switch(&format!("{key}.present")) != Some(true) {
            // VMware's default is "not present"; a disk that is lost by it deserves a word.
            if get("filename").is_some() && get("present").is_none() {
                warn!("{key} has a file and no '{key}.present': VMware does not attach it, and it is left out");
            }
            continue;
        }
        // Controllers of parallel ATA need no entry of their own; another one may be switched off with its devices.
        if place.controller != Controller::Ide
            && dictionary.switch(&format!("{}.present", place.adapter())) == Some(false)
        {
            warn!("{key} is on a controller that is not present, and is left out");
            continue;
        }
        let file = get("filename");
        match sort_of(get("devicetype").unwrap_or_default(), file.unwrap_or_default()) {
            Sort::Cdrom => devices.removable.push(Removable::new(RemovableKind::Cdrom, place.word().to_owned())),
            Sort::Passthrough => warn!("{key} is a device of the old host passed through, and is left out"),
            Sort::Disk => {
                let Some(file) = file else {
                    return Err(PluginError::unusable(format!("disk {key} has no file name"))
                        .hint(format!("remove {key} from the VMX, or give it a {key}.fileName")));
                };
                if devices.disks.len() == MAX_DISKS {
                    return Err(PluginError::unusable(format!("it has more than {MAX_DISKS} disks"))
                        .hint("give the VMX as VMware wrote it"));
                }
                // Of the controller `none`, `virtual` or `physical`; of the disk `multi-writer` or nothing.
                let is_shared =
                    |word: Option<&str>| word.is_some_and(|word| !word.to_ascii_lowercase().ends_with("none"));
                let bus = dictionary.text(&format!("{}.sharedbus", place.adapter()));
                devices.disks.push(VmxDisk {
                    mode: get("mode").map(str::to_owned),
                    shared: is_shared(get("sharing")) || is_shared(bus),
                    key,
                    controller: place.controller,
                    bus: place.bus,
                    unit: place.unit,
                    file_name: file.to_owned(),
                });
            }
        }
    }
    for number in 0..FLOPPIES {
        if dictionary.switch(&format!("floppy{number}.present")) == Some(true) {
            devices.removable.push(Removable::new(RemovableKind::Floppy, "floppy".to_owned()));
        }
    }
    devices.boot_order = boot_order(dictionary, &devices.disks);
    Ok(devices)
}

/// The disks that the firmware is told to start from, in order. `bios.bootOrder` has kinds of devices (`cdrom`, `hdd`, `ethernet0`), where
/// `hdd` stands for what `bios.hddOrder` has, and may name disks itself.
fn boot_order(dictionary: &Dictionary, disks: &[VmxDisk]) -> Vec<u32> {
    let words = |key: &str| -> Vec<String> {
        let list = dictionary.text(key).unwrap_or_default();
        list.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty()).collect()
    };
    let of_disks = words("bios.hddorder");
    let mut order: Vec<String> = Vec::new();
    for word in words("bios.bootorder") {
        if word == "hdd" { order.extend(of_disks.iter().cloned()) } else { order.push(word) }
    }
    order.extend(of_disks);
    let mut found: Vec<u32> = Vec::new();
    for word in &order {
        let index = (0u32..).zip(disks).find(|(_, disk)| disk.key == *word).map(|(index, _)| index);
        match index {
            Some(index) if !found.contains(&index) => found.push(index),
            None if word.contains(':') => warn!("the boot order names {}, which is no disk", escape(word)),
            _ => {}
        }
    }
    found
}

/// A place of a device: `scsi0:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    controller: Controller,
    bus: u32,
    unit: u32,
}

impl Place {
    /// The place in a key such as `scsi0:1.filename`. Numbers of more than three digits are no place.
    fn of(key: &str) -> Option<Self> {
        let (device, _) = key.split_once('.')?;
        let (adapter, unit) = device.split_once(':')?;
        let number = |text: &str| {
            let plain = (1..=3).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
            // `scsi00` is not `scsi0`, and a place has one spelling.
            if plain && (text.len() == 1 || !text.starts_with('0')) { text.parse().ok() } else { None }
        };
        let kinds = [
            ("ide", Controller::Ide),
            ("scsi", Controller::Scsi),
            ("sata", Controller::Sata),
            ("nvme", Controller::Nvme),
        ];
        kinds.into_iter().find_map(|(word, controller)| {
            Some(Self { controller, bus: number(adapter.strip_prefix(word)?)?, unit: number(unit)? })
        })
    }

    fn word(self) -> &'static str {
        match self.controller {
            Controller::Ide => "ide",
            Controller::Sata => "sata",
            Controller::Nvme => "nvme",
            _ => "scsi",
        }
    }

    fn adapter(self) -> String {
        format!("{}{}", self.word(), self.bus)
    }

    fn key(self) -> String {
        format!("{}:{}", self.adapter(), self.unit)
    }
}

/// What sort of device it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Disk,
    Cdrom,
    Passthrough,
}

/// By `deviceType`, and where that is missing (its default is a disk) by the file: an ISO, or what VMware writes for a drive
/// without a medium.
fn sort_of(device_type: &str, file: &str) -> Sort {
    let device_type = device_type.to_lowercase();
    let file = file.to_lowercase();
    match device_type.as_str() {
        "scsi-passthru" | "scsi-passthrough" => Sort::Passthrough,
        kind if kind.contains("cdrom") => Sort::Cdrom,
        "" if file.ends_with(".iso") || file == "auto detect" || file == "emptybackingstring" => Sort::Cdrom,
        _ => Sort::Disk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::decode;

    fn read(text: &str) -> Result<Devices> {
        devices(&Dictionary::parse(&decode(text.as_bytes())).unwrap())
    }

    fn disk(text: &str) -> String {
        let keys: Vec<String> = read(text).unwrap().disks.into_iter().map(|disk| disk.key).collect();
        keys.join(" ")
    }

    #[test]
    fn disks_come_in_the_order_of_the_firmware() {
        let mut text = String::new();
        for key in ["nvme0:0", "sata0:1", "scsi1:0", "scsi0:10", "scsi0:2", "ide0:0", "sata0:0"] {
            text.push_str(&format!("{key}.present = \"TRUE\"\n{key}.fileName = \"{}.vmdk\"\n", key.replace(':', "-")));
        }
        assert_eq!(disk(&text), "ide0:0 scsi0:2 scsi0:10 scsi1:0 sata0:0 sata0:1 nvme0:0");
    }

    #[test]
    fn the_firmware_starts_from_what_it_is_told() {
        let disks: String = ["scsi0:0", "scsi0:1", "sata0:0"]
            .map(|key| format!("{key}.present = \"TRUE\"\n{key}.fileName = \"x.vmdk\"\n"))
            .concat();
        for (more, order) in [
            ("", &[][..]),
            ("bios.hddOrder = \"scsi0:1\"\n", &[1]),
            ("bios.hddOrder = \"SATA0:0, scsi0:1,scsi9:0,\"\nbios.bootOrder = \"hdd,CDROM,ethernet0\"\n", &[2, 1]),
            ("bios.hddOrder = \"scsi0:0\"\nbios.bootOrder = \"cdrom,scsi0:1,hdd\"\n", &[1, 0]),
            ("bios.bootOrder = \"ethernet0\"\n", &[]),
        ] {
            assert_eq!(read(&format!("{disks}{more}")).unwrap().boot_order, order, "{more}");
        }
    }

    #[test]
    fn only_what_is_present_counts() {
        let base = "scsi0:0.fileName = \"a.vmdk\"\n";
        assert_eq!(disk(base), "");
        assert_eq!(disk(&format!("{base}scsi0:0.present = \"FALSE\"")), "");
        assert_eq!(disk(&format!("{base}scsi0:0.present = \"TRUE\"")), "scsi0:0");
        assert_eq!(disk(&format!("{base}scsi0:0.present = \"TRUE\"\nscsi0.present = \"FALSE\"")), "");
        assert_eq!(disk(&format!("{base}SCSI0:0.Present = \"true\"\nscsi0.present = \"TRUE\"")), "scsi0:0");
        assert_eq!(disk("scsi00:0.present = \"TRUE\"\nscsi0:9999.present = \"TRUE\"\nscsi:0.present = \"TRUE\""), "");
    }

    #[test]
    fn what_others_write_to_and_what_snapshots_leave_out_is_told() {
        let base = "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\n";
        for (more, shared, independent) in [
            ("", false, false),
            ("scsi0:0.sharing = \"multi-writer\"\n", true, false),
            ("scsi0:0.sharing = \"sharingNone\"\nscsi0.sharedBus = \"none\"\n", false, false),
            ("scsi0.sharedBus = \"Physical\"\n", true, false),
            ("scsi1.sharedBus = \"virtual\"\nscsi0:0.mode = \"persistent\"\n", false, false),
            ("scsi0:0.mode = \"Independent-nonpersistent\"\n", false, true),
        ] {
            let found = read(&format!("{base}{more}")).unwrap().disks.remove(0);
            assert_eq!((found.shared, found.is_independent()), (shared, independent), "{more}");
        }
    }

    #[test]
    fn drives_are_told_from_disks() {
        let of = |key: &str, kind: &str, file: &str| {
            let line = |member: &str, value: &str| {
                if value.is_empty() { String::new() } else { format!("{key}.{member} = \"{value}\"\n") }
            };
            read(&format!("{}{}{}", line("present", "TRUE"), line("deviceType", kind), line("fileName", file)))
        };
        for (key, kind, file, controller) in [
            ("ide1:0", "cdrom-image", "a.iso", "ide"),
            ("ide1:0", "atapi-cdrom", "/dev/cdrom", "ide"),
            ("sata0:1", "cdrom-raw", "auto detect", "sata"),
            ("scsi0:3", "", "x.ISO", "scsi"),
            ("ide1:0", "", "auto detect", "ide"),
        ] {
            let devices = of(key, kind, file).unwrap();
            assert!(devices.disks.is_empty());
            assert_eq!(devices.removable, [Removable::new(RemovableKind::Cdrom, controller)]);
        }
        for kind in ["", "disk", "scsi-hardDisk", "ata-hardDisk"] {
            assert_eq!(of("scsi0:0", kind, "a.vmdk").unwrap().disks.len(), 1);
        }
        assert_eq!(of("scsi0:0", "scsi-passthru", "/vmfs/devices/x").unwrap(), Devices::default());
        assert_eq!(of("scsi0:0", "disk", "").unwrap_err().message, "disk scsi0:0 has no file name");
        let floppy = read("floppy0.present = \"TRUE\"\nfloppy1.present = \"FALSE\"").unwrap();
        assert_eq!(floppy.removable, [Removable::new(RemovableKind::Floppy, "floppy")]);
    }
}
