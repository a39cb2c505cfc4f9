//! A writer of DER, as far as a catalogue needs it.

/// Tag, length and parts.
pub(super) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let bytes = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    let mut out = vec![tag];
    if length >= 0x80 {
        out.push(0x80 | bytes.len() as u8);
    }
    out.extend(bytes);
    parts.iter().for_each(|part| out.extend(*part));
    out
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

pub(super) fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x31, parts)
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, &[bytes])
}

pub(super) fn integer(number: u8) -> Vec<u8> {
    tlv(0x02, &[&[number]])
}

/// An object identifier, as it is written: `1.3.6.1`.
pub(super) fn oid(text: &str) -> Vec<u8> {
    let numbers: Vec<u64> = text.split('.').map(|part| part.parse().expect("a number")).collect();
    let mut body = vec![(numbers[0] * 40 + numbers[1]) as u8];
    for number in &numbers[2..] {
        let groups = (1..10).find(|groups| number >> (7 * groups) == 0).expect("a small number");
        body.extend((0..groups).rev().map(|group| {
            let more = if group == 0 { 0 } else { 0x80 };
            (number >> (7 * group)) as u8 & 0x7f | more
        }));
    }
    tlv(0x06, &[&body])
}

/// A `BMPString`.
pub(super) fn wide(text: &str) -> Vec<u8> {
    tlv(0x1e, &[&text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>()])
}

/// UTF-16 with a zero behind it, as Windows stores it in other strings.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}
