//! The dynamic header: the table of blocks, and the parent of a differencing image ("Dynamic Disk Header Format").

use vmdk2kvm_image_layout::Part;
use vmdk2kvm_plugin_api::{BlockSource, Result, read_exact_at};

use crate::bytes::{checksum, id_at, u32_at, u64_at};
use crate::footer::bad;

/// Length in bytes.
const LENGTH: u64 = 1024;
const COOKIE: &[u8] = b"cxsparse";
const CHECKSUM: usize = 36;
/// The sizes of a block that are read, in bytes; 2 MiB as a rule.
const BLOCKS: std::ops::RangeInclusive<u32> = 4096..=256 << 20;
/// The longest path of a parent, in bytes.
const MAX_LOCATOR: u32 = 8192;

/// A checked header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where the table is, in bytes.
    pub table: u64,
    /// Entries of the table.
    pub entries: u32,
    /// Bytes of a block.
    pub block: u64,
    /// Unique id of the parent.
    pub parent_id: [u8; 16],
    /// Names the parent may have, the best first; the text after the last separator is a name beside the child.
    pub parent_names: Vec<String>,
    /// The header itself and the paths of the parent, as parts of the file.
    pub parts: Vec<Part>,
}

impl Header {
    /// Reads the header at `at`.
    pub fn read(file: &dyn BlockSource, at: u64) -> Result<Self> {
        let mut block = [0; LENGTH as usize];
        if at.checked_add(LENGTH).is_none_or(|end| end > file.size()) {
            return Err(bad(format!("its header at offset {at} lies outside of the file of {} bytes", file.size())));
        }
        read_exact_at(file, at, &mut block)?;
        if !block.starts_with(COOKIE) {
            return Err(bad(format!("there is no header at offset {at}")));
        }
        if checksum(&block, CHECKSUM) != u32_at(&block, CHECKSUM) {
            return Err(bad("its header is damaged: the checksum is wrong".to_owned()));
        }
        let size = u32_at(&block, 32);
        if !size.is_power_of_two() || !BLOCKS.contains(&size) {
            return Err(bad(format!(
                "its blocks of {size} bytes are none that are read (powers of two from {} to {})",
                BLOCKS.start(),
                BLOCKS.end()
            )));
        }
        let mut parts = vec![Part::new("header", at, LENGTH)];
        Ok(Self {
            table: u64_at(&block, 16),
            entries: u32_at(&block, 28),
            block: u64::from(size),
            parent_id: id_at(&block, 40),
            parent_names: names(file, &block, &mut parts)?,
            parts,
        })
    }
}

/// The relative locator, the absolute one, and the plain name. Paths of Macs are not looked at. Adds those that lie outside of the header to the parts.
fn names(file: &dyn BlockSource, header: &[u8], parts: &mut Vec<Part>) -> Result<Vec<String>> {
    let (mut relative, mut absolute) = (None, None);
    for locator in header[576..768].chunks_exact(24) {
        let slot = match &locator[..4] {
            b"W2ru" => &mut relative,
            b"W2ku" => &mut absolute,
            _ => continue,
        };
        let (length, at) = (u32_at(locator, 8), u64_at(locator, 16));
        if length > MAX_LOCATOR || at.checked_add(u64::from(length)).is_none_or(|end| end > file.size()) {
            return Err(bad(format!(
                "the path of its parent, {length} bytes at offset {at}, lies outside of the file or is longer than {MAX_LOCATOR}"
            )));
        }
        parts.push(Part::new("parent's path", at, u64::from(length)));
        let mut bytes = vec![0; length as usize];
        read_exact_at(file, at, &mut bytes)?;
        *slot = Some(utf16(&bytes, u16::from_le_bytes));
    }
    let plain = Some(utf16(&header[64..576], u16::from_be_bytes));
    Ok([relative, absolute, plain].into_iter().flatten().filter(|name| !name.is_empty()).collect())
}

fn utf16(bytes: &[u8], order: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| order([pair[0], pair[1]])).take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}
