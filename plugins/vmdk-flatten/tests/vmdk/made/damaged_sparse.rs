//! What is done to a `monolithicSparse` file of qemu, and the sentence it is then refused with. The file has 8 MiB of which the first
//! holds data: 1,114,112 bytes, which some of the sentences name.

use super::damaged::Case;
use super::put;

/// The header's fields.
pub const HEADERS: &[Case] = &[
    ("version 4 of the sparse format is not known (1 to 3 are)", |b| put(b, 4, &[4])),
    ("version 0 of the sparse format is not known (1 to 3 are)", |b| put(b, 4, &[0])),
    ("its line-end check bytes were changed: the file went through a text-mode transfer", |b| put(b, 75, b"\n\n")),
    ("its header has an absurd capacity", |b| put(b, 12, &[0xff; 8])),
    ("its header has a capacity of 562949953421312 bytes: more than 64 TiB", |b| {
        put(b, 12, &(1u64 << 40).to_le_bytes())
    }),
    ("the sparse extent has 4194304 bytes, and its descriptor says 8388608", |b| {
        put(b, 12, &(8u64 << 10).to_le_bytes())
    }),
    ("the sparse extent has 16777216 bytes, and its descriptor says 8388608", |b| {
        put(b, 12, &(32u64 << 10).to_le_bytes())
    }),
    ("its grain size of 0 sectors is not a power of two between 8 and 4096", |b| put(b, 20, &[0])),
    ("its grain size of 4 sectors is not a power of two between 8 and 4096", |b| put(b, 20, &[4])),
    ("its grain size of 129 sectors is not a power of two between 8 and 4096", |b| put(b, 20, &[129])),
    ("its grain size of 9223372036854775936 sectors is not a power of two between 8 and 4096", |b| put(b, 27, &[0x80])),
    ("its grain tables have 0 entries instead of 512", |b| put(b, 44, &[0; 4])),
    ("its grain tables have 4294967295 entries instead of 512", |b| put(b, 44, &[0xff; 4])),
    ("its compression algorithm 7 is not known (1 is: deflate)", |b| put(b, 77, &[7])),
    ("its compression algorithm 1 contradicts its flags 0x3", |b| put(b, 77, &[1])),
    ("its header has an absurd descriptor offset", |b| put(b, 28, &[0xff; 8])),
    ("its descriptor of 1099511627776 bytes is longer than 4 MiB", |b| put(b, 36, &(1u64 << 31).to_le_bytes())),
    ("it is one extent of a split disk and has no descriptor", |b| put(b, 28, &[0; 16])),
    ("it is too short for a sparse header: 300 bytes", |b| b.truncate(300)),
    ("it is not a VMDK: neither a sparse header nor a text descriptor", |b| put(b, 0, b"VMDK")),
    ("it is not a VMDK: neither a sparse header nor a text descriptor", |b| b.clear()),
    ("it is the data of an ESX snapshot, not the disk", |b| put(b, 0, b"COWD")),
    ("it is the data of an ESX snapshot, not the disk", |b| put(b, 0, b"\xbe\xba\xfe\xca")),
    ("the stream-optimized file is torn: it has no footer", |b| put(b, GD, &[0xff; 8])),
];

/// Directory, tables and grains of a file whose header has lost its flag for the redundant copy, which would heal most of this.
pub const TABLES: &[Case] = &[
    ("its grain directory of 4 bytes at offset 512000000 lies outside of the file of 1114112 bytes", |b| {
        put(b, GD, &1_000_000u64.to_le_bytes())
    }),
    ("its grain directory of 4 bytes at offset 18446744073709551615 lies outside of the file of 1114112 bytes", |b| {
        put(b, GD, &[0xfe; 8])
    }),
    ("its grain directory of 4 bytes at offset 0 lies outside of the file of 1114112 bytes", |b| put(b, GD, &[0; 8])),
    ("its grain table 0 lies outside of the file: at sector 4294967295, and the file has 1114112 bytes", |b| {
        let at = number(b, GD) as usize * 512;
        put(b, at, &[0xff; 4]);
    }),
    (
        "the grain at byte 131072 of the disk lies outside of the file: at sector 268435455, and the file has 1114112 bytes",
        |b| {
            let at = table(b, GD) + 8;
            put(b, at, &0x0fff_ffffu32.to_le_bytes());
        },
    ),
    ("the grain at byte 131072 of the disk is marked as zeros, which its header does not allow", |b| {
        let at = table(b, GD) + 8;
        put(b, at, &1u32.to_le_bytes());
    }),
    (
        "the grain at byte 983040 of the disk lies outside of the file: at sector 2048, and the file has 1114111 bytes",
        |b| b.truncate(b.len() - 1),
    ),
];

pub fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn number32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Offset of the first table that the directory at `field` of the header lists.
pub fn table(bytes: &[u8], field: usize) -> usize {
    number32(bytes, number(bytes, field) as usize * 512) * 512
}

/// Where the header names the redundant grain directory.
pub const RGD: usize = 48;
/// Where the header names the grain directory.
pub const GD: usize = 56;
