//! A VMX's bytes as text: which encoding they are in, and how `|XX` escapes are undone.
//!
//! VMware writes the encoding's name into the key `.encoding`, and the rest of the file in that encoding.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// A VMX as text.
#[derive(Debug)]
pub struct Text {
    /// The text, without a byte order mark.
    pub text: String,
    /// What non-ASCII `|XX` escapes are in.
    pub encoding: &'static Encoding,
    /// The encoding was not stated, or not known, or not kept to: non-ASCII characters may be wrong.
    pub guessed: bool,
}

/// Decodes a VMX. Never fails: a character that cannot be decoded becomes U+FFFD, and the text is marked as guessed.
pub fn decode(bytes: &[u8]) -> Text {
    let stated = stated(bytes);
    let known = stated.as_deref().and_then(|label| Encoding::for_label(label.trim().as_bytes()));
    let (encoding, certain) = match (stated, known) {
        // WHATWG's table, as everybody's: `ISO-8859-1` and `US-ASCII` mean windows-1252.
        (_, Some(encoding)) => (encoding, true),
        (None, None) if std::str::from_utf8(bytes).is_ok() => (UTF_8, true),
        (_, None) => (if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 }, bytes.is_ascii()),
    };
    // A byte order mark wins over what is stated, and is removed.
    let (text, used, damaged) = encoding.decode(bytes);
    Text { text: text.into_owned(), encoding: used, guessed: damaged || !certain }
}

/// The value of the first `.encoding = "..."`; every encoding that VMware writes has ASCII as a subset.
fn stated(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.trim_start_matches('\u{feff}').lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let stated = key.trim().eq_ignore_ascii_case(".encoding");
        stated.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Undoes `|XX`: a byte in hexadecimal. A bar without two digits behind it stands for itself.
pub fn unescape(value: &str, encoding: &'static Encoding) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(bar) = rest.find('|') {
        out.push_str(&rest[..bar]);
        rest = &rest[bar..];
        // Bytes that follow each other are one run: a character of several bytes is escaped byte by byte.
        let mut run = Vec::new();
        while let Some(byte) = escaped(rest) {
            run.push(byte);
            rest = &rest[3..];
        }
        if run.is_empty() {
            out.push('|');
            rest = &rest[1..];
        } else {
            out.push_str(&encoding.decode_without_bom_handling(&run).0);
        }
    }
    out.push_str(rest);
    out
}

fn escaped(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('|')?.get(..2)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_encodings_are_used_and_others_guessed() {
        for (bytes, expected, guessed) in [
            (&b".encoding = \"UTF-8\"\nn = \"\xc3\xa4\""[..], "ä", false),
            (b".encoding = \"windows-1252\"\nn = \"\xe4\x80\"", "ä€", false),
            (b"x = \"1\"\r\n .Encoding = \"ISO-8859-1\"\r\nn = \"\xe4\"", "ä", false),
            (b".encoding = \"GBK\"\nn = \"\xd0\xc2\"", "新", false),
            (b".encoding = \"Shift_JIS\"\nn = \"\x83\x7c\"", "ポ", false),
            (b"\xef\xbb\xbf.encoding = \"UTF-8\"\nn = \"\xc3\xa4\"", "ä", false),
            (b"n = \"\xc3\xa4\"", "ä", false),
            (b"n = \"\xe4\"", "ä", true),
            (b".encoding = \"klingon\"\nn = \"\xe4\"", "ä", true),
            (b".encoding = \"klingon\"\nn = \"a\"", "a", false),
            (b".encoding = \"UTF-8\"\nn = \"\xe4\"", "\u{fffd}", true),
        ] {
            let text = decode(bytes);
            assert!(text.text.ends_with(&format!("\"{expected}\"")), "{:?}", text.text);
            assert!(!text.text.starts_with('\u{feff}'));
            assert_eq!(text.guessed, guessed, "{:?}", text.text);
        }
    }

    #[test]
    fn escapes_are_undone_byte_by_byte() {
        for (value, expected) in [
            ("a|22b|7Cc|23", "a\"b|c#"),
            ("|C3|A4|20", "ä "),
            ("|", "|"),
            ("a||22", "a|\""),
            ("|2", "|2"),
            ("|+2|zz", "|+2|zz"),
            ("|2ä", "|2ä"),
        ] {
            assert_eq!(unescape(value, UTF_8), expected, "{value}");
        }
    }
}
