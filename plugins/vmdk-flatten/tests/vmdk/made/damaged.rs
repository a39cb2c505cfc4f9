//! Damaged disks made by code: of each format that no program at hand writes, a whole file and what is done to it, with the sentence
//! it is refused with. The plugin's own tests read them, and so does the hostile corpus of the whole program.

use super::{Cell, Noise, cowd, hosted, put, se_sparse, stream};

/// What is wrong, the sentence behind the file's name, and how to get there.
pub type Case = (&'static str, fn(&mut Vec<u8>));

/// A file that is the one extent of a disk, and its damages.
pub struct Extents {
    pub create_type: &'static str,
    /// The extent's line in a descriptor; the file is called `x`.
    pub extent: &'static str,
    pub good: Vec<u8>,
    pub cases: &'static [Case],
}

/// Every format.
pub fn all() -> [Extents; 4] {
    [cowd_extents(), se_sparse_extents(), hosted_extents(), streams()]
}

pub fn long(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

fn data(count: usize, grain: usize) -> Vec<Cell> {
    (0..count).map(|number| Cell::Data(vec![(number % 255) as u8 + 1; grain])).collect()
}

/// 5,000 sectors: two tables at grains of one sector. The grains are in order: header, directory, table, 4,096 grains, and so on.
fn cowd_extents() -> Extents {
    const DIRECTORY: usize = cowd::DIRECTORY * 512;
    const TABLE: usize = DIRECTORY + 512;
    const CASES: &[Case] = &[
        ("it is too short for a COWD header: 2047 bytes", |b| b.truncate(2047)),
        ("it is too short for a COWD header: 0 bytes", |b| b.clear()),
        ("it is not a vmfsSparse extent: its first bytes are not COWD", |b| put(b, 0, b"KDMV")),
        ("version 0 of the COWD format is not known (1 is)", |b| put(b, 4, &[0])),
        ("version 4294967295 of the COWD format is not known (1 is)", |b| put(b, 4, &[0xff; 4])),
        ("its grain size of 0 sectors is not a power of two between 1 and 4096", |b| put(b, cowd::FIELD_GRAIN, &[0])),
        ("its grain size of 3 sectors is not a power of two between 1 and 4096", |b| put(b, cowd::FIELD_GRAIN, &[3])),
        ("its grain size of 8192 sectors is not a power of two between 1 and 4096", |b| {
            put(b, cowd::FIELD_GRAIN, &8192u32.to_le_bytes())
        }),
        ("its grain size of 2147483648 sectors is not a power of two between 1 and 4096", |b| {
            put(b, cowd::FIELD_GRAIN, &(1u32 << 31).to_le_bytes())
        }),
        ("the sparse extent has 0 bytes, and its descriptor says 2560000", |b| put(b, cowd::FIELD_CAPACITY, &[0; 4])),
        ("the sparse extent has 2560512 bytes, and its descriptor says 2560000", |b| {
            put(b, cowd::FIELD_CAPACITY, &5001u32.to_le_bytes())
        }),
        ("its grain directory has 2 entries, and its capacity needs 1048576", |b| {
            put(b, cowd::FIELD_CAPACITY, &[0xff; 4])
        }),
        ("its grain directory has 1 entries, and its capacity needs 2", |b| put(b, cowd::FIELD_ENTRIES, &[1])),
        ("its grain directory of 8 bytes at offset 0 lies outside of the file of 2595328 bytes", |b| {
            put(b, cowd::FIELD_DIRECTORY, &[0])
        }),
        ("its grain directory of 8 bytes at offset 2199023255040 lies outside of the file of 2595328 bytes", |b| {
            put(b, cowd::FIELD_DIRECTORY, &[0xff; 4])
        }),
        ("its grain table 0 lies outside of the file: at sector 4294967295, and the file has 2595328 bytes", |b| {
            put(b, DIRECTORY, &[0xff; 4])
        }),
        ("its grain table 0 overlaps the file's own header or directory", |b| put(b, DIRECTORY, &[1, 0, 0, 0])),
        ("its grain table 1 overlaps the file's own header or directory", |b| put(b, DIRECTORY + 4, &[4, 0, 0, 0])),
        ("its grain directory lists overlapping tables at sector 5", |b| put(b, DIRECTORY + 4, &[5, 0, 0, 0])),
        ("its grain directory lists overlapping tables at sector 6", |b| put(b, DIRECTORY + 4, &[6, 0, 0, 0])),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| {
            put(b, TABLE, &[1, 0, 0, 0])
        }),
        ("the grain at byte 512 of the disk overlaps the file's own header, directory or table", |b| {
            put(b, TABLE + 4, &[5, 0, 0, 0])
        }),
        ("two grains within bytes 0 to 262144 of the disk share sector 38 of the file", |b| {
            put(b, TABLE, &38u32.to_le_bytes())
        }),
        (
            "the grain at byte 512 of the disk lies outside of the file: at sector 4026531840, and the file has 2595328 bytes",
            |b| put(b, TABLE + 4, &[0, 0, 0, 0xf0]),
        ),
        (
            "the grain at byte 2559488 of the disk lies outside of the file: at sector 5068, and the file has 2595327 bytes",
            |b| b.truncate(b.len() - 1),
        ),
    ];
    let good = cowd::write(&data(5000, 512), 1, 5000, (0..5000).collect());
    assert_eq!(good.len(), 2_595_328, "the sentences below name sizes");
    Extents { create_type: "vmfsSparse", extent: "RW 5000 VMFSSPARSE \"x\"", good, cases: CASES }
}

/// 40,000 sectors: two tables.
fn se_sparse_extents() -> Extents {
    const DIRECTORY: usize = se_sparse::DIRECTORY * 512;
    const TABLES: usize = se_sparse::TABLES * 512;
    const CASES: &[Case] = &[
        ("it is too short for a seSparse header: 511 bytes", |b| b.truncate(511)),
        ("it is not a seSparse extent: its first bytes are not 0xcafebabe", |b| put(b, 0, b"COWD")),
        ("it is not a seSparse extent: its first bytes are not 0xcafebabe", |b| put(b, 7, &[1])),
        ("version 0x100000001 of the seSparse format is not known (0x200000001 is)", |b| {
            put(b, se_sparse::FIELD_VERSION + 4, &[1])
        }),
        ("its grains of 16 and tables of 64 sectors are not the 8 and 64 that are known", |b| {
            put(b, se_sparse::FIELD_GRAIN, &[16])
        }),
        ("its grains of 18446744073709551615 and tables of 64 sectors are not the 8 and 64 that are known", |b| {
            put(b, se_sparse::FIELD_GRAIN, &[0xff; 8])
        }),
        ("its grains of 8 and tables of 0 sectors are not the 8 and 64 that are known", |b| {
            put(b, se_sparse::FIELD_TABLE, &[0])
        }),
        ("its header has flags or fields that are not known", |b| put(b, se_sparse::FIELD_FLAGS, &[1])),
        ("its header has flags or fields that are not known", |b| put(b, se_sparse::FIELD_RESERVED + 31, &[1])),
        ("its header has an absurd capacity", |b| put(b, se_sparse::FIELD_CAPACITY, &[0xff; 8])),
        ("its header has a capacity of 562949953421312 bytes: more than 64 TiB", |b| {
            put(b, se_sparse::FIELD_CAPACITY, &long(1 << 40))
        }),
        ("the sparse extent has 20475904 bytes, and its descriptor says 20480000", |b| {
            put(b, se_sparse::FIELD_CAPACITY, &long(39_992))
        }),
        ("its grain directory has 512 bytes, and its capacity needs 33554432", |b| {
            put(b, se_sparse::FIELD_CAPACITY, &long(1 << 37))
        }),
        ("its grain directory has 0 bytes, and its capacity needs 16", |b| {
            put(b, se_sparse::FIELD_DIRECTORY_SIZE, &long(0))
        }),
        ("its header has an absurd grain directory size", |b| put(b, se_sparse::FIELD_DIRECTORY_SIZE, &[0xff; 8])),
        ("its header has an absurd grain directory offset", |b| put(b, se_sparse::FIELD_DIRECTORY, &[0xff; 8])),
        ("its grain directory of 16 bytes at offset 562949953421312 lies outside of the file of 143360 bytes", |b| {
            put(b, se_sparse::FIELD_DIRECTORY, &long(1 << 40))
        }),
        ("its header has an absurd grain table offset", |b| put(b, se_sparse::FIELD_TABLES, &[0xff; 8])),
        ("its header has an absurd grain offset", |b| put(b, se_sparse::FIELD_GRAINS, &[0xff; 8])),
        ("its header has an absurd volatile header offset", |b| put(b, se_sparse::FIELD_VOLATILE, &[0xff; 8])),
        ("its volatile header at offset 143360 lies outside of the file of 143360 bytes", |b| {
            put(b, se_sparse::FIELD_VOLATILE, &long(280))
        }),
        ("its volatile header does not begin with 0xcafecafe", |b| put(b, se_sparse::FIELD_VOLATILE, &[0])),
        ("its journal holds changes that were not applied: its last writer did not close it", |b| {
            put(b, se_sparse::VOLATILE * 512 + se_sparse::FIELD_REPLAY, &[1])
        }),
        ("its grain table 0 has a directory entry that means nothing", |b| put(b, DIRECTORY + 7, &[0x20])),
        ("its grain table 0 has a directory entry that means nothing", |b| put(b, DIRECTORY + 4, &[1])),
        ("its grain table 1 has a directory entry that means nothing", |b| put(b, DIRECTORY + 15, &[0])),
        ("its grain table 1 lies outside of the file: at sector 274877907008, and the file has 143360 bytes", |b| {
            put(b, DIRECTORY + 8, &[0xfe, 0xff, 0xff, 0xff]);
            put(b, se_sparse::FIELD_TABLES, &long(192));
        }),
        ("its grain directory lists overlapping tables at sector 64", |b| put(b, DIRECTORY + 8, &[0])),
        ("its header has an absurd grain table offset", |b| put(b, se_sparse::FIELD_TABLES, &long(0))),
        ("its grain table 0 overlaps the file's own header or directory", |b| {
            put(b, se_sparse::FIELD_TABLES, &long(8))
        }),
        ("the grain at byte 0 of the disk has an entry of a type that is not known", |b| put(b, TABLES + 7, &[0x40])),
        ("the grain at byte 4096 of the disk has an entry of a type that is not known", |b| put(b, TABLES + 15, &[0])),
        ("the grain at byte 0 of the disk lies outside of every file", |b| put(b, TABLES, &[0xff; 7])),
        (
            "the grain at byte 0 of the disk lies outside of the file: at sector 32960, and the file has 143360 bytes",
            |b| put(b, TABLES, &[1]),
        ),
        ("two grains within bytes 0 to 2097152 of the disk share sector 200 of the file", |b| put(b, TABLES + 6, &[1])),
        ("its header has an absurd grain offset", |b| put(b, se_sparse::FIELD_GRAINS, &long(0))),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| {
            put(b, se_sparse::FIELD_GRAINS, &long(8))
        }),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| {
            put(b, se_sparse::FIELD_GRAINS, &long(64))
        }),
        (
            "the grain at byte 16777216 of the disk lies outside of the file: at sector 272, and the file has 143359 bytes",
            |b| b.truncate(b.len() - 1),
        ),
    ];
    let mut cells = data(10, 4096);
    cells.resize(4096, Cell::Absent);
    cells.push(Cell::Data(vec![9; 4096]));
    cells.resize(5000, Cell::Zero);
    let good = se_sparse::write(&cells, 40_000, (0..5000).collect());
    assert_eq!(good.len(), 143_360, "the sentences below name sizes");
    Extents { create_type: "seSparse", extent: "RW 40000 SESPARSE \"x\"", good, cases: CASES }
}

