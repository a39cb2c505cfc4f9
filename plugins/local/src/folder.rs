//! What a folder holds: VMX files, or else the one disk that is not part of another.

use std::path::Path;

use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::detect::{self, Kind};
use crate::magic::DiskFormat;
use crate::names::{object_of, shown, shown_path};
use crate::references;
use crate::roots::Roots;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// The most disk files of a folder without a VMX.
const MAX_DISKS: usize = 10_000;
/// How many names a message lists.
const LISTED: usize = 20;

/// What a folder is as a source; the members are object references.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// It has VMX files, sorted by name.
    Machines(Vec<String>),
    /// It has none, and one disk chain whose head this is.
    Disk(String, DiskFormat),
}

/// Looks at the regular files right in `folder`. Names that begin with a dot are not looked at.
pub fn look(roots: &Roots, folder: &Path) -> Result<Content> {
    let at = shown_path(folder);
    let (mut machines, mut disks, mut foreign) = (Vec::new(), Vec::new(), None);
    let failed = |error: std::io::Error| PluginError::from_io(&at, &error);
    for (count, entry) in std::fs::read_dir(folder).map_err(failed)?.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(PluginError::unusable(format!("{at}: the folder has more than {MAX_ENTRIES} entries"))
                .hint("name the VMX or the disk itself"));
        }
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || !entry.file_type().map_err(failed)?.is_file() {
            continue;
        }
        match detect::interest(&name) {
            2 => machines.push(object_of(&entry.path())?),
            1 => disks.push((name, entry.path())),
            _ => foreign = foreign.or(detect::foreign_by_name(&name).map(|kind| (name, kind))),
        }
    }
    if !machines.is_empty() {
        machines.sort();
        return Ok(Content::Machines(machines));
    }
    if disks.len() > MAX_DISKS {
        return Err(PluginError::unusable(format!("{at}: the folder has more than {MAX_DISKS} disk files and no VMX"))
            .hint("name the disk itself"));
    }
    disks.sort();
    match (head(roots, &disks)?.as_slice(), foreign) {
        ([(_, object, format)], _) => Ok(Content::Disk(object.clone(), *format)),
        ([], Some((name, kind))) => Err(PluginError::unusable(format!(
            "{at}: the folder has no VMX and no disk; {} is {}, which is not read yet",
            shown(&name),
            kind.what
        ))
        .hint(kind.hint)),
        ([], None) => Err(PluginError::unusable(format!("{at}: the folder has no VMX and no disk"))
            .hint("name the folder that holds the .vmx or .vmdk files themselves")),
        (several, _) => Err(PluginError::unusable(format!(
            "{at}: the folder has no VMX and several disks: {}",
            list(several.iter().map(|(name, ..)| name.as_str()))
        ))
        .hint("name the first disk itself, and the other disks of the same machine with --disk")),
    }
}

/// The disks that no other disk file names as an extent or a parent: name, object and format of each.
fn head(roots: &Roots, disks: &[(String, std::path::PathBuf)]) -> Result<Vec<(String, String, DiskFormat)>> {
    let (mut found, mut mentioned) = (Vec::new(), std::collections::BTreeSet::new());
    let mut refused = None;
    for (name, path) in disks {
        let object = object_of(path)?;
        let source = roots.source(&object)?;
        match detect::detect(&source, path) {
            Ok(Kind::Disk(format)) => {
                let mut names = references::mentioned(&source, format)?;
                // A sparse disk's own descriptor names the file itself as its extent.
                names.remove(&name.to_lowercase());
                mentioned.extend(names);
                found.push((name.clone(), object, format));
            }
            Ok(Kind::Vmx) => {}
            // Named like a disk and none (a torn copy, a note): said, and fatal only when nothing else is there.
            Err(error) => {
                warn!("{error}");
                refused.get_or_insert(error);
            }
        }
    }
    found.retain(|(name, ..)| !mentioned.contains(&name.to_lowercase()));
    match (found.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        _ => Ok(found),
    }
}

/// Names for a message, not too many of them.
pub fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let mut text = names.take(LISTED).map(shown).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
