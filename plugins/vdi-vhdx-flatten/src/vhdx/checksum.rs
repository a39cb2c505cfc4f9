//! CRC-32C (Castagnoli), as headers and region tables have it.

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Whether a structure has the checksum that it states in its bytes 4 to 7, computed with these as zeros.
pub fn sums_up(bytes: &[u8]) -> bool {
    let mut crc = u32::MAX;
    for (at, byte) in bytes.iter().enumerate() {
        crc ^= u32::from(if (4..8).contains(&at) { 0 } else { *byte });
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc == super::u32_at(bytes, 4)
}
