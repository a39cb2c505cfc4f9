//! A digest of all that a key holds, by which a plan to remove it knows it again.

use sha2::{Digest, Sha256};

use super::names::folded;
use super::{HiveError, Key, Value};

impl Key<'_> {
    /// SHA-256, in hexadecimal digits, of its values and of the keys below it with theirs: for
    /// [`RegistryEdit::remove_key`](vmdk2kvm_plugin_api::model::RegistryEdit::remove_key). The order of values does not count.
    pub fn digest(&self) -> Result<String, HiveError> {
        let mut digest = Sha256::new();
        add(*self, &mut digest)?;
        Ok(format!("{:x}", digest.finalize()))
    }
}

/// Everything is preceded by its length or number, so that no two keys look alike.
fn add(key: Key<'_>, digest: &mut Sha256) -> Result<(), HiveError> {
    let mut values = key.values()?;
    values.sort_by_cached_key(|value| folded(&value.name));
    digest.update((values.len() as u64).to_le_bytes());
    for Value { name, type_number, data } in values {
        text(&name, digest);
        digest.update(type_number.to_le_bytes());
        digest.update((data.len() as u64).to_le_bytes());
        digest.update(data);
    }
    let below = key.subkeys()?;
    digest.update((below.len() as u64).to_le_bytes());
    for key in below {
        text(&key.name(), digest);
        add(key, digest)?;
    }
    Ok(())
}

fn text(text: &str, digest: &mut Sha256) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}
