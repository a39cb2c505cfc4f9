//! Partition tables: MBR with its chain of extended partitions, and GPT (UEFI specification 2.10, chapter 5).
//!
//! Every number of a table is checked against the disk; a chain and a table have a limit on their length.

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::ReadDevice;
use super::bytes::{guid, has, le32, le64, utf16};

/// Bytes in a sector; VMware's virtual disks have no other.
pub const SECTOR: u64 = 512;
/// Most partitions that are read from one disk.
const MAX_PARTITIONS: u32 = 256;

/// What divides a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// GUID partition table.
    Gpt,
    /// Master boot record.
    Mbr,
    /// Nothing: the disk is empty, or a filesystem or container as a whole.
    None,
}

impl TableKind {
    /// The word of `GuestDiskInfo::table`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::Mbr => "mbr",
            Self::None => "none",
        }
    }
}

/// What a partition is declared to be, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionKind {
    /// Holds other partitions.
    Extended,
    /// EFI system partition.
    Esp,
    /// Room for GRUB's core image on GPT.
    BiosBoot,
    /// Anything else.
    Other,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number as the guest's kernel counts.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// What it is declared to be.
    pub kind: PartitionKind,
    /// The type that the table gives it: a GUID, or `0x` and a number.
    pub parttype: String,
    /// Partition UUID.
    pub partuuid: Option<String>,
    /// Partition name of a GPT.
    pub partlabel: Option<String>,
}

/// A disk's partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Kind.
    pub kind: TableKind,
    /// The first sector holds code that a BIOS would run.
    pub boot_code: bool,
    /// Partitions in the order of their numbers.
    pub partitions: Vec<Partition>,
}

/// Reads the table of a disk of `size` bytes whose name for messages is `disk`.
pub fn read(disk: &str, size: u64, device: &mut dyn ReadDevice) -> Result<Table> {
    let start = device.read(0, 1024)?;
    let boot_code = start.get(..440).is_some_and(|code| code.iter().any(|byte| *byte != 0));
    let mut table = Table { kind: TableKind::None, boot_code, partitions: Vec::new() };
    if has(&start, 512, b"EFI PART") {
        table.kind = TableKind::Gpt;
        table.partitions = gpt(disk, size, &start, device)?;
    } else if let Some(entries) = mbr_entries(&start, size) {
        table.kind = TableKind::Mbr;
        table.partitions = mbr(disk, size, &start, &entries, device)?;
    }
    Ok(table)
}

/// An entry of an MBR: type, first sector, sectors.
#[derive(Clone, Copy)]
struct Entry {
    kind: u8,
    start: u64,
    length: u64,
}

fn entry(sector: &[u8], index: usize) -> Option<Entry> {
    let at = 446 + index * 16;
    Some(Entry {
        kind: *sector.get(at + 4)?,
        start: u64::from(le32(sector, at + 8)?),
        length: u64::from(le32(sector, at + 12)?),
    })
}

/// The four entries when this is an MBR and not the boot sector of a filesystem, which bears the same signature.
fn mbr_entries(sector: &[u8], size: u64) -> Option<[Entry; 4]> {
    let is_filesystem = [(82, &b"FAT32   "[..]), (54, b"FAT1"), (3, b"NTFS    "), (3, b"EXFAT   ")]
        .into_iter()
        .any(|(at, magic)| has(sector, at, magic));
    if !has(sector, 510, &[0x55, 0xaa]) || is_filesystem {
        return None;
    }
    let status_is_sane = (0..4).all(|index| sector[446 + index * 16] & 0x7f == 0);
    let entries = [entry(sector, 0)?, entry(sector, 1)?, entry(sector, 2)?, entry(sector, 3)?];
    let starts_inside = |entry: &Entry| entry.kind == 0 || entry.start.saturating_mul(SECTOR) < size;
    (status_is_sane && entries.iter().all(starts_inside)).then_some(entries)
}

fn is_extended(kind: u8) -> bool {
    matches!(kind, 0x05 | 0x0f | 0x85)
}

