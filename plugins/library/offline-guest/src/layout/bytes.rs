//! Bounds-checked readers of the integers, UUIDs and texts that tables and superblocks are made of.

/// A little-endian number of two bytes.
pub fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// A little-endian number of four bytes.
pub fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A little-endian number of eight bytes.
pub fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Whether these bytes are there.
pub fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    at.checked_add(magic.len()).and_then(|end| bytes.get(at..end)) == Some(magic)
}

/// A UUID as its bytes stand (RFC 9562); `None` when it is all zero.
pub fn uuid(bytes: &[u8], at: usize) -> Option<String> {
    let raw = bytes.get(at..at.checked_add(16)?)?;
    if raw.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in raw.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}

/// A GUID of UEFI: the first three fields are little-endian.
pub fn guid(bytes: &[u8], at: usize) -> Option<String> {
    let mut raw: [u8; 16] = bytes.get(at..at.checked_add(16)?)?.try_into().ok()?;
    raw[0..4].reverse();
    raw[4..6].reverse();
    raw[6..8].reverse();
    uuid(&raw, 0)
}

/// A text that ends at its first NUL or at `length`, without spaces at its end; `None` when empty or not UTF-8.
pub fn text(bytes: &[u8], at: usize, length: usize) -> Option<String> {
    let raw = bytes.get(at..at.checked_add(length)?)?;
    let end = raw.iter().position(|byte| *byte == 0).unwrap_or(length);
    let text = std::str::from_utf8(&raw[..end]).ok()?.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A UTF-16 text of at most `units` units, little-endian, that ends at its first NUL.
pub fn utf16(bytes: &[u8], at: usize, units: usize) -> Option<String> {
    let raw = bytes.get(at..at.checked_add(units.checked_mul(2)?)?)?;
    let units: Vec<u16> =
        raw.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0).collect();
    let text = String::from_utf16(&units).ok()?;
    (!text.is_empty()).then_some(text)
}

/// CRC-32 (that of Ethernet), without its last step, going on from `sum`.
pub fn crc32(mut sum: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    sum
}