/// 128 sectors, without the redundant copy, which would heal it.
fn hosted_extents() -> Extents {
    const DIRECTORY: usize = hosted::DIRECTORY * 512;
    const TABLE: usize = hosted::TABLE * 512;
    const CASES: &[Case] = &[
        ("its grain table 0 overlaps the file's own header or directory", |b| put(b, DIRECTORY, &[9])),
        ("its grain table 0 overlaps the file's own header or directory", |b| put(b, DIRECTORY, &[6])),
        ("its grain table 0 lies outside of the file: at sector 141, and the file has 73728 bytes", |b| {
            put(b, DIRECTORY, &[141])
        }),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| put(b, TABLE, &[9])),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| put(b, TABLE, &[2])),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| {
            put(b, TABLE, &[13])
        }),
        ("two grains within bytes 0 to 2097152 of the disk share sector 24 of the file", |b| put(b, TABLE, &[24])),
        ("two grains within bytes 0 to 2097152 of the disk share sector 23 of the file", |b| put(b, TABLE + 4, &[23])),
        ("two grains within bytes 0 to 2097152 of the disk share sector 129 of the file", |b| put(b, TABLE, &[129])),
        (
            "the grain at byte 0 of the disk lies outside of the file: at sector 137, and the file has 73728 bytes",
            |b| put(b, TABLE, &[137]),
        ),
        ("the sparse extent has 68719476736 bytes, and its descriptor says 65536", |b| put(b, 12, &long(1 << 27))),
        ("the sparse extent has 0 bytes, and its descriptor says 65536", |b| put(b, 12, &[0])),
        ("it does not say where its grain directory is", |b| {
            put(b, 12, &[0]);
            put(b, 56, &[0xff; 8]);
        }),
    ];
    let mut good = hosted::write(&data(16, hosted::GRAIN), 128, (0..16).collect());
    put(&mut good, 8, &[5]);
    assert_eq!(good.len(), 73_728, "the sentences below name sizes");
    Extents { create_type: "monolithicSparse", extent: "RW 128 SPARSE \"x\"", good, cases: CASES }
}

