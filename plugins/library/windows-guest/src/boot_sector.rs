//! The boot sector of an NTFS volume, with which XP and 2003 begin: the first bytes of the volume, and of its file `$Boot`. It reads the loader
//! by cylinders, heads and sectors, of which it has the number of heads.

use vmdk2kvm_plugin_api::model::GuestDiskInfo;
use vmdk2kvm_plugin_api::{Guest, Result};

/// Heads that a BIOS counts on every disk of [`LARGE`] bytes and more, where it addresses by blocks.
pub const HEADS: u16 = 255;
/// Where the number of heads is, in bytes.
pub const HEADS_AT: u16 = 0x1a;
/// Below this 128 heads, or fewer, are enough for what a BIOS divides by 1024 cylinders and 63 sectors, rounding down.
const LARGE: u64 = 1024 * 129 * 63 * 512;
/// Largest file `$Boot`, in bytes: NTFS makes it 8 KiB long.
const LIMIT: u64 = 1 << 20;

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootSector {
    /// Heads of the disk that it was made for.
    pub heads: u16,
    /// Where its copy is, in bytes from the volume's start: behind the last sector.
    pub copy_at: u64,
}

impl BootSector {
    /// That of the volume that is mounted there; `None`: it has none that a file shows, as FAT has.
    pub fn of(guest: &dyn Guest, mountpoint: &str) -> Result<Option<Self>> {
        Ok(guest.read(&format!("{mountpoint}/$Boot"), LIMIT)?.and_then(|bytes| Self::read(&bytes)))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: u16| Some(u16::from_le_bytes(*bytes.get(usize::from(at)..)?.first_chunk()?));
        let sectors = u64::from_le_bytes(*bytes.get(0x28..)?.first_chunk()?);
        let is_ntfs = bytes.get(3..11) == Some(b"NTFS    ");
        let copy_at = sectors.checked_mul(word(0x0b)?.into()).filter(|at| i64::try_from(*at).is_ok())?;
        is_ntfs.then_some(Self { heads: word(HEADS_AT)?, copy_at })
    }
}

/// Whether every BIOS counts [`HEADS`] heads on the disk that has this device.
pub fn is_large(disks: &[GuestDiskInfo], device: &str) -> bool {
    let disk = disks.iter().find(|disk| disk.devices.iter().any(|it| it.device == device));
    disk.is_some_and(|disk| disk.size_bytes >= LARGE)
}
