//! The configuration of a machine in the words of `qm`.
//!
//! Read in the sources of qemu-server: the keys, their defaults and how many there may be of each.

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, Chipset, Clock, DiskBus, Firmware, Machine, MachineDisk, RemovableKind, Video, canonical_uuid,
    unicast_mac,
};
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_target_words::{boot_places, images, label};

use super::options::Options;

/// The longest serial number of a disk.
const LONGEST_SERIAL: usize = 20;

/// A key and its value: what the script says as an argument and the text file as a line.
pub struct Key {
    /// Its name.
    pub name: String,
    /// Where its volume lies: the start of the value is a storage.
    pub storage: Option<Storage>,
    /// The value, behind the storage and the image when there are any.
    pub value: String,
}

/// Where a volume lies.
pub struct Storage {
    /// The one that the job names; the script's own unless told.
    pub name: Option<String>,
    /// What is imported.
    pub image: Option<String>,
}

/// The formats of images that are imported.
pub fn imports(format: &str) -> bool {
    matches!(format, "qcow2" | "raw" | "vmdk")
}

/// The serial number of a disk, when it can be written.
pub fn serial(disk: &MachineDisk) -> Option<&str> {
    disk.plain_serial().filter(|serial| serial.len() <= LONGEST_SERIAL)
}

/// The guest wants the interfaces of Hyper-V and no local time: there is no kind of system for that.
pub fn enlightened_alone(machine: &Machine) -> bool {
    machine.enlightenments && !is_windows(machine)
}

/// Local time and those interfaces together are what Windows wants. Which Windows it is, a machine does not say.
fn is_windows(machine: &Machine) -> bool {
    machine.enlightenments && machine.clock == Clock::Local
}

/// Everything that is said of a machine.
pub fn keys(machine: &Machine, options: &Options) -> Result<Vec<Key>> {
    let cpus = machine.cpus.consistent();
    let uefi = machine.firmware == Firmware::Uefi;
    let mut keys = Keys { list: Vec::new(), ide: 0, sata: 0, scsi: 0, virtio: 0 };
    keys.add("name", label(&machine.name, 63));
    // What a guest with virtio's drivers is, when it is not Windows, a machine does not say: most are Linux, and the kind costs another nothing.
    keys.add(
        "ostype",
        if is_windows(machine) {
            "win10"
        } else if machine.paravirtual {
            "l26"
        } else {
            "other"
        },
    );
    keys.add("machine", if machine.chipset == Chipset::Pc { "pc" } else { "q35" });
    keys.add("bios", if uefi { "ovmf" } else { "seabios" });
    keys.add("sockets", cpus.sockets.to_string());
    keys.add("cores", cpus.cores_per_socket.to_string());
    keys.add("cpu", "x86-64-v2-AES");
    keys.add("memory", machine.memory_bytes.div_ceil(1 << 20).max(16).to_string());
    keys.add("localtime", if machine.clock == Clock::Local { "1" } else { "0" });
    keys.add("vga", if machine.video == Video::Virtio { "virtio" } else { "std" });
    keys.add("onboot", "0");
    if machine.serial_console {
        keys.add("serial0", "socket");
    }
    if machine.paravirtual {
        keys.add("agent", "1");
        keys.add("rng0", "source=/dev/urandom");
    } else {
        keys.add("balloon", "0");
    }
    if let Some(uuid) = machine.uuid.as_deref().and_then(canonical_uuid) {
        keys.add("smbios1", format!("uuid={uuid}"));
    }
    if let Some(genid) = machine.genid.as_deref().and_then(canonical_uuid) {
        keys.add("vmgenid", genid);
    }
    keys.add("scsihw", "virtio-scsi-single");
    let first = options.storage.get("1").cloned();
    if uefi {
        // Without a word about its size it would be the older kind, which knows no Secure Boot; without keys it enforces nothing.
        let value = format!("efitype=4m,pre-enrolled-keys={}", u8::from(machine.secure_boot));
        keys.volume("efidisk0".to_owned(), first.clone(), None, value);
    }
    if machine.tpm {
        keys.volume("tpmstate0".to_owned(), first, None, "version=v2.0".to_owned());
    }
    keys.disks(machine, options)?;
    for drive in machine.drives.iter().filter(|drive| drive.kind == RemovableKind::Cdrom) {
        let place = keys.place(drive.bus)?;
        keys.add(place, "none,media=cdrom");
    }
    for (index, card) in machine.cards.iter().enumerate() {
        keys.card(index, card, options);
    }
    Ok(keys.list)
}

struct Keys {
    list: Vec<Key>,
    ide: usize,
    sata: usize,
    scsi: usize,
    virtio: usize,
}

impl Keys {
    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.list.push(Key { name: name.into(), storage: None, value: value.into() });
    }

    fn volume(&mut self, name: String, storage: Option<String>, image: Option<String>, value: String) {
        self.list.push(Key { name, storage: Some(Storage { name: storage, image }), value });
    }

    fn disks(&mut self, machine: &Machine, options: &Options) -> Result<()> {
        let mut order = Vec::new();
        let disks = machine.disks.iter().zip(images(machine)?).zip(boot_places(machine)).enumerate();
        for (index, ((disk, image), boot)) in disks {
            let place = self.place(disk.bus)?;
            let mut value = vec!["discard=on".to_owned()];
            if matches!(disk.bus, DiskBus::Virtio | DiskBus::VirtioScsi) {
                value.push("iothread=1".to_owned());
            }
            value.extend(serial(disk).map(|serial| format!("serial={serial}")));
            order.extend(boot.map(|boot| (boot, place.clone())));
            let storage = options.storage.get(&(index + 1).to_string()).cloned();
            self.volume(place, storage, Some(image.to_owned()), value.join(","));
        }
        order.sort_unstable();
        if !order.is_empty() {
            let names: Vec<String> = order.into_iter().map(|(_, name)| name).collect();
            self.add("boot", format!("order={}", names.join(";")));
        }
        Ok(())
    }

    /// The next place on a bus.
    fn place(&mut self, bus: DiskBus) -> Result<String> {
        let (name, most, taken) = match bus {
            DiskBus::Virtio => ("virtio", 16, &mut self.virtio),
            DiskBus::VirtioScsi => ("scsi", 31, &mut self.scsi),
            DiskBus::Ide => ("ide", 4, &mut self.ide),
            _ => ("sata", 6, &mut self.sata),
        };
        if *taken == most {
            let message = format!("Proxmox VE attaches at most {most} disks and drives to {name}");
            return Err(PluginError::unusable(message)
                .hint("give the disks another controller with --set machine.disk_bus=virtio-scsi"));
        }
        *taken += 1;
        Ok(format!("{name}{}", *taken - 1))
    }

    fn card(&mut self, index: usize, card: &Card, options: &Options) {
        let model = match card.model {
            CardModel::Virtio => "virtio",
            CardModel::E1000e => "e1000e",
            CardModel::Rtl8139 => "rtl8139",
            _ => "e1000",
        };
        let mac = card.mac.as_deref().and_then(unicast_mac).map(|mac| format!("={mac}")).unwrap_or_default();
        // `$BRIDGE` is the script's variable: no name from the job has a dollar.
        let (bridge, vlan) = options.bridge(card).unwrap_or(("$BRIDGE", None));
        let tag = vlan.map(|vlan| format!(",tag={vlan}")).unwrap_or_default();
        self.add(format!("net{index}"), format!("{model}{mac},bridge={bridge}{tag}"));
    }
}
