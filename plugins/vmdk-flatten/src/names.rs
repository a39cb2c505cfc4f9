//! Names inside a descriptor: bytes in the encoding that the descriptor declares, turned into text without loss or refused.

use encoding_rs::{Encoding, UTF_8};
use vmdk2kvm_plugin_api::Result;

use crate::fault::{CLONE_FIRST, shown, unusable};

/// The longest file name or hint accepted, in bytes: Linux's `PATH_MAX`.
const LONGEST: usize = 4096;

/// The text of `bytes`, in the encoding of the descriptor's `encoding` line.
///
/// ASCII needs no encoding. Without an `encoding` line the bytes must be UTF-8. Nothing is replaced: a name that cannot be decoded
/// would name another file.
pub fn decode(object: &str, bytes: &[u8], declared: Option<&str>) -> Result<String> {
    if bytes.len() > LONGEST {
        return Err(unusable(object, format_args!("a name of {} bytes in it is longer than {LONGEST}", bytes.len()))
            .hint(CLONE_FIRST));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if text.is_ascii() {
            return Ok(text.to_owned());
        }
    }
    let encoding = match declared {
        None => UTF_8,
        Some(label) => Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            unusable(object, format_args!("a name in it is in encoding {}, which is not known", shown(label)))
                .hint("rename the file in ASCII and change the name in the descriptor")
        })?,
    };
    encoding.decode_without_bom_handling_and_without_replacement(bytes).map(|text| text.into_owned()).ok_or_else(|| {
        unusable(
            object,
            format_args!("the name {} in it is not valid {}", shown(&String::from_utf8_lossy(bytes)), encoding.name()),
        )
        .hint(
            "correct the descriptor's encoding line, or rename the file in ASCII and change the name in the descriptor",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn declared_encodings_are_honoured() {
        assert_eq!(decode("d", b"a.vmdk", Some("klingon")).unwrap(), "a.vmdk");
        assert_eq!(decode("d", b"M\xfcller.vmdk", Some("windows-1252")).unwrap(), "Müller.vmdk");
        assert_eq!(decode("d", "Müller.vmdk".as_bytes(), Some("UTF-8")).unwrap(), "Müller.vmdk");
        assert_eq!(decode("d", "Müller.vmdk".as_bytes(), None).unwrap(), "Müller.vmdk");
        assert_eq!(decode("d", b"\xd0\xc2\xbd\xa8.vmdk", Some("GBK")).unwrap(), "新建.vmdk");
        assert_eq!(decode("d", b"\x83\x66.vmdk", Some("Shift_JIS")).unwrap(), "デ.vmdk");
    }

    #[test]
    fn nothing_is_replaced() {
        let message = |bytes: &[u8], declared| decode("d", bytes, declared).unwrap_err().message;
        assert_eq!(message(b"M\xfcller", None), "d: the name M\u{fffd}ller in it is not valid UTF-8");
        assert_eq!(
            message(b"M\xfcller", Some("klingon")),
            "d: a name in it is in encoding klingon, which is not known"
        );
        assert_eq!(message(&[b'a'; 5000], None), "d: a name of 5000 bytes in it is longer than 4096");
    }
}
