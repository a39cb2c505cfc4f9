//! One image: where each of its sectors is stored.
//!
//! A fixed image stores all. The others have a table of blocks, and each block a bitmap of its sectors in front of it ("Block Allocation Table and
//! Data Blocks"). Every entry of the table is checked against the file, and against all else that
//! is in it, when the image is opened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_image_layout::{Part, refuse_blocks, refuse_overlaps};
use vmdk2kvm_plugin_api::{BlockSource, Result, read_exact_at};

use crate::footer::{Footer, Kind, LENGTH, bad};
use crate::header::Header;

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// An entry without a block.
const UNUSED: u32 = u32::MAX;
/// Bytes of tables of all images of a chain.
pub const MAX_TABLES: u64 = 64 << 20;
/// Bytes of bitmaps that are kept for an image before all are forgotten.
const KEPT_BITMAPS: usize = 8 << 20;

/// An opened image.
pub struct Image {
    /// Its object, which messages name.
    pub object: String,
    /// Its file.
    pub file: Arc<dyn BlockSource>,
    /// Capacity in bytes.
    pub capacity: u64,
    blocks: Option<Blocks>,
}

/// The blocks of an image that is not fixed.
struct Blocks {
    /// First sector of each block, bitmap included.
    table: Vec<u32>,
    block: u64,
    /// Bytes of a block's bitmap, whole sectors.
    bitmap: u64,
    bitmaps: Mutex<Bitmaps>,
}

/// Bitmaps that were read, by the first sector of their block.
#[derive(Default)]
struct Bitmaps {
    known: HashMap<u32, Arc<[u8]>>,
    bytes: usize,
}

impl Image {
    /// Opens an image whose footer and header were read. `tables` is what tables may still take, in bytes.
    pub fn open(
        object: String,
        file: Arc<dyn BlockSource>,
        footer: &Footer,
        header: Option<&Header>,
        tables: &mut u64,
    ) -> Result<Self> {
        let capacity = footer.capacity;
        let blocks = match (footer.kind, header) {
            (Kind::Fixed, _) | (_, None) => {
                if file.size() - LENGTH < capacity {
                    return Err(bad(format!(
                        "its disk of {capacity} bytes does not fit into the file of {} bytes; the file is cut off",
                        file.size()
                    )));
                }
                None
            }
            (_, Some(header)) => Some(Blocks::open(&*file, footer, header, tables)?),
        };
        Ok(Self { object, file, capacity, blocks })
    }

    /// The unit in which it is stored, in bytes; `None` for a fixed image.
    pub fn block(&self) -> Option<u64> {
        self.blocks.as_ref().map(|blocks| blocks.block)
    }

    /// Tells what `start..end` (inside the disk) is made of, in order: stretches, and where in the file they are; `None`: not in this image.
    pub fn walk(&self, start: u64, end: u64, visit: &mut dyn FnMut(u64, u64, Option<u64>) -> Result<()>) -> Result<()> {
        let Some(blocks) = &self.blocks else { return visit(start, end, Some(start)) };
        let mut at = start;
        while at < end {
            let number = at / blocks.block;
            let mut stop = ((number + 1) * blocks.block).min(end);
            let first = blocks.table[number as usize];
            if first == UNUSED {
                // Unused blocks are told as one stretch, so that the cost of a map grows with the data.
                while stop < end && blocks.table[(stop / blocks.block) as usize] == UNUSED {
                    stop = (stop + blocks.block).min(end);
                }
                visit(at, stop, None)?;
                at = stop;
                continue;
            }
            let begin = number * blocks.block;
            let data = u64::from(first) * SECTOR + blocks.bitmap;
            let bitmap = blocks.bitmap(&*self.file, first)?;
            while at < stop {
                let (set, until) = run(&bitmap, (at - begin) / SECTOR, (stop - begin).div_ceil(SECTOR));
                let until = (begin + until * SECTOR).min(stop);
                visit(at, until, set.then_some(data + (at - begin)))?;
                at = until;
            }
        }
        Ok(())
    }
}

/// Whether the bit of `from` is set, and where before `end` the run of equal bits ends. The first sector is the highest bit of the first byte.
fn run(bitmap: &[u8], from: u64, end: u64) -> (bool, u64) {
    let bit = |sector: u64| bitmap[(sector / 8) as usize] & (0x80 >> (sector % 8)) != 0;
    let set = bit(from);
    let same = if set { 0xff } else { 0 };
    let mut at = from + 1;
    while at < end {
        if at % 8 == 0 && bitmap[(at / 8) as usize] == same {
            at += 8;
        } else if bit(at) == set {
            at += 1;
        } else {
            return (set, at);
        }
    }
    (set, end)
}

