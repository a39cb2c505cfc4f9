//! Digests that a source states of its files: all bytes are held against them, beside the copy.

use sha1::Sha1;
use sha2::digest::{Digest, DynDigest};
use sha2::{Sha256, Sha512};
use vmdk2kvm_plugin_api::model::StatedDigest;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport, read_exact_at};

/// Bytes read at a time.
const STEP: u64 = 1 << 20;

/// Holds everything that an object is made of against the digests that the source states; `true`: there are some, and all are right. A digest
/// of an unknown algorithm counts as none.
pub(super) fn hold(transport: &dyn Transport, object: &str, stop: &dyn Fn() -> bool) -> Result<bool> {
    let mut is_held = false;
    for stated in transport.stated_digests(object)? {
        let Some((name, digest)) = algorithm(&stated.algorithm) else { continue };
        let found = digest_of(transport.open(&stated.object)?.as_ref(), digest, stop)?;
        if found != stated.hex {
            return Err(wrong(&stated, name, &found));
        }
        is_held = true;
    }
    Ok(is_held)
}

fn algorithm(word: &str) -> Option<(&'static str, Box<dyn DynDigest>)> {
    match word {
        "sha1" => Some(("SHA1", Box::new(Sha1::new()))),
        "sha256" => Some(("SHA256", Box::new(Sha256::new()))),
        "sha512" => Some(("SHA512", Box::new(Sha512::new()))),
        _ => None,
    }
}

fn digest_of(source: &dyn BlockSource, mut digest: Box<dyn DynDigest>, stop: &dyn Fn() -> bool) -> Result<String> {
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
