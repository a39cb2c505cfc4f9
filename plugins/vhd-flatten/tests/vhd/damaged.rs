//! Damaged images and the sentence each is refused with. The plugin's own tests read them, and so does the hostile corpus of the whole
//! program.

use super::builder::{Parent, footer, put32, put64, seal, sparse};

pub const CAPACITY: u64 = 1 << 20;

pub fn image() -> Vec<u8> {
    sparse(CAPACITY, 1, None, &[(0, 1), (500, 2)])
}

/// The image with something changed in the dynamic header, sealed again.
fn header(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut image = image();
    change(&mut image[512..1536]);
    seal(&mut image[512..1536], 36);
    image
}

/// The image with something changed in both footers, sealed again.
pub fn footers(change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut image = image();
    let end = image.len();
    for at in [0, end - 512] {
        change(&mut image[at..at + 512]);
        seal(&mut image[at..at + 512], 64);
    }
    image
}

/// Every damage.
pub fn all() -> Vec<(Vec<u8>, String)> {
    let whole = image();
    let size = whole.len();
    let number = |number: usize, value: u32| {
        let mut image = image();
        put32(&mut image, 1536 + number * 4, value);
        image
    };
    let entry = |value: u32| number(0, value);
    let both_torn = || {
        let mut image = image();
        image[100] ^= 1;
        image[size - 400] ^= 1;
        image
    };
    let mut torn_header = image();
    torn_header[600] ^= 1;
    let fixed = [vec![1; 4096], footer(2, 8192, 1)].concat();
    let mut locator = sparse(CAPACITY, 1, Some(&Parent { id: 2, relative: "b.vhd", plain: "" }), &[]);
    put32(&mut locator[512..1536], 584, 1 << 30);
    seal(&mut locator[512..1536], 36);
    vec![
        (vec![0; 100], "it has 100 bytes, fewer than the footer of a VHD".to_owned()),
        (vec![0; 4096], "it has no footer of a VHD; it may be cut off".into()),
        (both_torn(), "its footer is damaged: the checksum is wrong".into()),
        (fixed, "its disk of 8192 bytes does not fit into the file of 4608 bytes; the file is cut off".into()),
        (footers(|footer| put32(footer, 12, 0x2_0000)), "it is of version 2.0; version 1 is read".into()),
        (
            footers(|footer| put32(footer, 60, 5)),
            "it is of type 5; fixed (2), dynamic (3) and differencing (4) are read".into(),
        ),
        (footers(|footer| put64(footer, 48, 1000)), "its capacity of 1000 bytes is not a number of sectors".into()),
        (footers(|footer| put64(footer, 48, 0)), "its capacity of 0 bytes is not a number of sectors".into()),
        (
            footers(|footer| put64(footer, 48, u64::MAX - 511)),
            "its table of 16 blocks of 65536 bytes is too short for its 18446744073709551104 bytes".into(),
        ),
        (
            footers(|footer| put64(footer, 16, u64::MAX)),
            format!("its header at offset 18446744073709551615 lies outside of the file of {size} bytes"),
        ),
        (footers(|footer| put64(footer, 16, 2048)), "there is no header at offset 2048".into()),
        (torn_header, "its header is damaged: the checksum is wrong".into()),
        (
            header(|header| put32(header, 32, 3 << 20)),
            "its blocks of 3145728 bytes are none that are read (powers of two from 4096 to 268435456)".into(),
        ),
        (
            header(|header| put32(header, 32, 512)),
            "its blocks of 512 bytes are none that are read (powers of two from 4096 to 268435456)".into(),
        ),
        (
            header(|header| put32(header, 28, 15)),
            "its table of 15 blocks of 65536 bytes is too short for its 1048576 bytes".into(),
        ),
        (
            header(|header| put64(header, 16, u64::MAX)),
            format!("its table of 64 bytes at offset 18446744073709551615 lies outside of the file of {size} bytes"),
        ),
        (
            entry(u32::MAX - 1),
            format!(
                "its block 0, 66048 bytes at offset 2199023254528, lies outside of the file of {size} bytes; the file is cut off or damaged"
            ),
        ),
        // Blocks have 129 sectors; the table is at sector 3, block 0 at 4, block 3 at 133, the footer at 262.
        (entry(0), "its copy of the footer and one of its blocks overlap at offset 0".into()),
        (entry(1), "its header and one of its blocks overlap at offset 512".into()),
        (entry(3), "its table and one of its blocks overlap at offset 1536".into()),
        (entry(133), "two of its blocks overlap at offset 68096".into()),
        (number(1, 132), "two of its blocks overlap at offset 67584".into()),
        (number(15, 4), "its last block and one of its blocks overlap at offset 2048".into()),
        (number(15, 2), "its header and its last block overlap at offset 1024".into()),
        (number(3, 134), "its footer and one of its blocks overlap at offset 134144".into()),
        (header(|header| put64(header, 16, 1000)), "its header and its table overlap at offset 1000".into()),
        (header(|header| put64(header, 16, 0)), "its copy of the footer and its table overlap at offset 0".into()),
        (header(|header| put64(header, 16, 134_144)), "its footer and its table overlap at offset 134144".into()),
        (
            locator,
            "the path of its parent, 1073741824 bytes at offset 2048, lies outside of the file or is longer than 8192"
                .into(),
        ),
    ]
}
