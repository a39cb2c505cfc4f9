//! What any URI is made of (RFC 3986). Does not know what is meant by one.

/// Text with percent escapes for all that a URI's path and query do not take as it is (RFC 3986, section 2.3).
pub(crate) fn escape(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => text.push(*byte as char),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

/// The bytes that a text with percent escapes stands for; `None` when one is wrong.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.as_bytes().split(|byte| *byte == b'%');
    let mut bytes = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let digits = std::str::from_utf8(part.get(..2)?).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part[2..]);
    }
    Some(bytes)
}

/// The scheme of a URI; `path` for what is none.
pub(crate) fn scheme(uri: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    uri.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| scheme.chars().all(plain)).unwrap_or("path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_in_a_path_makes_no_scheme() {
        assert_eq!(scheme("vsphere://vc/web"), "vsphere");
        assert_eq!(scheme("esxi+ssh://host"), "esxi+ssh");
        assert_eq!(scheme("/disks/a:b.vmdk"), "path");
        assert_eq!(scheme("web.vmdk"), "path");
    }

    #[test]
    fn escapes_stand_for_bytes() {
        for (bytes, text) in [(&b"/a b"[..], "/a%20b"), (b"100%", "100%25"), (b"\xff", "%FF"), (b"-._~/", "-._~/")] {
            assert_eq!((escape(bytes).as_str(), unescape(text).as_deref()), (text, Some(bytes)));
        }
        assert_eq!(unescape("%c3%A4").as_deref(), Some("ä".as_bytes()));
        for wrong in ["%", "%2", "%zz", "%+1", "a%ä"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }
}
