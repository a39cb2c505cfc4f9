//! A writer of small hosted sparse files: grains of 4 KiB, both grain directories, an embedded descriptor.
//! Format: "Virtual Disk Format 5.0", section "Hosted Sparse Extents".

use super::{Cell, descriptor, put};

pub const GRAIN: usize = 4096;

/// Where things are in a file of one table, in sectors.
pub const DESCRIPTOR: usize = 1;
pub const REDUNDANT: usize = 4;
pub const REDUNDANT_TABLE: usize = 5;
pub const DIRECTORY: usize = 9;
pub const TABLE: usize = 10;
pub const GRAINS: usize = 16;

/// A file of at most 512 grains that is a whole disk.
pub fn write(cells: &[Cell], sectors: u64, order: Vec<usize>) -> Vec<u8> {
    assert!(cells.len() <= 512);
    let mut file = vec![0; GRAINS * 512];
    put(&mut file, 0, b"KDMV");
    put(&mut file, 4, &1u32.to_le_bytes());
    put(&mut file, 8, &7u32.to_le_bytes());
    let numbers = [(12, sectors), (20, 8), (28, DESCRIPTOR as u64), (36, 3), (48, REDUNDANT as u64)];
    for (at, number) in numbers.into_iter().chain([(56, DIRECTORY as u64), (64, GRAINS as u64)]) {
        put(&mut file, at, &number.to_le_bytes());
    }
    put(&mut file, 44, &512u32.to_le_bytes());
    put(&mut file, 73, b"\n \r\n");
    let text = descriptor("monolithicSparse", 0x5eed, None, &format!("RW {sectors} SPARSE \"x.vmdk\""));
    put(&mut file, DESCRIPTOR * 512, text.as_bytes());
    put(&mut file, REDUNDANT * 512, &(REDUNDANT_TABLE as u32).to_le_bytes());
    put(&mut file, DIRECTORY * 512, &(TABLE as u32).to_le_bytes());
    for index in order {
        let entry = match &cells[index] {
            Cell::Absent => continue,
            Cell::Zero => 1,
            Cell::Data(bytes) => {
                file.extend_from_slice(bytes);
                ((file.len() - GRAIN) / 512) as u32
            }
        };
        for table in [REDUNDANT_TABLE, TABLE] {
            put(&mut file, table * 512 + index * 4, &entry.to_le_bytes());
        }
    }
    file
}
