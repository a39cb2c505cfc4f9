//! Names: as folders and files have them, and how they compare.

use vmdk2kvm_plugin_api::Result;

use super::record::units;
use crate::bytes::{crc32c, damaged, le32, le64};

/// Bytes of a name's attribute before the name.
const HEADER: usize = 66;
/// Bits of a file: a reparse point, a folder.
pub const REPARSE_POINT: u32 = 0x400;
pub const FOLDER: u32 = 0x1000_0000;
/// The name spaces: of Windows for DOS.
const DOS: u8 = 2;
const LAST_SPACE: u8 = 3;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// The reference to the folder.
    pub parent: u64,
    /// Bits of the file, when its folder was told of them.
    pub flags: u32,
    /// What kind of reparse point it is, when it is one.
    pub tag: u32,
    /// The name.
    pub units: Vec<u16>,
    /// Whether it stands beside the file's long name.
    pub is_dos: bool,
    /// A sum of what the folder and the file both say.
    pub sum: u32,
}

/// Reads the attribute of a name, in a file or in a folder.
pub fn read(raw: &[u8]) -> Result<FileName> {
    let bad = || damaged("a file's name is damaged");
    let length = usize::from(*raw.get(64).ok_or_else(bad)?);
    let (space, name) = (raw.get(65).ok_or_else(bad)?, raw.get(HEADER..).ok_or_else(bad)?);
    if length == 0 || name.len() != 2 * length || *space > LAST_SPACE {
        return Err(bad());
    }
    let own = units(name);
    if own.iter().any(|unit| *unit == 0 || *unit == u16::from(b'/')) {
        return Err(bad());
    }
    Ok(FileName {
        parent: le64(raw, 0),
        flags: le32(raw, 56),
        tag: le32(raw, 60),
        units: own,
        is_dos: *space == DOS,
        sum: crc32c(&[&raw[..8], &raw[64..]]),
    })
}

/// The volume's own table of upper case.
pub struct UpCase(Vec<u16>);

impl UpCase {
    /// Bytes of the table: one unit for each.
    pub const BYTES: u64 = 2 << 16;

    /// Reads the table.
    pub fn read(raw: &[u8]) -> Result<Self> {
        let table = units(raw);
        let is_ascii_right = || (0..128u8).all(|unit| table[usize::from(unit)] == u16::from(unit.to_ascii_uppercase()));
        if raw.len() as u64 == Self::BYTES && is_ascii_right() {
            Ok(Self(table))
        } else {
            Err(damaged("its table of upper case is damaged"))
        }
    }

    fn upper(&self, unit: u16) -> u16 {
        self.0.get(usize::from(unit)).copied().unwrap_or(unit)
    }

    /// A name by which it is compared.
    pub fn fold(&self, name: &[u16]) -> Vec<u16> {
        name.iter().map(|unit| self.upper(*unit)).collect()
    }

    /// The same, of a text, as bytes.
    pub fn key(&self, name: &str) -> Vec<u8> {
        name.encode_utf16().flat_map(|unit| self.upper(unit).to_be_bytes()).collect()
    }
}
