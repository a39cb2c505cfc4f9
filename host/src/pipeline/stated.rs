//! Digests that a source states of its files: all bytes are held against them.
//!
//! An object that the copy itself reads through the transport is digested in that pass. What an object is made from, a compressed file around it, is read beside the copy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha1::Sha1;
use sha2::digest::{Digest, DynDigest};
use sha2::{Sha256, Sha512};
use vmdk2kvm_plugin_api::model::{Finding, Severity, StatedDigest};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport, read_exact_at};

use super::source::{DigestPass, Digested, Kept};

/// Bytes read at a time.
const STEP: u64 = 1 << 20;

/// A transport whose objects are digested while they are read, where the source states their digests.
pub(super) struct Stated {
    transport: Box<dyn Transport>,
    /// How much may be kept ahead of the digests; `None`: nothing is digested, because nothing is copied.
    kept: Option<Kept>,
    passes: Mutex<BTreeMap<String, Arc<Pass>>>,
}

/// An object that is digested while it is read.
struct Pass {
    stated: Vec<StatedDigest>,
    digests: Arc<DigestPass>,
}

impl Stated {
    /// Reads through this transport.
    pub fn new(transport: Box<dyn Transport>, kept: Option<Kept>) -> Self {
        Self { transport, kept, passes: Mutex::default() }
    }

    fn pass(&self, object: &str) -> Option<Arc<Pass>> {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner).get(object).cloned()
    }

    /// Holds what no pass reads against the digests that the source states of an object. The number of those that were found right.
    pub fn check_apart(&self, object: &str, stop: &dyn Fn() -> bool) -> Result<usize> {
        let pass = self.pass(object);
        let mut right = 0;
        for stated in self.transport.stated_digests(object)? {
            let Some((name, digest)) = algorithm(&stated.algorithm) else { continue };
            if pass.as_ref().is_some_and(|pass| pass.stated.contains(&stated)) {
                continue;
            }
            let found = digest_of(self.transport.open(&stated.object)?.as_ref(), digest, stop)?;
            if found != stated.hex {
                return Err(wrong(&stated, name, &found));
            }
            right += 1;
        }
        Ok(right)
    }

    /// What the source states of an object and nobody here can check.
    pub fn unchecked(&self, object: &str) -> Result<Vec<Finding>> {
        let stated = self.transport.stated_digests(object)?;
        Ok(stated.iter().filter(|stated| algorithm(&stated.algorithm).is_none()).map(unknown).collect())
    }

    /// Ends the pass over an object, which nobody reads any more. The number of digests that were found right.
    pub fn check_pass(&self, object: &str, stop: &dyn Fn() -> bool) -> Result<usize> {
        let Some(pass) = self.pass(object) else { return Ok(0) };
        for (stated, found) in pass.stated.iter().zip(pass.digests.finish(stop)?) {
            if found != stated.hex {
                let name = algorithm(&stated.algorithm).map_or("digest", |(name, _)| name);
                return Err(wrong(stated, name, &found));
            }
        }
        Ok(pass.stated.len())
    }
}

impl Transport for Stated {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let source = self.transport.open(object)?;
        let Some(kept) = &self.kept else { return Ok(source) };
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        let pass = match passes.get(object) {
            Some(pass) => Arc::clone(&pass.digests),
            None => {
                // An error is told by whoever asks again, beside the copy.
                let mut stated = self.transport.stated_digests(object).unwrap_or_default();
                stated.retain(|stated| stated.object == object && algorithm(&stated.algorithm).is_some());
                if stated.is_empty() {
                    return Ok(source);
                }
                let source: Arc<dyn BlockSource> = Arc::from(source);
                let digests = stated.iter().filter_map(|stated| Some(algorithm(&stated.algorithm)?.1)).collect();
                let digests = Arc::new(DigestPass::new(Arc::clone(&source), digests, kept.clone()));
                passes.insert(object.to_owned(), Arc::new(Pass { stated, digests: Arc::clone(&digests) }));
                return Ok(Box::new(Digested { source, pass: digests }));
            }
        };
        Ok(Box::new(Digested { source: Arc::from(source), pass }))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        self.transport.resolve(from, name)
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        self.transport.fingerprint(object)
    }

    fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        self.transport.stated_digests(object)
    }
}

fn algorithm(word: &str) -> Option<(&'static str, Box<dyn DynDigest + Send>)> {
    match word {
        "sha1" => Some(("SHA1", Box::new(Sha1::new()))),
        "sha256" => Some(("SHA256", Box::new(Sha256::new()))),
        "sha512" => Some(("SHA512", Box::new(Sha512::new()))),
        _ => None,
    }
}

/// The finding about a digest whose algorithm is not known here.
fn unknown(stated: &StatedDigest) -> Finding {
    let [object, by, algorithm] =
        [&stated.object, &stated.stated_by, &stated.algorithm].map(|text| crate::events::escape(text));
    let message = format!(
        "{object}: {by} states a digest of the kind `{algorithm}`, which is not known here: it was not checked"
    );
    Finding::new("digest-unknown", Severity::Warn, message)
        .hint("known are sha1, sha256 and sha512: compare the digest by hand if the file may be damaged")
}

fn digest_of(
    source: &dyn BlockSource,
    mut digest: Box<dyn DynDigest + Send>,
    stop: &dyn Fn() -> bool,
) -> Result<String> {
    let (size, mut at) = (source.size(), 0);
    let mut buffer = vec![0; size.min(STEP) as usize];
    while at < size {
        if stop() {
            return Err(PluginError::interrupted());
        }
        let step = (size - at).min(STEP) as usize;
        read_exact_at(source, at, &mut buffer[..step])?;
        digest.update(&buffer[..step]);
        at += step as u64;
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn wrong(stated: &StatedDigest, name: &str, found: &str) -> PluginError {
    let object = crate::events::escape(&stated.object);
    let by = crate::events::escape(&stated.stated_by);
    PluginError::unusable(format!("{object}: its {name} is {found}, and {by} says {}", stated.hex))
        .hint("the file was damaged or changed since that was written: copy the files again")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that states these digests of whatever it is asked about, and has nothing.
    struct States(Vec<StatedDigest>);

    impl Transport for States {
        fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
            Err(PluginError::missing(format!("{object} is not there")))
        }

        fn resolve(&self, _: &str, name: &str) -> Result<String> {
            Ok(name.to_owned())
        }

        fn fingerprint(&self, object: &str) -> Result<String> {
            Ok(object.to_owned())
        }

        fn stated_digests(&self, _: &str) -> Result<Vec<StatedDigest>> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn a_digest_that_cannot_be_checked_is_a_finding() {
        let stated = |algorithm: &str| StatedDigest::new("web.vmdk", algorithm, "00ff", "the manifest");
        let findings = |algorithms: &[&str]| {
            let states = States(algorithms.iter().map(|algorithm| stated(algorithm)).collect());
            Stated::new(Box::new(states), None).unchecked("web.vmdk").unwrap()
        };
        assert_eq!(findings(&["sha1", "sha256", "sha512"]), []);
        let [finding] = &findings(&["sha256", "whirl\u{1b}pool"])[..] else { panic!("one finding") };
        assert_eq!((finding.code.as_str(), finding.severity), ("digest-unknown", Severity::Warn));
        let expected = r"web.vmdk: the manifest states a digest of the kind `whirl\x1bpool`, which is not known here: it was not checked";
        assert_eq!(finding.message, expected);
    }
}
