//! One disk's devices: its table and what begins at each partition, with as few reads as possible.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{GuestBlockDevice, GuestDiskInfo};

use super::array_member::{TAIL, at_end};
use super::superblock::WINDOW;
use super::table::{self, Partition};
use super::{Health, PartitionKind, ReadDevice, Superblock, TableKind};

/// Read at once: the table, the first partition at 1 MiB and what begins there.
const AHEAD: u32 = (1 << 20) + WINDOW;

/// What a disk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskScan {
    /// For the inspection.
    pub info: GuestDiskInfo,
    /// The first sector holds code that a BIOS would run.
    pub boot_code: bool,
    /// Declared kinds, for each device of `info`.
    pub kinds: Vec<PartitionKind>,
    /// Lengths in bytes, for each device of `info`.
    pub lengths: Vec<u64>,
    /// What each filesystem says about its own state, for each device of `info`.
    pub health: Vec<Health>,
}

/// Reads the disk of `size` bytes at `device` (its name, e.g. `/dev/sda`), the VM's disk number `index`.
pub fn scan_disk(index: u32, device: &str, size: u64, source: &mut dyn ReadDevice) -> Result<DiskScan> {
    let mut source = Ahead { source, windows: Vec::new() };
    let table = table::read(device, size, &mut source)?;
    let whole = match table.kind {
        TableKind::None => superblock(0, size, WINDOW, &mut source)?,
        _ => None,
    };
    let mut scan = DiskScan {
        info: GuestDiskInfo::new(index, size, table.kind.word().to_owned()),
        boot_code: table.boot_code,
        kinds: Vec::new(),
        lengths: Vec::new(),
        health: Vec::new(),
    };
    scan.health.push(health(&whole));
    scan.push(named(device.to_owned(), 0, whole), PartitionKind::Other, size);
    for partition in table.partitions {
        let superblock = match partition.kind {
            PartitionKind::Extended | PartitionKind::BiosBoot => None,
            _ => superblock(partition.start, partition.length, window(&partition), &mut source)?,
        };
        scan.health.push(health(&superblock));
        let mut found = named(partition_name(device, partition.number), partition.number, superblock);
        found.parttype = Some(partition.parttype);
        found.start_bytes = Some(partition.start);
        found.partuuid = partition.partuuid;
        found.partlabel = partition.partlabel;
        scan.push(found, partition.kind, partition.length);
    }
    Ok(scan)
}

/// What begins at a device that is no partition: a logical volume, an array, an unlocked container.
pub fn scan_volume(source: &mut dyn ReadDevice) -> Result<Option<Superblock>> {
    Ok(Superblock::read(&source.read(0, WINDOW)?))
}

/// What is in a device of `length` bytes that is a partition, or could be one.
pub fn scan_device(length: u64, source: &mut dyn ReadDevice) -> Result<Option<Superblock>> {
    superblock(0, length, WINDOW, source)
}

impl DiskScan {
    fn push(&mut self, device: GuestBlockDevice, kind: PartitionKind, length: u64) {
        self.info.devices.push(device);
        self.kinds.push(kind);
        self.lengths.push(length);
    }
}

/// What is in a part of the disk: an array says so at its start or at its end, everything else at its start.
fn superblock(start: u64, length: u64, window: u32, source: &mut dyn ReadDevice) -> Result<Option<Superblock>> {
    let at_start = Superblock::read(&source.read(start, window)?);
    let known = at_start.as_ref().is_some_and(|found| found.fstype == "linux_raid_member");
    let Some(tail) = length.checked_sub(u64::from(TAIL)).filter(|_| !known) else { return Ok(at_start) };
    // A member's start looks like the filesystem of the array.
    let member = at_end(&source.read(start.saturating_add(tail), TAIL)?, length);
    Ok(member.or(at_start))
}

fn health(superblock: &Option<Superblock>) -> Health {
    superblock.as_ref().map(|found| found.health).unwrap_or_default()
}

fn window(partition: &Partition) -> u32 {
    u32::try_from(partition.length).unwrap_or(u32::MAX).min(WINDOW)
}

/// The name of the VM's n-th disk.
pub fn disk_name(index: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        letters.push(b'a' + ((rest - 1) % 26) as u8);
        rest = (rest - 1) / 26;
    }
    letters.reverse();
    format!("/dev/sd{}", String::from_utf8_lossy(&letters))
}

/// The name of a partition: the kernel puts a `p` between a disk's name that ends in a digit and the number.
pub fn partition_name(device: &str, number: u32) -> String {
    let separator = if device.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    format!("{device}{separator}{number}")
}

fn named(device: String, partition: u32, superblock: Option<Superblock>) -> GuestBlockDevice {
    let found = superblock.unwrap_or_default();
    GuestBlockDevice::new(device, partition).with(|it| {
        it.fstype = Some(found.fstype).filter(|fstype| !fstype.is_empty());
        it.uuid = found.uuid;
        it.label = found.label;
        it.last_mounted = found.last_mounted;
    })
}

/// Reads more than was asked for, since the next question is about what follows, and keeps it, since a chain of partitions is
/// followed to its end before anybody asks what is inside.
struct Ahead<'a> {
    source: &'a mut dyn ReadDevice,
    windows: Vec<(u64, Vec<u8>)>,
}

/// Windows that are kept, each a little over 1 MiB.
const KEPT: usize = 8;

impl ReadDevice for Ahead<'_> {
    fn read(&mut self, offset: u64, length: u32) -> Result<Vec<u8>> {
        let held = self.windows.iter().find_map(|(start, bytes)| {
            let begin = usize::try_from(offset.checked_sub(*start)?).ok()?;
            Some(bytes.get(begin..begin.checked_add(length as usize)?)?.to_vec())
        });
        if let Some(bytes) = held {
            return Ok(bytes);
        }
        let bytes = self.source.read(offset, length.max(AHEAD))?;
        let asked = bytes[..bytes.len().min(length as usize)].to_vec();
        if self.windows.len() == KEPT {
            self.windows.remove(0);
        }
        self.windows.push((offset, bytes));
        Ok(asked)
    }
}

#[cfg(test)]
mod tests;
