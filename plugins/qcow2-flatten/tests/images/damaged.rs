//! What is done to an image, and the sentence it is then refused with. The plugin's own tests read them, and so does the hostile corpus of
//! the whole program.

use super::builder::{Cluster, Image, put32, put64};

/// What is done, and the sentence behind the file's name.
pub type Case = (fn(&mut Vec<u8>), &'static str);

/// The image that is damaged.
pub fn image() -> Image {
    Image {
        version: 3,
        cluster_bits: 16,
        extended: false,
        size: 1 << 20,
        clusters: vec![Cluster::Plain(7), Cluster::Deflated(8), Cluster::Zero],
        backing: None,
    }
}

/// Where the builder puts things, with clusters of 64 KiB.
pub const L1: usize = 0x1_0000;
const L2: usize = 0x2_0000;

/// The header's fields.
pub const HEADERS: &[Case] = &[
    (|b| b.truncate(0), "it does not begin like a QCOW2 image"),
    (|b| b.truncate(50), "a header of 50 bytes; the file is cut off"),
    (|b| b[3] = 0, "it does not begin like a QCOW2 image"),
    (|b| put32(b, 4, 4), "QCOW version 4; versions 2 and 3 are read"),
    (|b| put32(b, 20, 8), "clusters of 2^8 bytes; the format allows 2^9 to 2^21"),
    (|b| put32(b, 20, 22), "clusters of 2^22 bytes; the format allows 2^9 to 2^21"),
    (|b| put32(b, 20, u32::MAX), "clusters of 2^4294967295 bytes; the format allows 2^9 to 2^21"),
    (|b| put64(b, 24, 0), "its virtual size is 0"),
    (|b| put64(b, 24, u64::MAX), "an L1 table of 1 entries for a disk that needs 34359738368"),
    (|b| put64(b, 24, 1 << 40), "an L1 table of 1 entries for a disk that needs 2048"),
    (|b| put32(b, 32, 1), "the image is encrypted"),
    (|b| put32(b, 32, 2), "the image is encrypted"),
    (|b| put32(b, 36, 0), "an L1 table of 0 entries for a disk that needs 1"),
    (|b| put32(b, 36, u32::MAX), "an L1 table of 4294967295 entries; the limit is 4194304"),
    (|b| put32(b, 36, 4_000_000), "an L1 table of 4000000 entries at offset 65536 in a file of 327680 bytes"),
    (|b| put64(b, 40, 0), "an L1 table at offset 0, which is not aligned to clusters"),
    (|b| put64(b, 40, 512), "an L1 table at offset 512, which is not aligned to clusters"),
    (
        |b| put64(b, 40, u64::MAX << 16),
        "an L1 table of 1 entries at offset 18446744073709486080 in a file of 327680 bytes",
    ),
    (|b| put64(b, 72, 2), "the image is marked corrupt"),
    (|b| put64(b, 72, 4), "the image keeps its data in another file, which is not supported"),
    (|b| put64(b, 72, 8), "compression type 0; deflate (0) and zstd (1) are read"),
    (|b| put64(b, 72, 1 << 63), "the image needs feature 63, which is not known"),
    (|b| put32(b, 100, 8), "a header length of 8 bytes; it must be a multiple of 8 from 104 to 65536"),
    (|b| put32(b, 100, 105), "a header length of 105 bytes; it must be a multiple of 8 from 104 to 65536"),
    (
        |b| put32(b, 100, u32::MAX - 7),
        "a header length of 4294967288 bytes; it must be a multiple of 8 from 104 to 65536",
    ),
    (|b| (put32(b, 100, 112), b[104] = 1).1, "compression type 1 without its feature bit"),
    (
        |b| (put32(b, 104, 1), put32(b, 108, u32::MAX)).1,
        "header extension 0x00000001 of 4294967295 bytes does not fit into the first cluster",
    ),
    (|b| put64(b, 8, 200), "a backing file name of 0 bytes; the format allows 1 to 1023"),
    (|b| (put64(b, 8, 200), put32(b, 16, 1024)).1, "a backing file name of 1024 bytes; the format allows 1 to 1023"),
    (
        |b| (put64(b, 8, 65535), put32(b, 16, 2)).1,
        "a backing file name at offset 65535, 2 bytes long, outside of the first cluster",
    ),
    (
        |b| (put64(b, 8, u64::MAX), put32(b, 16, 2)).1,
        "a backing file name at offset 18446744073709551615, 2 bytes long, outside of the first cluster",
    ),
    (
        |b| (put64(b, 8, 4), put32(b, 16, 2)).1,
        "a backing file name at offset 4, 2 bytes long, outside of the first cluster",
    ),
    (|b| (put64(b, 8, 200), put32(b, 16, 1), b[200] = 0xff).2, "the backing file's name is not UTF-8"),
];

/// Both levels of tables, and what they lead to.
pub const TABLES: &[Case] = &[
    (|b| put64(b, L1, 1), "an L1 entry 0x0000000000000001 with reserved bits"),
    (|b| put64(b, L1, 512), "an L2 table at offset 512, which is not aligned to clusters"),
    (
        |b| put64(b, L1, 0x00ff_ffff_ffff_0000),
        "a table entry at offset 72057594037862400 in a file of 327680 bytes; the file is cut off",
    ),
    (|b| put64(b, L2, 2), "an L2 entry 0x0000000000000002 with reserved bits"),
    (|b| put64(b, L2, 1024), "a cluster at offset 1024, which is not aligned to clusters"),
    (
        |b| put64(b, L2, 0x00ff_ffff_ffff_0000),
        "guest offset 0 is stored at offset 72057594037862400, 4096 bytes long, in a file of 327680 bytes; the file \
     is cut off or damaged",
    ),
    (
        |b| b[0x4_0000..0x4_0040].fill(0xff),
        "guest offset 65536, in the cluster at offset 262144: its compressed data is damaged",
    ),
    (
        |b| put64(b, L2 + 8, 1 << 62 | 1 << 53),
        "guest offset 65536 is stored at offset 9007199254740992, 1 bytes long, in a file of 327680 bytes; the file is cut \
     off or damaged",
    ),
    (
        |b| b.truncate(0x3_8000),
        "guest offset 32768 is stored at offset 229376, 4096 bytes long, in a file of 229376 bytes; the file is cut off or damaged",
    ),
];