impl Blocks {
    fn open(file: &dyn BlockSource, footer: &Footer, header: &Header, tables: &mut u64) -> Result<Self> {
        let capacity = footer.capacity;
        let count = capacity.div_ceil(header.block);
        if count > u64::from(header.entries) {
            return Err(bad(format!(
                "its table of {} blocks of {} bytes is too short for its {capacity} bytes",
                header.entries, header.block
            )));
        }
        let length = count * 4;
        if length > *tables {
            return Err(bad(format!("the tables of its chain take more than {MAX_TABLES} bytes")));
        }
        *tables -= length;
        if header.table.checked_add(length).is_none_or(|end| end > file.size()) {
            return Err(bad(format!(
                "its table of {length} bytes at offset {} lies outside of the file of {} bytes",
                header.table,
                file.size()
            )));
        }
        let mut bytes = vec![0; length as usize];
        read_exact_at(file, header.table, &mut bytes)?;
        let table: Vec<u32> =
            bytes.chunks_exact(4).map(|entry| u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]])).collect();
        drop(bytes);
        let mut parts = header.parts.clone();
        parts.push(Part::new("copy of the footer", 0, LENGTH));
        if footer.at_end {
            parts.push(Part::new("footer", file.size() - LENGTH, LENGTH));
        }
        parts.push(Part::new("table", header.table, length));
        refuse_overlaps(&mut parts).map_err(bad)?;
        let bitmap = (header.block / SECTOR / 8).next_multiple_of(SECTOR);
        for (number, first) in table.iter().enumerate().filter(|(_, first)| **first != UNUSED) {
            let start = u64::from(*first) * SECTOR;
            // The last block may be cut off behind the end of the disk.
            let length = bitmap + header.block.min(capacity - number as u64 * header.block);
            if start + length > file.size() {
                return Err(bad(format!(
                    "its block {number}, {length} bytes at offset {start}, lies outside of the file of {} bytes; the file is cut off or damaged",
                    file.size()
                )));
            }
        }
        // The last block may be the shorter one.
        let (others, last) = table.split_at(table.len() - 1);
        for first in last.iter().filter(|first| **first != UNUSED) {
            let length = bitmap + header.block.min(capacity - (count - 1) * header.block);
            parts.push(Part::new("last block", u64::from(*first) * SECTOR, length));
        }
        refuse_overlaps(&mut parts).map_err(bad)?;
        let sectors = others.iter().copied().filter(|first| *first != UNUSED).collect();
        refuse_blocks::<u32>(sectors, SECTOR, bitmap + header.block, &parts).map_err(bad)?;
        Ok(Self { table, block: header.block, bitmap, bitmaps: Mutex::default() })
    }

    fn bitmap(&self, file: &dyn BlockSource, first: u32) -> Result<Arc<[u8]>> {
        if let Some(known) = self.bitmaps.lock().unwrap_or_else(PoisonError::into_inner).known.get(&first) {
            return Ok(Arc::clone(known));
        }
        let mut bytes = vec![0; self.bitmap as usize];
        read_exact_at(file, u64::from(first) * SECTOR, &mut bytes)?;
        let bitmap: Arc<[u8]> = bytes.into();
        let mut kept = self.bitmaps.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bitmap.len() > KEPT_BITMAPS {
            *kept = Bitmaps::default();
        }
        if kept.known.insert(first, Arc::clone(&bitmap)).is_none() {
            kept.bytes += bitmap.len();
        }
        Ok(bitmap)
    }
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn runs_of_bits_end_where_they_change() {
        let bitmap = [0b1110_0000, 0xff, 0xff, 0b1000_0000, 0, 0, 1];
        for (from, end, expected) in [
            (0, 56, (true, 3)),
            (1, 2, (true, 2)),
            (3, 56, (false, 8)),
            (8, 56, (true, 25)),
            (25, 56, (false, 55)),
            (25, 30, (false, 30)),
            (55, 56, (true, 56)),
        ] {
            assert_eq!(run(&bitmap, from, end), expected, "{from}..{end}");
        }
    }
}