fn mbr(
    disk: &str,
    size: u64,
    sector: &[u8],
    entries: &[Entry; 4],
    device: &mut dyn ReadDevice,
) -> Result<Vec<Partition>> {
    let signature = le32(sector, 440).filter(|signature| *signature != 0);
    let make = |number: u32, kind: u8, start: u64, length: u64| Partition {
        number,
        start,
        length: length.min(size.saturating_sub(start)),
        kind: match kind {
            kind if is_extended(kind) => PartitionKind::Extended,
            0xef => PartitionKind::Esp,
            _ => PartitionKind::Other,
        },
        parttype: format!("0x{kind:02x}"),
        partuuid: signature.map(|signature| format!("{signature:08x}-{number:02x}")),
        partlabel: None,
    };
    let mut partitions = Vec::new();
    for (entry, number) in entries.iter().zip(1..) {
        if entry.kind != 0 && entry.length != 0 {
            partitions.push(make(number, entry.kind, entry.start * SECTOR, entry.length * SECTOR));
        }
    }
    let Some(extended) = entries.iter().find(|entry| is_extended(entry.kind) && entry.length != 0) else {
        return Ok(partitions);
    };
    // Each link is a sector with one logical partition, relative to the link, and the next link, relative to the extended
    // partition. Links must go forward, so that a chain cannot be a ring.
    let (mut link, mut number) = (extended.start, 5);
    loop {
        if number > MAX_PARTITIONS {
            return Err(too_many(disk));
        }
        let sector = device.read(link * SECTOR, 512)?;
        if !has(&sector, 510, &[0x55, 0xaa]) {
            break;
        }
        let (Some(logical), Some(next)) = (entry(&sector, 0), entry(&sector, 1)) else { break };
        if logical.kind != 0 && logical.length != 0 {
            let start = link.saturating_add(logical.start).saturating_mul(SECTOR);
            if start >= size {
                return Err(outside(disk, number, start, size));
            }
            partitions.push(make(number, logical.kind, start, logical.length * SECTOR));
            number += 1;
        }
        let following = extended.start.saturating_add(next.start);
        if !is_extended(next.kind) || next.start == 0 || following <= link || following.saturating_mul(SECTOR) >= size {
            break;
        }
        link = following;
    }
    Ok(partitions)
}

fn gpt(disk: &str, size: u64, start: &[u8], device: &mut dyn ReadDevice) -> Result<Vec<Partition>> {
    let broken = || PluginError::unusable(format!("{disk}: its GPT header is cut off"));
    let table = le64(start, 512 + 72).ok_or_else(broken)?;
    let count = le32(start, 512 + 80).ok_or_else(broken)?.min(MAX_PARTITIONS);
    let entry_size = le32(start, 512 + 84).ok_or_else(broken)?;
    if !(128..=4096).contains(&entry_size) || table.saturating_mul(SECTOR) >= size {
        return Err(PluginError::unusable(format!(
            "{disk}: its GPT header names entries of {entry_size} bytes at sector {table}"
        ))
        .hint("repair the table in the VM or on a copy, e.g. with gdisk"));
    }
    let entries = device.read(table * SECTOR, count * entry_size)?;
    let mut partitions = Vec::new();
    for (entry, number) in entries.chunks_exact(entry_size as usize).zip(1u32..) {
        let Some(kind) = guid(entry, 0) else { continue };
        let (Some(first), Some(last)) = (le64(entry, 32), le64(entry, 40)) else { continue };
        let (start, end) = (first.saturating_mul(SECTOR), last.saturating_add(1).saturating_mul(SECTOR).min(size));
        if start >= size || end <= start {
            return Err(outside(disk, number, start, size));
        }
        partitions.push(Partition {
            number,
            start,
            length: end - start,
            kind: match kind.as_str() {
                "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => PartitionKind::Esp,
                "21686148-6449-6e6f-744e-656564454649" => PartitionKind::BiosBoot,
                _ => PartitionKind::Other,
            },
            parttype: kind,
            partuuid: guid(entry, 16),
            partlabel: utf16(entry, 56, 36),
        });
    }
    Ok(partitions)
}

fn outside(disk: &str, number: u32, start: u64, size: u64) -> PluginError {
    PluginError::unusable(format!(
        "{disk}: partition {number} at byte {start} lies outside of the disk of {size} bytes"
    ))
    .hint("the disk was cut off or its table is damaged; copy it again from the source")
}

fn too_many(disk: &str) -> PluginError {
    PluginError::unusable(format!("{disk}: it has more than {MAX_PARTITIONS} partitions"))
}
