//! The header and the table of blocks, checked. Numbers are little-endian; offsets of fields are those of `VDIHEADER1PLUS` in VirtualBox.

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

/// Length of what is read, in bytes.
const LENGTH: u64 = 512;
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x1_0001;
const SECTOR: u64 = 512;
/// The sizes of a block that are read, in bytes.
const BLOCKS: std::ops::RangeInclusive<u32> = 4096..=256 << 20;
/// The largest table, in bytes.
const MAX_TABLE: u64 = 64 << 20;
/// Entries from here on have no block: never written, or discarded.
const NOWHERE: u32 = u32::MAX - 1;

/// A checked image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The word for reports.
    pub kind: &'static str,
    /// Capacity in bytes, whole sectors.
    pub capacity: u64,
    /// Bytes of a block.
    pub block: u64,
    /// Where the first block is, in bytes.
    pub data: u64,
    table: Vec<u32>,
}

impl Header {
    /// Reads and checks header and table.
    pub fn read(file: &dyn BlockSource) -> Result<Self> {
        let size = file.size();
        if size < LENGTH {
            return Err(bad(format!("it has {size} bytes, fewer than the header of a VDI")));
        }
        let mut header = [0; LENGTH as usize];
        read_exact_at(file, 0, &mut header)?;
        let number = |at: usize| header[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        if number(0x40) != SIGNATURE {
            return Err(bad("it has no header of a VDI".to_owned()));
        }
        if number(0x44) != VERSION {
            return Err(bad(format!(
                "it is of version {}.{}; version 1.1 is read",
                number(0x44) >> 16,
                number(0x44) & 0xffff
            )));
        }
        let kind = match number(0x4c) {
            1 => "dynamic",
            2 => "fixed",
            other => {
                return Err(PluginError::unusable(format!(
                    "it is of type {other}; dynamic (1) and fixed (2) are read"
                ))
                .hint("merge its snapshots first: VBoxManage clonemedium DISK NEW.vdi"));
            }
        };
        // Ids of the image that this one hangs on.
        if header[0x1a8..0x1c8].iter().any(|byte| *byte != 0) {
            return Err(PluginError::unusable("it hangs on another image, and chains of VDI images are not read")
                .hint("merge its snapshots first: VBoxManage clonemedium DISK NEW.vdi"));
        }
        let block = number(0x178);
        if !block.is_power_of_two() || !BLOCKS.contains(&block) || number(0x17c) != 0 {
            return Err(bad(format!(
                "its blocks of {block} bytes and {} more are none that are read (powers of two from {} to {}, and none more)",
                number(0x17c),
                BLOCKS.start(),
                BLOCKS.end()
            )));
        }
        let block = u64::from(block);
        let stated = header[0x170..0x178].try_into().map_or(0, u64::from_le_bytes);
        let capacity = stated
            .checked_next_multiple_of(SECTOR)
            .filter(|capacity| *capacity > 0 && capacity.div_ceil(block) <= u64::from(number(0x180)))
            .ok_or_else(|| {
                bad(format!("its {} blocks of {block} bytes do not make its {stated} bytes", number(0x180)))
            })?;
        let count = capacity.div_ceil(block);
        let (table, data) = (u64::from(number(0x154)), u64::from(number(0x158)));
        if count * 4 > MAX_TABLE {
            return Err(bad(format!("its table takes {} bytes; the limit is {MAX_TABLE}", count * 4)));
        }
        if table + count * 4 > size {
            return Err(bad(format!(
                "its table of {} bytes at offset {table} lies outside of the file of {size} bytes",
                count * 4
            )));
        }
        let mut bytes = vec![0; (count * 4) as usize];
        read_exact_at(file, table, &mut bytes)?;
        let entries = bytes.chunks_exact(4).map(|entry| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]));
        let header = Self { kind, capacity, block, data, table: entries.collect() };
        header.check_blocks(size)?;
        Ok(header)
    }

    fn check_blocks(&self, size: u64) -> Result<()> {
        let mut used: Vec<u32> = self.table.iter().copied().filter(|place| *place < NOWHERE).collect();
        used.sort_unstable();
        if let Some(pair) = used.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(bad(format!("two of its blocks are at one place, {}", pair[0])));
        }
        for number in 0..self.table.len() as u64 {
            let Some(start) = self.place(number) else { continue };
            // The last block may be cut off behind the end of the disk.
            let length = self.block.min(self.capacity - number * self.block);
            if start + length > size {
                return Err(bad(format!(
                    "its block {number}, {length} bytes at offset {start}, lies outside of the file of {size} bytes; the file is cut off or damaged"
                )));
            }
        }
        Ok(())
    }

    /// Where a block is, in bytes; `None`: nowhere.
    pub fn place(&self, number: u64) -> Option<u64> {
        let place = *self.table.get(usize::try_from(number).ok()?)?;
        (place < NOWHERE).then(|| self.data + u64::from(place) * self.block)
    }
}

fn bad(what: String) -> PluginError {
    PluginError::unusable(what).hint("copy the image again from where it came")
}
