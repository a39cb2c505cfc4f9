//! Changes of a hive: read whole, changed in memory by the library that knows hives, and put in its place in one step.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Applied, RegistryEdit};
use vmdk2kvm_windows_guest::hive::{self, Replayed};
use vmdk2kvm_windows_guest::logs_of;

use super::checked::{changed, same_content};
use super::files::put_like_itself;
use super::{done, unchanged};
use crate::files::Place;
use crate::guest::ApplianceGuest;

/// Largest hive and largest log, in bytes.
const LIMIT: u64 = 1 << 30;

/// Carries out edits, all or none.
pub fn edit(guest: &ApplianceGuest, target: &str, edits: &[RegistryEdit]) -> Result<Applied> {
    let (path, bytes) = content(guest, target)?.ok_or_else(|| changed(target, "has gone"))?;
    let edited = hive::edit(bytes.clone(), edits)?;
    if edited == bytes {
        return Ok(unchanged());
    }
    put_like_itself(guest, &path, &edited)?;
    Ok(done(format!("{} values", edits.len())))
}

/// Brings a hive up to date from the logs beside it.
pub fn replay(guest: &ApplianceGuest, target: &str, old: &str) -> Result<Applied> {
    let (path, bytes) = content(guest, target)?.ok_or_else(|| changed(target, "has gone"))?;
    same_content(target, &bytes, old)?;
    let mut found = Vec::new();
    for log in logs_of(&path) {
        found.extend(content(guest, &log)?.map(|(_, bytes)| bytes));
    }
    let logs: Vec<&[u8]> = found.iter().map(Vec::as_slice).collect();
    let (bytes, detail) = match hive::replay(&bytes, &logs)? {
        Replayed::Applied { hive, steps } => (hive, format!("{steps} steps of its logs")),
        Replayed::Settled { hive } => (hive, "its logs hold nothing for it".to_owned()),
        _ => return Ok(unchanged()),
    };
    put_like_itself(guest, &path, &bytes)?;
    Ok(done(detail))
}

fn content(guest: &ApplianceGuest, path: &str) -> Result<Option<(String, Vec<u8>)>> {
    match guest.files.resolve(path, true)? {
        Place::Found { path, stat } => {
            let bytes = guest.files.content(&path, &stat, LIMIT)?;
            Ok(Some((path, bytes.as_ref().clone())))
        }
        Place::Vacant { .. } | Place::Nowhere => Ok(None),
    }
}