/// Two tables of which the first has four grains and the second one, behind the 128 sectors of header and descriptor.
fn streams() -> Extents {
    const FIRST: usize = 128 * 512;
    const TABLE: usize = 466 * 512;
    const LAST: usize = 470 * 512;
    const DIRECTORY: usize = 477 * 512;
    const FOOTER: usize = 246_272 - 1024;
    const CASES: &[Case] = &[
        (
            "the compressed grain at byte 0 of the disk (sector 128 of the file) bears the marker of sector 128 instead of 0",
            |b| put(b, FIRST, &[128]),
        ),
        (
            "the compressed grain at byte 0 of the disk (sector 128 of the file) bears the marker of sector 9223372036854775808 instead of 0",
            |b| put(b, FIRST + 7, &[0x80]),
        ),
        (
            "the compressed grain at byte 0 of the disk (sector 212 of the file) bears the marker of sector 128 instead of 0",
            |b| put(b, TABLE, &[212, 0, 0, 0, 128, 0, 0, 0]),
        ),
        (
            "the compressed grain at byte 33554432 of the disk (sector 470 of the file) is cut off by the end of the file",
            |b| put(b, LAST + 8, &6000u32.to_le_bytes()),
        ),
        (
            "the compressed grain at byte 33554432 of the disk (sector 470 of the file) has a marker with the impossible length 75000",
            |b| put(b, LAST + 8, &75_000u32.to_le_bytes()),
        ),
        ("the compressed grain at byte 0 of the disk is not a valid zlib stream", |b| put(b, FIRST + 12, &[0x79])),
        ("the compressed grain at byte 0 of the disk is not a valid zlib stream", |b| put(b, FIRST + 8, &[20, 0])),
        ("the compressed grain at byte 33554432 of the disk is not a valid zlib stream", |b| {
            let length = u32::from_le_bytes(b[LAST + 8..LAST + 12].try_into().unwrap()) as usize;
            b[LAST + 12 + length - 1] ^= 1; // The checksum of the content.
        }),
        ("two grains within bytes 0 to 33554432 of the disk share sector 212 of the file", |b| put(b, TABLE, &[212])),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| {
            put(b, TABLE, &466u32.to_le_bytes())
        }),
        ("the grain at byte 0 of the disk overlaps the file's own header, directory or table", |b| {
            put(b, TABLE, &477u32.to_le_bytes())
        }),
        ("the grain at byte 0 of the disk is marked as zeros, which its header does not allow", |b| {
            put(b, TABLE, &[1])
        }),
        (
            "the grain at byte 0 of the disk lies outside of the file: at sector 481, and the file has 246272 bytes",
            |b| put(b, TABLE, &481u32.to_le_bytes()),
        ),
        ("its grain table 0 lies outside of the file: at sector 478, and the file has 246272 bytes", |b| {
            put(b, DIRECTORY, &478u32.to_le_bytes())
        }),
        ("its grain table 0 overlaps the file's own header or directory", |b| put(b, DIRECTORY, &477u32.to_le_bytes())),
        ("its grain directory lists overlapping tables at sector 466", |b| {
            put(b, DIRECTORY + 4, &466u32.to_le_bytes())
        }),
        ("its grain directory of 8 bytes at offset 0 lies outside of the file of 246272 bytes", |b| {
            put(b, FOOTER + 56, &[0; 8])
        }),
        ("its compression algorithm 0 contradicts its flags 0x30001", |b| put(b, FOOTER + 77, &[0])),
        ("its footer and its header contradict each other", |b| put(b, FOOTER + 20, &[64])),
        ("the stream-optimized file is torn: it has no footer", |b| put(b, FOOTER - 512 + 12, &[2])),
        ("the stream-optimized file is torn: it has no footer", |b| put(b, FOOTER, b"COWD")),
    ];
    let mut disk = Noise(3).bytes(256 << 10);
    disk.resize((32 << 20) + (64 << 10), 0);
    disk[32 << 20..].fill(7);
    let good = stream::write(&disk, "x");
    assert_eq!(good.len(), 246_272, "the sentences below name sizes");
    Extents { create_type: "streamOptimized", extent: "RW 65664 SPARSE \"x\"", good, cases: CASES }
}
