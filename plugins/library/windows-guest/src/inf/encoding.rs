//! The text of an INF, whatever it is written in.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// UTF-16 and UTF-8 by their marks; without one UTF-16 by the zeros of its first letters (every INF begins in ASCII), UTF-8 when it is that,
/// else the code page that most drivers without a mark were written in.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    let unmarked = match bytes {
        [0, second, ..] if *second != 0 => UTF_16BE,
        [first, 0, ..] if *first != 0 => UTF_16LE,
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => return Cow::Borrowed(text),
            Err(_) => WINDOWS_1252,
        },
    };
    unmarked.decode_without_bom_handling(bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_zeros_and_code_pages() {
        let wide = |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let text = "; ü\r\n[Version]";
        for bytes in [
            text.as_bytes().to_vec(),
            ["\u{feff}", text].concat().into_bytes(),
            wide(text, u16::to_le_bytes),
            wide(text, u16::to_be_bytes),
            wide(&["\u{feff}", text].concat(), u16::to_le_bytes),
            wide(&["\u{feff}", text].concat(), u16::to_be_bytes),
            b"; \xfc\r\n[Version]".to_vec(),
        ] {
            assert_eq!(decode(&bytes), text, "{bytes:02x?}");
        }
        assert_eq!(decode(b""), "");
    }
}
