//! A writer of `vmfsSparse` extents (COWD), as ESX leaves them: tables made when their first grain is written, grains in the order of
//! the writes. Format: "Virtual Disk Format 5.0", section "ESX Server Sparse Extents".

use super::{Cell, put};

const TABLE_ENTRIES: usize = 4096;

/// Where fields are, in bytes.
pub const FIELD_CAPACITY: usize = 12;
pub const FIELD_GRAIN: usize = 16;
pub const FIELD_DIRECTORY: usize = 20;
pub const FIELD_ENTRIES: usize = 24;
pub const FIELD_UNCLEAN: usize = 1648;

/// Where the grain directory is, in sectors.
pub const DIRECTORY: usize = 4;

/// The extent of a disk of `sectors` whose grains have `grain` sectors each.
pub fn write(cells: &[Cell], grain: usize, sectors: u32, order: Vec<usize>) -> Vec<u8> {
    let tables = cells.len().div_ceil(TABLE_ENTRIES);
    let mut file = vec![0; (DIRECTORY * 512 + tables * 4).next_multiple_of(512)];
    put(&mut file, 0, b"COWD");
    let numbers = [1, 3, sectors, grain as u32, DIRECTORY as u32, tables as u32];
    for (index, number) in numbers.iter().enumerate() {
        put(&mut file, 4 + index * 4, &number.to_le_bytes());
    }
    for index in order {
        let Cell::Data(bytes) = &cells[index] else { continue };
        let entry = DIRECTORY * 512 + index / TABLE_ENTRIES * 4;
        let table = match sector_at(&file, entry) {
            0 => {
                let table = file.len();
                put(&mut file, entry, &((table / 512) as u32).to_le_bytes());
                file.resize(table + TABLE_ENTRIES * 4, 0);
                table
            }
            sector => sector * 512,
        };
        let place = (file.len() / 512) as u32;
        put(&mut file, table + index % TABLE_ENTRIES * 4, &place.to_le_bytes());
        file.extend_from_slice(bytes);
    }
    let end = (file.len() / 512) as u32;
    put(&mut file, 28, &end.to_le_bytes());
    file
}

fn sector_at(file: &[u8], at: usize) -> usize {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize
}
