//! Flags that forbid a change (`chattr +i`, `chattr +a`): taken off for it, and put on again on what is there then.

use vmdk2kvm_plugin_api::model::Applied;
use vmdk2kvm_plugin_api::paths::parent;
use vmdk2kvm_plugin_api::{ErrorKind, Result};

use crate::files::{Files, Place};
use crate::guest::ApplianceGuest;

/// Immutable, and only to be appended to.
const FORBIDDING: [char; 2] = ['i', 'a'];

/// Carries out a change of the file at `target`. When it fails and a flag forbids it, it is tried once more without the flag.
pub fn release(guest: &ApplianceGuest, target: &str, change: impl Fn() -> Result<Applied>) -> Result<Applied> {
    let error = match change() {
        Err(error) if error.kind == ErrorKind::Unusable => error,
        done => return done,
    };
    let files = guest.files.as_ref();
    let held = held(files, target)?;
    if held.is_empty() {
        return Err(error);
    }
    if set(files, &held, false).is_err() {
        return Err(error);
    }
    let done = change();
    // A file that was removed needs no flag; one that cannot have it again must not go unnoticed.
    let left: Vec<_> = held.into_iter().filter(|(path, _)| files.look(path).ok().flatten().is_some()).collect();
    set(files, &left, true)?;
    done
}

/// The file and its folder with their flags that forbid something.
fn held(files: &Files, target: &str) -> Result<Vec<(String, String)>> {
    let path = match files.resolve(target, true)? {
        Place::Found { path, .. } | Place::Vacant { path } => path,
        Place::Nowhere => return Ok(Vec::new()),
    };
    let mut out = Vec::new();
    for path in [parent(&path).to_owned(), path] {
        if files.look(&path)?.is_none() {
            continue;
        }
        // Not every filesystem has flags.
        let flags = files.appliance.call(|handle| handle.flags(&path)).unwrap_or_default();
        let forbidding: String = flags.chars().filter(|flag| FORBIDDING.contains(flag)).collect();
        if !forbidding.is_empty() {
            out.push((path, forbidding));
        }
    }
    Ok(out)
}

fn set(files: &Files, held: &[(String, String)], on: bool) -> Result<()> {
    for (path, flags) in held {
        files.appliance.call(|handle| handle.set_flags(path, flags, on))?;
        files.cache().changed(path);
    }
    Ok(())
}
