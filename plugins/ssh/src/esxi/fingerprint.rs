//! A digest by which people compare keys: `SHA256:` and 43 letters, as every tool of OpenSSH writes it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

/// A key's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a public key in its form on the wire.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Reads one; the padding that some tools write is passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("SHA256:")?.trim_end_matches('=');
        STANDARD_NO_PAD.decode(digits).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_openssh_is_written_and_read() {
        let text = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
        let found = Fingerprint::of(b"");
        assert_eq!(found.to_string(), text);
        assert_eq!(Fingerprint::parse(text), Some(found));
        assert_eq!(Fingerprint::parse(&format!("{text}=")), Some(found));
        for wrong in ["", "SHA256:", "MD5:00:11", "SHA256:AAAA", &text[7..], &format!("{text}AAAA")] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
