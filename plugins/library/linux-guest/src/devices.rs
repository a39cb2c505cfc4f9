//! Which device of the VM a guest's own name means.
//!
//! A name by place (`/dev/sdb1`, a by-path, a by-id) is resolved through the disk order of the VM, controller and unit, never
//! through the names an appliance happens to use. What cannot be resolved is unknown, never the nearest disk.

mod links;
mod multipath;
mod naming;
mod place;

use vmdk2kvm_plugin_api::model::{Controller, GuestBlockDevice, GuestDiskInfo, PlanContext, VmSpec};
use vmdk2kvm_plugin_api::{Guest, Result};

use links::{By, Link};
pub(crate) use naming::Reason;
use place::{Place, parse};

/// What a device text of a configuration file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference<'a> {
    /// Survives the move as it is: UUID, label, logical volume, mapper.
    Stable,
    /// Names this device by its place.
    Place(&'a GuestBlockDevice),
    /// Names a device by its place, and this VM has none there.
    Unknown,
    /// A CD-ROM or floppy drive.
    Removable,
    /// No device: a network share, a pseudo filesystem, a path.
    Other,
}

/// The devices of the VM.
#[derive(Debug, Clone)]
pub(crate) struct Devices<'a> {
    disks: &'a [GuestDiskInfo],
    vm: Option<&'a VmSpec>,
    /// PCI address and number of the SCSI controller of which it is known that they belong together.
    anchor: Option<(String, u32)>,
    /// Names of multipath's maps.
    maps: Vec<String>,
    /// Names that the guest's own udev rules give.
    links: Vec<Link>,
}

impl<'a> Devices<'a> {
    /// The devices of these disks; `vm` says on which controller and unit each is.
    pub fn new(disks: &'a [GuestDiskInfo], vm: Option<&'a VmSpec>) -> Self {
        Self { disks, vm: vm.filter(|vm| !vm.disks.is_empty()), anchor: None, maps: Vec::new(), links: Vec::new() }
    }

    /// The devices of the VM that a plan is made for, with what the guest calls them.
    pub fn of(context: &'a PlanContext, guest: &dyn Guest) -> Result<Self> {
        Self::new(&context.inspection.disks, Some(&context.vm)).with_names_of(guest)
    }

    /// The same with the names that this guest's own configuration gives to disks.
    pub fn with_names_of(self, guest: &dyn Guest) -> Result<Self> {
        Ok(Self { maps: multipath::names(guest)?, links: links::links(guest)?, ..self })
    }

    /// Learns from an entry that surely means `device` (the root filesystem's) at which PCI address its controller is, so that
    /// another controller's by-path is not taken for this one's.
    pub fn learn(&mut self, spec: &str, device: &str) {
        let Some(Place::Scsi { pci, .. }) = parse(spec) else { return };
        let Some(info) = self.disks.iter().find(|info| info.devices.iter().any(|one| one.device == device)) else {
            return;
        };
        self.anchor = Some((pci, self.vm_disk(info).map_or(0, |disk| disk.bus)));
    }

