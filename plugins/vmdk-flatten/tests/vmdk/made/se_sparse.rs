//! A writer of `seSparse` extents, after the facts that qemu's reader checks.

use super::{Cell, put};

const TABLE_ENTRIES: usize = 4096;
const GRAIN: usize = 4096;

/// Where things are, in sectors.
pub const VOLATILE: usize = 1;
pub const DIRECTORY: usize = 8;
pub const TABLES: usize = 64;

/// Where fields of the header are, in bytes.
pub const FIELD_VERSION: usize = 8;
pub const FIELD_CAPACITY: usize = 16;
pub const FIELD_GRAIN: usize = 24;
pub const FIELD_TABLE: usize = 32;
pub const FIELD_FLAGS: usize = 40;
pub const FIELD_RESERVED: usize = 48;
pub const FIELD_VOLATILE: usize = 80;
pub const FIELD_DIRECTORY: usize = 128;
pub const FIELD_DIRECTORY_SIZE: usize = 136;
pub const FIELD_TABLES: usize = 144;
pub const FIELD_GRAINS: usize = 192;
/// In the volatile header.
pub const FIELD_REPLAY: usize = 24;

/// The extent of a disk of `sectors`. Grains are numbered in the order of the writes; zeros are stored as both types that mean them.
pub fn write(cells: &[Cell], sectors: u64, order: Vec<usize>) -> Vec<u8> {
    let tables = cells.len().div_ceil(TABLE_ENTRIES);
    assert!(tables * 8 <= (TABLES - DIRECTORY) * 512);
    let grains = (TABLES * 512 + tables * TABLE_ENTRIES * 8).next_multiple_of(GRAIN);
    let mut file = vec![0; grains];
    let directory_sectors = (tables * 8).div_ceil(512) as u64;
    let numbers = [
        (0, 0xcafe_babe),
        (FIELD_VERSION, 0x2_0000_0001),
        (FIELD_CAPACITY, sectors),
        (FIELD_GRAIN, 8),
        (FIELD_TABLE, 64),
        (FIELD_VOLATILE, VOLATILE as u64),
        (FIELD_VOLATILE + 8, 1),
        (FIELD_DIRECTORY, DIRECTORY as u64),
        (FIELD_DIRECTORY_SIZE, directory_sectors),
        (FIELD_TABLES, TABLES as u64),
        (FIELD_TABLES + 8, tables as u64 * 64),
        (FIELD_GRAINS, grains as u64 / 512),
        (FIELD_GRAINS + 8, sectors),
        (VOLATILE * 512, 0xcafe_cafe),
        (VOLATILE * 512 + 16, 1),
    ];
    for (at, number) in numbers {
        put(&mut file, at, &u64::to_le_bytes(number));
    }
    let (mut next_table, mut next_grain) = (0u64, 0u64);
    for index in order {
        let entry = match &cells[index] {
            Cell::Absent => continue,
            Cell::Zero => [0x1000_0000_0000_0000, 0x2000_0000_0000_0000][index % 2],
            Cell::Data(bytes) => {
                file.extend_from_slice(bytes);
                let number = next_grain;
                next_grain += 1;
                0x3000_0000_0000_0000 | (number & 0xfff) << 48 | number >> 12
            }
        };
        let listed = DIRECTORY * 512 + index / TABLE_ENTRIES * 8;
        let table = match u64::from_le_bytes(file[listed..listed + 8].try_into().unwrap()) {
            0 => {
                put(&mut file, listed, &(0x1000_0000_0000_0000 | next_table).to_le_bytes());
                next_table += 1;
                next_table - 1
            }
            listed => listed & 0xffff_ffff,
        };
        let at = TABLES * 512 + table as usize * TABLE_ENTRIES * 8 + index % TABLE_ENTRIES * 8;
        put(&mut file, at, &entry.to_le_bytes());
    }
    file
}
