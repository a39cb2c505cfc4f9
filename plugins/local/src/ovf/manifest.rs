//! The manifest: digests of the package's files (DSP0243, section 5.1 "OVF package structure").
//!
//! Lines of `ALGORITHM(name)= hex`; algorithm in any case, spaces anywhere. What makes no sense is a warning, because a manifest can be
//! left out altogether; a digest that differs is an error.

use vmdk2kvm_plugin_api::model::StatedDigest;
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::digest::Algorithm;
use crate::object::Object;

/// The largest manifest, in bytes.
pub const MAX_SIZE: u64 = 16 << 20;
/// How many malformed lines are told.
const TOLD: usize = 5;

/// A manifest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<Entry>,
}

/// The digest of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file's name, as written: hostile.
    pub name: String,
    /// How it was digested.
    pub algorithm: Algorithm,
    /// The digest in hexadecimal, lower case.
    pub digest: String,
}

impl Manifest {
    /// Reads a manifest called `file`.
    pub fn parse(file: &str, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (mut manifest, mut malformed) = (Self::default(), 0);
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            match entry(line) {
                Some(entry) => manifest.entries.push(entry),
                None if line.trim().is_empty() => {}
                None => {
                    malformed += 1;
                    if malformed <= TOLD {
                        warn!("{file}: line {} is not a digest of a file and is ignored", number + 1);
                    }
                }
            }
        }
        if malformed > TOLD {
            warn!("{file}: {} more lines are not digests either", malformed - TOLD);
        }
        manifest
    }

    /// Its entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Entry {
    /// What it states of the object that its name was found to be.
    pub fn stated(&self, object: String) -> StatedDigest {
        StatedDigest::new(object, self.algorithm.word(), &self.digest, "the manifest")
    }

    /// Reads all of `object`, a small one, and holds it against the digest.
    pub fn verify(&self, object: &Object) -> Result<()> {
        let found = self.algorithm.of_object(object)?;
        if found == self.digest {
            return Ok(());
        }
        Err(PluginError::unusable(format!(
            "{}: its {} is {found}, and the manifest says {}",
            object.name(),
            self.algorithm.as_str(),
            self.digest
        ))
        .hint("the file was damaged or changed since the manifest was made: copy the package again"))
    }
}

fn entry(line: &str) -> Option<Entry> {
    let (algorithm, rest) = line.split_once('(')?;
    // A name may hold parentheses; a digest does not.
    let (name, digest) = rest.rsplit_once(')')?;
    let algorithm = Algorithm::of(algorithm.trim())?;
    let digest = digest.trim().strip_prefix('=')?.trim().to_ascii_lowercase();
    let whole = digest.len() == algorithm.digits() && digest.bytes().all(|digit| digit.is_ascii_hexdigit());
    let name = name.trim();
    (whole && !name.is_empty()).then(|| Entry { name: name.to_owned(), algorithm, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_nonsense_is_not() {
        let hex = |digits: usize| "aB".repeat(digits / 2);
        let text = format!(
            "\u{feff}SHA1(a.ovf)= {}\r\n\r\nsha256 ( b (1).vmdk ) ={}\nSHA512(c)=   {}\nSHA-256(d)= {}\nMD5(e)= 00\nSHA1(f)= zz\ngarbage\n",
            hex(40),
            hex(64),
            hex(128),
            hex(64)
        );
        let manifest = Manifest::parse("x.mf", text.as_bytes());
        let names: Vec<_> = manifest.entries().iter().map(|entry| (entry.name.as_str(), entry.algorithm)).collect();
        use Algorithm::{Sha1, Sha256, Sha512};
        assert_eq!(names, [("a.ovf", Sha1), ("b (1).vmdk", Sha256), ("c", Sha512), ("d", Sha256)]);
        assert!(manifest.entries()[0].digest.starts_with("abab"));
    }
}