    /// What `spec` means.
    pub fn refer(&self, spec: &str) -> Reference<'a> {
        let spec = spec.trim_matches('"');
        let Some(name) = spec.strip_prefix("/dev/") else {
            return match spec.split_once('=') {
                Some(("UUID" | "LABEL" | "PARTUUID" | "PARTLABEL" | "ID", _)) => Reference::Stable,
                _ => Reference::Other,
            };
        };
        if is_removable(name) {
            return Reference::Removable;
        }
        // What a running system itself says of its names by place and by serial number.
        let by_hardware =
            name.starts_with("disk/by-path/") || name.strip_prefix("disk/by-id/").is_some_and(|id| !is_stable_id(id));
        let linked = |device: &&GuestBlockDevice| device.links.iter().any(|link| link == spec);
        if let Some(device) = self.all().find(linked).filter(|_| by_hardware) {
            return Reference::Place(device);
        }
        match parse(spec).or_else(|| multipath::place(&self.maps, spec)) {
            Some(place) => self.at(&place).map_or(Reference::Unknown, Reference::Place),
            None if name.starts_with("disk/by-path/") || name.starts_with("dm-") => Reference::Unknown,
            None if name.starts_with("disk/by-id/") && !is_stable_id(&name[11..]) => Reference::Unknown,
            None => match links::find(&self.links, name) {
                Some(By::Content(_)) => Reference::Stable,
                Some(By::Place(place)) => self.at(&place).map_or(Reference::Unknown, Reference::Place),
                Some(By::Unknown) => Reference::Unknown,
                None if is_made_again(name) => Reference::Stable,
                None => Reference::Unknown,
            },
        }
    }

    /// The device in the inspector's naming that `spec` means, whichever way it is named; `None` when it is no block device or
    /// none of this VM.
    pub fn resolve(&self, spec: &str) -> Option<String> {
        let spec = spec.trim_matches('"');
        if let Some((tag, value)) = tag_of(spec) {
            let value = value.trim_matches('"');
            let found = self.all().find(|device| {
                let own = match tag {
                    Tag::Uuid => &device.uuid,
                    Tag::Label => &device.label,
                    Tag::PartUuid => &device.partuuid,
                    Tag::PartLabel => &device.partlabel,
                };
                own.as_deref().is_some_and(|own| match tag {
                    Tag::Uuid | Tag::PartUuid => own.eq_ignore_ascii_case(value),
                    Tag::Label | Tag::PartLabel => own == value,
                })
            });
            // A filesystem inside a logical volume is on no list of partitions; its link names it.
            return found
                .map(|device| device.device.clone())
                .or_else(|| (!value.is_empty()).then(|| format!("/dev/disk/{}/{value}", tag.folder())));
        }
        if let Some(By::Content(content)) = spec.strip_prefix("/dev/").and_then(|name| links::find(&self.links, name)) {
            return self.resolve(&content);
        }
        match self.refer(spec) {
            Reference::Place(device) => Some(device.device.clone()),
            Reference::Stable => Some(logical_volume(spec).unwrap_or_else(|| spec.to_owned())),
            _ => None,
        }
    }

    /// The device of this name in the inspector's naming.
    pub fn by_name(&self, device: &str) -> Option<&'a GuestBlockDevice> {
        self.all().find(|one| one.device == device)
    }

    fn all(&self) -> impl Iterator<Item = &'a GuestBlockDevice> + use<'a> {
        self.disks.iter().flat_map(|disk| disk.devices.iter())
    }

    fn vm_disk(&self, info: &GuestDiskInfo) -> Option<&'a vmdk2kvm_plugin_api::model::Disk> {
        self.vm.and_then(|vm| vm.disks.get(info.index as usize))
    }

    fn at(&self, place: &Place) -> Option<&'a GuestBlockDevice> {
        let disk = match place {
            Place::Letter { index, .. } => self.nth(*index, |controller| controller != Controller::Nvme),
            Place::Ide { bus, unit, .. } => self
                .at_unit(Controller::Ide, Some(*bus), *unit)
                .or_else(|| self.vm.is_none().then(|| self.nth(bus * 2 + unit, |_| true)).flatten()),
            // VMware's `sataM:N` is port N of its controller.
            Place::Ata { port, device, .. } => self
                .at_unit(Controller::Sata, None, *port)
                .or_else(|| self.at_unit(Controller::Ide, Some(*port), *device)),
            Place::Nvme { controller, namespace, .. } => match self.vm {
                Some(_) => self.at_unit(Controller::Nvme, *controller, *namespace),
                None => self.nth(controller.unwrap_or(0), |_| true),
            },
            Place::Scsi { pci, target, .. } => self.on_scsi(pci, *target),
            Place::Serial { serial, .. } => self.of_serial(serial),
            Place::OnlyDisk { .. } => (self.disks.len() == 1).then(|| self.disks.first()).flatten(),
        }?;
        disk.devices.iter().find(|device| device.partition == place.partition())
    }

    /// The disk of this serial number. Of a description that knows none it can only be the only disk, and not of one that says that the
    /// guest saw none: then the name is of another machine's disk.
    fn of_serial(&self, serial: &str) -> Option<&'a GuestDiskInfo> {
        let own = |info: &&GuestDiskInfo| self.vm_disk(info).and_then(|disk| disk.serial.as_deref());
        let mut found = self.disks.iter().filter(|info| own(info) == Some(serial));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) => None,
            (None, _) if self.vm.is_some_and(|vm| vm.shows_disk_serials == Some(false)) => None,
            (None, _) => self.disks.first().filter(|info| self.disks.len() == 1 && own(info).is_none()),
        }
    }

    fn nth(&self, index: u32, counts: impl Fn(Controller) -> bool) -> Option<&'a GuestDiskInfo> {
        self.disks
            .iter()
            .filter(|info| self.vm_disk(info).is_none_or(|disk| counts(disk.controller)))
            .nth(index as usize)
    }

    fn at_unit(&self, controller: Controller, bus: Option<u32>, unit: u32) -> Option<&'a GuestDiskInfo> {
        let mut found = self.disks.iter().filter(|info| {
            self.vm_disk(info).is_some_and(|disk| {
                disk.controller == controller && disk.unit == unit && bus.is_none_or(|bus| bus == disk.bus)
            })
        });
        let first = found.next();
        // Two controllers with a disk at this unit: the name does not say which.
        if found.next().is_some() { None } else { first }
    }

    fn on_scsi(&self, pci: &str, target: u32) -> Option<&'a GuestDiskInfo> {
        if self.vm.is_none() {
            return self.nth(target, |_| true);
        }
        let mut buses: Vec<u32> = self
            .disks
            .iter()
            .filter_map(|info| self.vm_disk(info))
            .filter(|disk| disk.controller == Controller::Scsi)
            .map(|disk| disk.bus)
            .collect();
        buses.sort_unstable();
        buses.dedup();
        let bus = match &self.anchor {
            Some((known, bus)) if known == pci => *bus,
            Some((_, bus)) => {
                let mut others = buses.iter().filter(|other| *other != bus);
                let other = others.next()?;
                if others.next().is_some() {
                    return None;
                }
                *other
            }
            // Where VMware puts its first SCSI controller: PCIe slot 160, or slot 16 of the root bus.
            None if matches!(pci, "0000:03:00.0" | "0000:00:10.0") => *buses.first()?,
            None if buses.len() == 1 => buses[0],
            None => return None,
        };
        self.at_unit(Controller::Scsi, Some(bus), target)
    }
}

