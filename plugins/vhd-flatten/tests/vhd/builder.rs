//! VHD images made by hand, after the specification.

/// Bytes of a block of the images made here.
pub const BLOCK: usize = 64 << 10;
const BITMAP: usize = 512;

pub fn put32(block: &mut [u8], at: usize, value: u32) {
    block[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

pub fn put64(block: &mut [u8], at: usize, value: u64) {
    block[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

/// Puts the right checksum at `field`.
pub fn seal(block: &mut [u8], field: usize) {
    put32(block, field, 0);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put32(block, field, !sum);
}

pub fn footer(kind: u32, capacity: u64, id: u8) -> Vec<u8> {
    let mut footer = vec![0; 512];
    footer[..8].copy_from_slice(b"conectix");
    put32(&mut footer, 8, 2);
    put32(&mut footer, 12, 0x1_0000);
    put64(&mut footer, 16, if kind == 2 { u64::MAX } else { 512 });
    put64(&mut footer, 40, capacity);
    put64(&mut footer, 48, capacity);
    put32(&mut footer, 60, kind);
    footer[68..84].fill(id);
    seal(&mut footer, 64);
    footer
}

/// A parent: its id, and its relative and its plain name.
pub struct Parent<'a> {
    pub id: u8,
    pub relative: &'a str,
    pub plain: &'a str,
}

/// A dynamic image, or with a parent a differencing one, of `capacity` bytes: `sectors` of these numbers are filled with these bytes.
pub fn sparse(capacity: u64, id: u8, parent: Option<&Parent<'_>>, sectors: &[(u64, u8)]) -> Vec<u8> {
    let blocks = capacity.div_ceil(BLOCK as u64) as usize;
    let footer = footer(if parent.is_some() { 4 } else { 3 }, capacity, id);
    let mut header = vec![0; 1024];
    header[..8].copy_from_slice(b"cxsparse");
    put64(&mut header, 8, u64::MAX);
    put64(&mut header, 16, 1536);
    put32(&mut header, 24, 0x1_0000);
    put32(&mut header, 28, blocks as u32);
    put32(&mut header, 32, BLOCK as u32);
    let mut locator = Vec::new();
    let table_end = (1536 + blocks * 4).next_multiple_of(512);
    if let Some(parent) = parent {
        header[40..56].fill(parent.id);
        for (at, unit) in parent.plain.encode_utf16().enumerate() {
            header[64 + at * 2..66 + at * 2].copy_from_slice(&unit.to_be_bytes());
        }
        locator = parent.relative.encode_utf16().flat_map(u16::to_le_bytes).collect();
        header[576..580].copy_from_slice(b"W2ru");
        put32(&mut header, 580, 1);
        put32(&mut header, 584, locator.len() as u32);
        put64(&mut header, 592, table_end as u64);
    }
    seal(&mut header, 36);
    locator.resize(locator.len().next_multiple_of(512), 0);
    let mut image = [footer.clone(), header, vec![0xff; table_end - 1536], locator].concat();
    for number in 0..blocks {
        let per_block = (BLOCK / 512) as u64;
        let own: Vec<_> = sectors.iter().filter(|(sector, _)| sector / per_block == number as u64).collect();
        if own.is_empty() {
            continue;
        }
        let first = (image.len() / 512) as u32;
        put32(&mut image, 1536 + number * 4, first);
        let (mut bitmap, mut data) = (vec![0; BITMAP], vec![0; BLOCK]);
        for (sector, fill) in own {
            let at = (sector % per_block) as usize;
            bitmap[at / 8] |= 0x80 >> (at % 8);
            data[at * 512..(at + 1) * 512].fill(*fill);
        }
        image.extend([bitmap, data].concat());
    }
    image.extend(footer);
    image
}

/// What a guest sees of such images, the base first.
pub fn expected(capacity: u64, layers: &[&[(u64, u8)]]) -> Vec<u8> {
    let mut content = vec![0; capacity as usize];
    for (sector, fill) in layers.iter().flat_map(|layer| layer.iter()) {
        content[*sector as usize * 512..(*sector as usize + 1) * 512].fill(*fill);
    }
    content
}
