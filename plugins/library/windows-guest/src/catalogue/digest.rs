//! Digests of files as catalogues list them: of the whole file for an INF, of the image for a program.

use std::fmt;

use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// How a digest was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// Any other.
    Other,
}

impl DigestAlgorithm {
    pub(super) fn of(oid: &[u8]) -> Self {
        match oid {
            [0x2b, 0x0e, 0x03, 0x02, 0x1a] => Self::Sha1,
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Self::Sha256,
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Self::Sha384,
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Self::Sha512,
            _ => Self::Other,
        }
    }

    /// The digest of these bytes, one after the other; none for an unknown algorithm.
    pub(super) fn digest(self, parts: &[&[u8]]) -> Option<Vec<u8>> {
        fn of<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize().to_vec()
        }
        match self {
            Self::Sha1 => Some(of::<Sha1>(parts)),
            Self::Sha256 => Some(of::<Sha256>(parts)),
            Self::Sha384 => Some(of::<Sha384>(parts)),
            Self::Sha512 => Some(of::<Sha512>(parts)),
            Self::Other => None,
        }
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Other => "an unknown digest",
        })
    }
}

/// The digests by which a catalogue can list a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigests(Vec<(DigestAlgorithm, Vec<u8>)>);

impl FileDigests {
    /// Of a file's content: SHA-1 and SHA-256 of all of it and, if it is a program, of its image without what a signature changes.
    pub fn of(content: &[u8]) -> Self {
        let image = image_parts(content);
        let wholes = [Some(vec![content]), image];
        let pairs = wholes.iter().flatten().flat_map(|parts| {
            let both = [DigestAlgorithm::Sha1, DigestAlgorithm::Sha256];
            both.into_iter().filter_map(move |algorithm| Some((algorithm, algorithm.digest(parts)?)))
        });
        Self(pairs.collect())
    }

    pub(super) fn has(&self, algorithm: DigestAlgorithm, digest: &[u8]) -> bool {
        // The length tells the algorithm where a catalogue only has a tag.
        let same = |known: DigestAlgorithm| algorithm == DigestAlgorithm::Other || algorithm == known;
        self.0.iter().any(|(known, bytes)| same(*known) && bytes == digest)
    }
}

/// The parts of a PE file that its Authenticode digest is of: all but the checksum, the directory's entry of the signatures, and the signatures.
fn image_parts(file: &[u8]) -> Option<Vec<&[u8]>> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize);
    if !file.starts_with(b"MZ") {
        return None;
    }
    let pe = word(0x3c)?;
    if file.get(pe..pe.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let optional = pe + 24;
    let (count, directories) = match file.get(optional..optional + 2)? {
        [0x0b, 0x01] => (optional + 92, optional + 96),
        [0x0b, 0x02] => (optional + 108, optional + 112),
        _ => return None,
    };
    let (checksum, entry) = (optional + 64, directories + 4 * 8);
    if word(count)? <= 4 {
        // No directory of signatures.
        return Some(vec![&file[..checksum], file.get(checksum + 4..)?]);
    }
    let (start, size) = (word(entry)?, word(entry + 4)?);
    let (start, end) = if size == 0 { (file.len(), file.len()) } else { (start, start.checked_add(size)?) };
    Some(vec![&file[..checksum], file.get(checksum + 4..entry)?, file.get(entry + 8..start)?, file.get(end..)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::program;
    use crate::version::Architecture;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_plain_file_is_digested_whole() {
        let digests = FileDigests::of(b"abc");
        let all: Vec<_> = digests.0.iter().map(|(algorithm, bytes)| (*algorithm, hex(bytes))).collect();
        assert_eq!(
            all,
            [
                (DigestAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d".to_owned()),
                (
                    DigestAlgorithm::Sha256,
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned()
                )
            ]
        );
    }

    #[test]
    fn a_signature_does_not_change_the_digest_of_an_image() {
        for architecture in Architecture::ALL {
            let plain = program(architecture, b"viostor");
            let digests = FileDigests::of(&plain);
            assert_eq!(digests.0.len(), 4, "{architecture}: no image");
            let optional = u32::from_le_bytes(plain[0x3c..0x40].try_into().unwrap()) as usize + 24;
            let entry = optional + if architecture == Architecture::X86 { 96 } else { 112 } + 32;
            let mut signed = plain.clone();
            let (start, signature) = (plain.len() as u32, [0xaa; 64]);
            signed[optional + 64..optional + 68].copy_from_slice(&[1, 2, 3, 4]);
            signed[entry..entry + 4].copy_from_slice(&start.to_le_bytes());
            signed[entry + 4..entry + 8].copy_from_slice(&(signature.len() as u32).to_le_bytes());
            signed.extend(signature);
            let of_signed = FileDigests::of(&signed);
            assert_eq!(of_signed.0[2..], digests.0[2..], "{architecture}");
            assert_ne!(of_signed.0[..2], digests.0[..2], "{architecture}");
            // Anything else does change it.
            *signed.get_mut(optional + 68).unwrap() ^= 1;
            assert_ne!(FileDigests::of(&signed).0[2..], digests.0[2..], "{architecture}");
        }
    }

    #[test]
    fn half_a_program_is_a_plain_file() {
        let whole = program(Architecture::Amd64, b"x");
        for length in [2, 0x3c, 0x40, 0x60, 0x90] {
            assert_eq!(FileDigests::of(&whole[..length]).0.len(), 2, "{length}");
        }
        let mut outside = whole;
        outside[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(FileDigests::of(&outside).0.len(), 2);
    }
}