#[derive(Clone, Copy)]
enum Tag {
    Uuid,
    Label,
    PartUuid,
    PartLabel,
}

impl Tag {
    fn folder(self) -> &'static str {
        match self {
            Self::Uuid => "by-uuid",
            Self::Label => "by-label",
            Self::PartUuid => "by-partuuid",
            Self::PartLabel => "by-partlabel",
        }
    }
}

fn tag_of(spec: &str) -> Option<(Tag, &str)> {
    [
        ("UUID=", "/dev/disk/by-uuid/", Tag::Uuid),
        ("LABEL=", "/dev/disk/by-label/", Tag::Label),
        ("PARTUUID=", "/dev/disk/by-partuuid/", Tag::PartUuid),
        ("PARTLABEL=", "/dev/disk/by-partlabel/", Tag::PartLabel),
    ]
    .into_iter()
    .find_map(|(name, link, tag)| Some((tag, spec.strip_prefix(name).or_else(|| spec.strip_prefix(link))?)))
}

fn is_removable(name: &str) -> bool {
    let numbered =
        |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    ["sr", "scd", "cdrom", "cdrw", "dvd", "dvdrw", "fd", "floppy"].into_iter().any(numbered)
}

/// Whether a name below `/dev` that no rule of the guest gives comes from what is on the disks, or from the kernel alone: it is made again on
/// any machine.
fn is_made_again(name: &str) -> bool {
    const BY_CONTENT: [&str; 5] = ["by-uuid/", "by-label/", "by-partuuid/", "by-partlabel/", "by-id/"];
    const NUMBERED: [&str; 9] = ["md", "loop", "ram", "zram", "nbd", "rbd", "drbd", "bcache", "zd"];
    match name.split_once('/') {
        Some(("disk", rest)) => BY_CONTENT.iter().any(|folder| rest.starts_with(folder)),
        // Device mapper's names, those of arrays, and logical volumes below the name of their group.
        Some(_) => true,
        None => {
            let is_number = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_digit());
            NUMBERED.iter().any(|driver| name.strip_prefix(driver).is_some_and(is_number))
                || matches!(name, "root" | "nfs" | "shm" | "pts" | "null" | "zero" | "fuse" | "mqueue" | "hugepages")
        }
    }
}

/// Links of by-id that do not come from a disk's serial number.
fn is_stable_id(id: &str) -> bool {
    ["dm-", "lvm-", "md-", "zfs-"].iter().any(|prefix| id.starts_with(prefix))
}

/// `/dev/VG/LV` of `/dev/mapper/VG-LV`, where dashes of a name are doubled; `None` when it is no such name.
pub fn logical_volume(spec: &str) -> Option<String> {
    let name = spec.strip_prefix("/dev/mapper/")?;
    let bytes = name.as_bytes();
    let mut split = None;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'-' {
            if bytes.get(at + 1) == Some(&b'-') {
                at += 1;
            } else if split.replace(at).is_some() {
                return None;
            }
        }
        at += 1;
    }
    let split = split.filter(|split| *split > 0 && split + 1 < name.len())?;
    let undouble = |part: &str| part.replace("--", "-");
    Some(format!("/dev/{}/{}", undouble(&name[..split]), undouble(&name[split + 1..])))
}

#[cfg(test)]
mod tests;
