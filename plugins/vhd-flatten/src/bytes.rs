//! Numbers in the byte order of the format (big-endian), and the checksum that footer and header share.

/// A number of 4 bytes at `at`, which the caller's block has.
pub fn u32_at(block: &[u8], at: usize) -> u32 {
    block.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// A number of 8 bytes.
pub fn u64_at(block: &[u8], at: usize) -> u64 {
    block.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// A unique id.
pub fn id_at(block: &[u8], at: usize) -> [u8; 16] {
    block.get(at..at + 16).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// The one's complement of the sum of all bytes without those of the checksum itself, which are at `field`.
pub fn checksum(block: &[u8], field: usize) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    !sum(block).wrapping_sub(sum(&block[field..field + 4]))
}

/// A unique id as people write it.
pub fn shown_id(id: [u8; 16]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
