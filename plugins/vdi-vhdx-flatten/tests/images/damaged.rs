//! What is done to images of QEMU, and the sentence each is then refused with. The plugin's own tests read them, and so does the hostile
//! corpus of the whole program.

/// Options and writes that QEMU makes the VDI of. Both images have 5,243,392 bytes for the guest.
pub const VDI: (&str, &[&str]) = ("static=off", &["write -P 1 0 512", "write -P 2 2M 512"]);

/// The same for the VHDX.
pub const VHDX: (&str, &[&str]) =
    ("block_size=1M", &["write -P 1 4M 512", "write -P 2 0 4k", "write -P 3 1M 1536k", "write -P 4 5M 512"]);

pub const KIB: usize = 1 << 10;

/// Puts the right checksum into the structure of `length` bytes at `at`: CRC-32C by its table.
pub fn seal(image: &mut [u8], at: usize, length: usize) {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }))
        .collect();
    image[at + 4..at + 8].fill(0);
    let step = |crc: u32, byte: &u8| table[(crc as u8 ^ byte) as usize] ^ crc >> 8;
    let crc = !image[at..at + length].iter().fold(u32::MAX, step);
    image[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
}

fn find(image: &[u8], bytes: &[u8]) -> usize {
    image.windows(bytes.len()).position(|window| window == bytes).unwrap()
}

/// The image with something changed in both headers, sealed again.
pub fn headers(image: &[u8], change: &dyn Fn(&mut [u8])) -> Vec<u8> {
    let mut image = image.to_vec();
    for at in [64 * KIB, 128 * KIB] {
        change(&mut image[at..at + 4 * KIB]);
        seal(&mut image, at, 4 * KIB);
    }
    image
}

/// Every damage of the VDI.
pub fn vdi(image: &[u8]) -> Vec<(Vec<u8>, String)> {
    let size = image.len();
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = image.to_vec();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let number = |at: usize, value: u32| changed(at, &value.to_le_bytes());
    // Blocks 0 and 2 are stored, as numbers 0 and 1; the table is at 512, the blocks from 1024 on.
    let mut far = number(0x184, 9);
    far[512] = 7;
    vec![
        (image[..100].to_vec(), "it has 100 bytes, fewer than the header of a VDI".to_owned()),
        (number(0x40, 0), "it has no header of a VDI".into()),
        (number(0x44, 0x2_0000), "it is of version 2.0; version 1.1 is read".into()),
        (number(0x4c, 4), "it is of type 4; dynamic (1) and fixed (2) are read".into()),
        (number(0x1b8, 1), "it hangs on another image, and chains of VDI images are not read".into()),
        (number(0x178, 3), "its blocks of 3 bytes and 0 more are none that are read (powers of two from 4096 to 268435456, and none more)".into()),
        (changed(0x170, &[0; 8]), "its 6 blocks of 1048576 bytes do not make its 0 bytes".into()),
        (changed(0x170, &[0xff; 8]), "its 6 blocks of 1048576 bytes do not make its 18446744073709551615 bytes".into()),
        (number(0x180, 5), "its 5 blocks of 1048576 bytes do not make its 5243392 bytes".into()),
        (number(0x154, u32::MAX), format!("its table of 24 bytes at offset 4294967295 lies outside of the file of {size} bytes")),
        (number(0x154, 100), "its header and its table overlap at offset 100".into()),
        (number(0x158, 0), "its header and one of its blocks overlap at offset 0".into()),
        (number(0x158, 520), "its table and one of its blocks overlap at offset 520".into()),
        (number(512, 7), "its block 0 is stored as number 7, and it has only 2 stored blocks".into()),
        (number(532, 0), "its last block and one of its blocks overlap at offset 1024".into()),
        (far, format!("its block 0, 1048576 bytes at offset 7341056, lies outside of the file of {size} bytes; the file is cut off or damaged")),
        (number(512, 1), "two of its blocks overlap at offset 1049600".into()),
        (image[..size - 1].to_vec(), format!("its block 2, 1048576 bytes at offset 1049600, lies outside of the file of {} bytes; the file is cut off or damaged", size - 1)),
    ]
}

