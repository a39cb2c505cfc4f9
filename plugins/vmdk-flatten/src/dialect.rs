//! What the entries of a grain directory and of a grain table mean, in the three sparse formats.
//!
//! They differ in the width of an entry, in how many make a table, and in what a number stands for; here every one becomes a byte
//! of the file, [`ABSENT`] or [`ZERO`]. Hosted: "Virtual Disk Format 5.0", "Hosted Sparse Extents". COWD: the same, "ESX Server
//! Sparse Extents". seSparse is not specified; the facts are those that qemu's and libvmdk's readers agree on.

/// An entry that points nowhere: no table, or a grain that this link does not hold.
pub const ABSENT: u64 = 0;

/// An entry of a grain that this link says is zeros. No grain begins at byte 1.
pub const ZERO: u64 = 1;

/// Entries of a block, the unit in which directories and tables are read and kept. Tables are whole blocks.
pub const ENTRIES: usize = 512;

const SECTOR: u64 = crate::storage::SECTOR;

/// The type of a seSparse entry is its highest hexadecimal digit.
const SE_TYPE: u64 = 0xf << 60;

/// How entries of one sparse file are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `KDMV`: sector numbers of 32 bits.
    Hosted {
        /// Whether a table entry of 1 is a grain of zeros.
        zero_grains: bool,
    },
    /// `COWD`: sector numbers of 32 bits.
    Cowd,
    /// seSparse: 64 bits, a type and a number of a table or grain.
    SeSparse {
        /// Where the tables begin, in bytes.
        tables: u64,
        /// Where the grains begin, in bytes.
        grains: u64,
    },
}

impl Dialect {
    /// Bytes of an entry.
    pub fn width(self) -> u64 {
        match self {
            Self::Hosted { .. } | Self::Cowd => 4,
            Self::SeSparse { .. } => 8,
        }
    }

    /// Blocks of a table: tables have 512 entries, those of ESX 4,096.
    pub fn table_blocks(self) -> u64 {
        match self {
            Self::Hosted { .. } => 1,
            Self::Cowd | Self::SeSparse { .. } => 8,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> u64 {
        self.width() * ENTRIES as u64
    }

    /// Bytes of a table.
    pub fn table_bytes(self) -> u64 {
        self.block_bytes() * self.table_blocks()
    }

    /// The numbers in `bytes`, which are at most a block.
    pub fn numbers(self, bytes: &[u8]) -> Box<[u64; ENTRIES]> {
        let mut numbers = Box::new([0; ENTRIES]);
        let low = |bytes: &[u8]| u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let width = self.width() as usize;
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(width)) {
            *number = if width == 4 { low(bytes) } else { low(bytes) | low(&bytes[4..]) << 32 };
        }
        numbers
    }

    /// Where the table of this directory entry begins, or [`ABSENT`]; `None` when the entry means nothing.
    pub fn table(self, number: u64) -> Option<u64> {
        match self {
            Self::Hosted { .. } | Self::Cowd => Some(number * SECTOR),
            Self::SeSparse { .. } if number == 0 => Some(ABSENT),
            // 64 TiB have 2^22 tables, so that the upper half holds the type alone.
            Self::SeSparse { tables, .. } if number >> 32 == 0x1000_0000 => {
                (number & 0xffff_ffff).checked_mul(self.table_bytes())?.checked_add(tables)
            }
            Self::SeSparse { .. } => None,
        }
    }

    /// Where the grain of this table entry begins, [`ABSENT`] or [`ZERO`]; or what is wrong with the entry.
    pub fn grain(self, number: u64) -> Result<u64, &'static str> {
        match self {
            Self::Hosted { zero_grains: true } if number == 1 => Ok(ZERO),
            Self::Hosted { .. } if number == 1 => Err("is marked as zeros, which its header does not allow"),
            Self::Hosted { .. } | Self::Cowd => Ok(number * SECTOR),
            Self::SeSparse { grains, .. } => match number & SE_TYPE {
                0 if number == 0 => Ok(ABSENT),
                // Unmapped by the guest (the number is where the grain was), and written as zeros: both read as zeros.
                0x1000_0000_0000_0000 | 0x2000_0000_0000_0000 => Ok(ZERO),
                0x3000_0000_0000_0000 => {
                    // The grain's number is stored rotated: its lower twelve bits are above the other 48.
                    let index = (number & 0x0fff_0000_0000_0000) >> 48 | (number & 0x0000_ffff_ffff_ffff) << 12;
                    let begin = index.checked_mul(crate::se_sparse::GRAIN).and_then(|at| at.checked_add(grains));
                    begin.ok_or("lies outside of every file")
                }
                _ => Err("has an entry of a type that is not known"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_se_sparse() {
        let dialect = Dialect::SeSparse { tables: 1 << 20, grains: 1 << 30 };
        assert_eq!(dialect.table(0), Some(ABSENT));
        assert_eq!(dialect.table(0x1000_0000_0000_0003), Some((1 << 20) + 3 * 32768));
        for odd in [3, 0x2000_0000_0000_0003, 0x1000_0001_0000_0000, u64::MAX] {
            assert_eq!(dialect.table(odd), None);
        }
        assert_eq!(dialect.grain(0), Ok(ABSENT));
        assert_eq!(dialect.grain(0x1000_0000_0000_0000), Ok(ZERO));
        assert_eq!(dialect.grain(0x2abc_0000_0000_0001), Ok(ZERO));
        // Grain 0x5123 is stored as 0x123 above 5.
        assert_eq!(dialect.grain(0x3123_0000_0000_0005), Ok((1 << 30) + 0x5123 * 4096));
        assert_eq!(dialect.grain(0x3fff_ffff_ffff_ffff), Err("lies outside of every file"));
        assert_eq!(dialect.grain(7), Err("has an entry of a type that is not known"));
        assert_eq!(dialect.grain(0x4000_0000_0000_0000), Err("has an entry of a type that is not known"));
    }

    #[test]
    fn entries_of_the_older_formats() {
        assert_eq!(Dialect::Cowd.grain(1), Ok(512));
        assert_eq!(Dialect::Hosted { zero_grains: true }.grain(1), Ok(ZERO));
        assert!(Dialect::Hosted { zero_grains: false }.grain(1).is_err());
        assert_eq!(Dialect::Cowd.table_bytes(), 16384);
        assert_eq!(Dialect::Cowd.numbers(&[1, 0, 0, 0, 2, 0, 0, 0])[..3], [1, 2, 0]);
    }
}
