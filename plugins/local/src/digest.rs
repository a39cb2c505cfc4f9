//! Digests: their names, their text, and a whole object's digest.

use sha1::Sha1;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512};
use vmdk2kvm_plugin_api::{BlockSource, Result, read_exact_at};

use crate::object::Object;

/// Bytes read at a time.
const STEP: u64 = 1 << 20;

/// A digest algorithm of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, the default of old exporters.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The algorithm of this name, in any case, with a dash or without.
    pub fn of(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().replace('-', "").as_str() {
            "SHA1" => Some(Self::Sha1),
            "SHA256" => Some(Self::Sha256),
            "SHA512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The name people know.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the digest in hexadecimal digits.
    pub const fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// The digest of all of `object`, in hexadecimal.
    pub fn of_object(self, object: &Object) -> Result<String> {
        match self {
            Self::Sha1 => whole::<Sha1>(object),
            Self::Sha256 => whole::<Sha256>(object),
            Self::Sha512 => whole::<Sha512>(object),
        }
    }
}

fn whole<D: Digest>(object: &Object) -> Result<String> {
    let (mut digest, mut at) = (D::new(), 0);
    let mut buffer = vec![0; object.size().min(STEP) as usize];
    while at < object.size() {
        let step = (object.size() - at).min(STEP) as usize;
        read_exact_at(object, at, &mut buffer[..step])?;
        digest.update(&buffer[..step]);
        at += step as u64;
    }
    Ok(hexadecimal(&digest.finalize()))
}

/// The digest of some bytes, in hexadecimal.
pub fn digest<D: Digest>(bytes: &[u8]) -> String {
    hexadecimal(&D::digest(bytes))
}

/// Bytes in hexadecimal, lower case.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
