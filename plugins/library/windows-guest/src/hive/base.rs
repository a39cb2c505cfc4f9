//! The base block: the first 4 KiB of a hive, and the first 512 bytes of its logs.

use super::HiveError;

/// Where the bins begin.
pub(super) const LENGTH: usize = 4096;
/// What the checksum covers, itself included; a log has no more of it.
pub(super) const SECTOR: usize = 512;
/// A bin's header, in front of its cells.
pub(super) const BIN_HEADER: usize = 32;
/// Bins are so long, or a multiple of it.
pub(super) const BIN: usize = 4096;

/// What a base block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base {
    /// Written before the bins are.
    pub first: u32,
    /// Written after the bins were.
    pub second: u32,
    /// When it was written last.
    pub time: [u8; 8],
    /// Behind the dot of the version: 3 and up.
    pub minor: u32,
    /// 0 a hive, 1 and 2 an old log, 6 a new one.
    pub kind: u32,
    /// The root's cell.
    pub root: u32,
    /// Length of the bins.
    pub bins: u32,
}

impl Base {
    pub fn read(bytes: &[u8]) -> Result<Self, HiveError> {
        let Some(sector) = bytes.get(..SECTOR) else {
            return Err(HiveError::NoHive(format!("it has {} bytes only", bytes.len())));
        };
        if !sector.starts_with(b"regf") {
            return Err(HiveError::NoHive("it does not begin with \"regf\"".to_owned()));
        }
        if u32_at(sector, 508) != checksum(sector) {
            return Err(HiveError::TornHeader);
        }
        let mut time = [0; 8];
        time.copy_from_slice(&sector[12..20]);
        let (major, minor) = (u32_at(sector, 20), u32_at(sector, 24));
        if major != 1 || !(3..=6).contains(&minor) {
            return Err(HiveError::NoHive(format!("its version {major}.{minor} is none of 1.3 to 1.6")));
        }
        Ok(Self {
            first: u32_at(sector, 4),
            second: u32_at(sector, 8),
            time,
            minor,
            kind: u32_at(sector, 28),
            root: u32_at(sector, 36),
            bins: u32_at(sector, 40),
        })
    }
}

/// Sets the length of the bins and both sequence numbers, and the checksum after them. The header must be whole.
pub(super) fn seal(bytes: &mut [u8], bins: u32, sequence: u32) {
    put_u32(bytes, 4, sequence);
    put_u32(bytes, 8, sequence);
    put_u32(bytes, 40, bins);
    let checksum = checksum(bytes);
    put_u32(bytes, 508, checksum);
}

/// All words of the first sector but the last, each xor the next.
pub(super) fn checksum(sector: &[u8]) -> u32 {
    let sum = sector[..508].chunks_exact(4).fold(0, |sum, word| sum ^ u32_at(word, 0));
    match sum {
        u32::MAX => u32::MAX - 1,
        0 => 1,
        sum => sum,
    }
}

/// A number that the caller knows to be there.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// A number that the caller knows to be there.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

pub(super) fn put_u16(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_le_bytes());
}
