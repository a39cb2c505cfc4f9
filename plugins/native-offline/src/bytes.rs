//! What the readers take from a device: ranges that are there, numbers at their places, checksums, and the words for what is refused.

use std::sync::Arc;

use crc::{CRC_32_ISCSI, Crc, Table};
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, PluginError, Result, read_exact_at};

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// CRC-32C of several pieces in a row.
pub fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut digest = CRC32C.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

/// CRC-32C of a block whose own four bytes for it, at a place, count as zeros.
pub fn crc32c_without(block: &[u8], at: usize) -> u32 {
    crc32c(&[&block[..at], &[0; 4], &block[at + 4..]])
}

/// Reads a range of a device. One outside of it is damage.
pub fn read(source: &Arc<dyn BlockSource>, at: u64, length: usize) -> Result<Vec<u8>> {
    must_be_inside(source, at, length)?;
    let mut bytes = vec![0; length];
    read_exact_at(source.as_ref(), at, &mut bytes)?;
    Ok(bytes)
}

/// Reads a range of a device to where it belongs: a file may be large.
pub fn read_into(source: &Arc<dyn BlockSource>, at: u64, out: &mut [u8]) -> Result<()> {
    must_be_inside(source, at, out.len())?;
    read_exact_at(source.as_ref(), at, out)
}

fn must_be_inside(source: &Arc<dyn BlockSource>, at: u64, length: usize) -> Result<()> {
    if at.checked_add(length as u64).is_none_or(|end| end > source.size()) {
        return Err(damaged(format!("{length} bytes at {at} lie outside of its device")));
    }
    Ok(())
}

macro_rules! numbers {
    ($($name:ident, $from:ident, $type:ty;)*) => {$(
        /// The number at a place; zero past the end.
        pub fn $name(bytes: &[u8], at: usize) -> $type {
            const SIZE: usize = size_of::<$type>();
            let raw = at.checked_add(SIZE).and_then(|end| bytes.get(at..end));
            raw.and_then(|raw| <[u8; SIZE]>::try_from(raw).ok()).map_or(0, <$type>::$from)
        }
    )*};
}

numbers! {
    le16, from_le_bytes, u16;
    le32, from_le_bytes, u32;
    le64, from_le_bytes, u64;
    be16, from_be_bytes, u16;
    be32, from_be_bytes, u32;
    be64, from_be_bytes, u64;
}

/// What is wrong in the filesystem.
pub fn damaged(what: impl Into<String>) -> PluginError {
    PluginError::unusable(what)
}

/// What this reader does not read.
pub fn cannot(what: impl Into<String>) -> PluginError {
    PluginError::new(ErrorKind::Cannot, what)
}

/// The refusal of bits that are not known.
pub fn known_only(what: &str, bits: u64, known: u64) -> Result<()> {
    if bits & !known == 0 { Ok(()) } else { Err(cannot(format!("{what} {:#x} are not known", bits & !known))) }
}