/// Every damage of the VHDX.
pub fn vhdx(image: &[u8]) -> Vec<(Vec<u8>, String)> {
    let size = image.len();
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = image.to_vec();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let headers = |change: &dyn Fn(&mut [u8])| headers(image, change);
    let regions = |change: &dyn Fn(&mut [u8])| {
        let mut image = image.to_vec();
        for at in [192 * KIB, 256 * KIB] {
            change(&mut image[at..at + 64 * KIB]);
            seal(&mut image, at, 64 * KIB);
        }
        image
    };
    let region = |id: &[u8]| {
        let at = 192 * KIB + find(&image[192 * KIB..], id);
        u64::from_le_bytes(image[at + 16..at + 24].try_into().unwrap()) as usize
    };
    let table = region(&[0x66, 0x77, 0xc2, 0x2d]);
    let metadata = region(&[0x06, 0xa2, 0x7c, 0x8b]);
    let item = |id: &[u8]| {
        let at = metadata + find(&image[metadata..], id);
        metadata + u32::from_le_bytes(image[at + 16..at + 20].try_into().unwrap()) as usize
    };
    // Block 0 at another place; block 1 is stored, too.
    let block = |place: usize| changed(table, &(place as u64 | 6).to_le_bytes());
    let on_block = |what: &str, place: usize| {
        (block(place), format!("its {what} and one of its blocks overlap at offset {place}"))
    };
    let other = u64::from_le_bytes(image[table + 8..table + 16].try_into().unwrap()) as usize >> 20 << 20;
    let log = u64::from_le_bytes(image[64 * KIB + 72..64 * KIB + 80].try_into().unwrap()) as usize;
    let log_at = |place: usize| headers(&move |header| header[72..80].copy_from_slice(&(place as u64).to_le_bytes()));
    let block_size = metadata + find(&image[metadata..], &[0x37, 0x67, 0xa1, 0xca]) + 16;
    let (parameters, capacity, sector) =
        (item(&[0x37, 0x67, 0xa1, 0xca]), item(&[0x24, 0x42, 0xa5, 0x2f]), item(&[0x1d, 0xbf, 0x41, 0x81]));
    let outside = |what: &str, length: usize, offset: u64, size: usize| {
        format!(
            "{what}, {length} bytes at offset {offset}, lies outside of the file of {size} bytes; the file is cut off or damaged"
        )
    };
    // What lies at `at`, with its most significant byte changed.
    let far = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap()) | 0x7f << 56;
    let cut = size - (1 << 20);
    let mut both_headers = changed(64 * KIB, b"x");
    both_headers[128 * KIB] = b'x';
    let mut both_regions = changed(192 * KIB, b"x");
    both_regions[256 * KIB + 100] ^= 1;
    vec![
        (changed(0, b"x"), "it has no identifier of a VHDX".to_owned()),
        (image[..100 * KIB].to_vec(), "its header, 4096 bytes at offset 131072, lies outside of the file of 102400 bytes; the file is cut off or damaged".into()),
        (both_headers, "both of its headers are damaged".into()),
        (both_regions, "both of its region tables are damaged".into()),
        (headers(&|header| header[66] = 2), "it is of version 2; version 1 is read".into()),
        (headers(&|header| header[50] = 2), "it was not closed, and changes wait in its log".into()),
        (regions(&|table| table[8] = 0), "it has no table of blocks or no metadata".into()),
        (regions(&|table| (table[16], table[44]) = (1, 1)), "it needs a region that is not known".into()),
        (regions(&|table| table[39] = 0x7f), outside("a region of it", 1 << 20, far(192 * KIB + 32), size)),
        (log_at(0), "its headers and its log overlap at offset 0".into()),
        (log_at(table), format!("its log and its table overlap at offset {table}")),
        (regions(&|table| table[32..40].copy_from_slice(&(metadata as u64).to_le_bytes())), format!("its table and its metadata overlap at offset {metadata}")),
        (changed(metadata, b"x"), "its metadata is damaged".into()),
        (changed(block_size, &[4, 0, 0, 0]), format!("its block size, at 4 in the metadata of 1048576 bytes at offset {metadata}, lies in its table or outside of it")),
        (changed(block_size, &[0, 0, 16, 0]), format!("its block size, at 1048576 in the metadata of 1048576 bytes at offset {metadata}, lies in its table or outside of it")),
        (changed(metadata + 10, &[0, 0]), "its metadata has no block size".into()),
        (changed(parameters + 4, &[2]), "it hangs on a parent, and chains of VHDX images are not read".into()),
        (changed(parameters, &[0, 0, 3, 0]), "its blocks of 196608 bytes are none that are read (powers of two from 1048576 to 268435456)".into()),
        (changed(sector, &[1]), "its sectors of 513 bytes are none that are read (512 and 4096)".into()),
        (changed(capacity, &[1]), "its capacity of 5243393 bytes is no number of sectors up to 70368744177664 bytes".into()),
        (changed(capacity, &[0xff; 8]), "its capacity of 18446744073709551615 bytes is no number of sectors up to 70368744177664 bytes".into()),
        (changed(capacity + 5, &[1]), "its table has 1048576 bytes, and its 1048582 blocks need 8390704".into()),
        (changed(table, &[7]), "its block 0 is in state 7, which an image without a parent does not have".into()),
        on_block("headers", 0),
        on_block("log", log),
        on_block("table", table),
        on_block("metadata", metadata),
        (block(other), format!("two of its blocks overlap at offset {other}")),
        // The lowest 20 bits are the block's state.
        (changed(table + 7, &[0x7f]), outside("its block 0", 1 << 20, far(table) >> 20 << 20, size)),
        (image[..cut].to_vec(), outside("its block 5", 512, cut as u64, cut)),
    ]
}
