//! Which files of a folder a network stack reads, and in which order.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::graph::Graph;
use crate::careful::real_path;
use crate::textfile::TextFile;

/// The files of a folder whose names are wanted, in the order of their names.
pub(super) fn of_folder(
    guest: &dyn Guest,
    folder: &str,
    wanted: impl Fn(&str) -> bool,
    graph: &mut Graph,
) -> Result<Vec<TextFile>> {
    layered(guest, &[folder], wanted, graph)
}

/// The files of several folders, in the order of their names. One of an earlier folder hides those of its name in the later ones, and one
/// that is a link to /dev/null hides them without saying anything itself.
pub(super) fn layered(
    guest: &dyn Guest,
    folders: &[&str],
    wanted: impl Fn(&str) -> bool,
    graph: &mut Graph,
) -> Result<Vec<TextFile>> {
    let mut found: BTreeMap<String, (String, FileKind)> = BTreeMap::new();
    for folder in folders {
        let entries = guest.list(folder)?.into_iter().flatten();
        let files = entries.filter(|entry| matches!(entry.kind, FileKind::File | FileKind::Symlink));
        for entry in files.filter(|entry| wanted(&entry.name)) {
            let path = format!("{folder}/{}", entry.name);
            found.entry(entry.name).or_insert((path, entry.kind));
        }
    }
    let mut files = Vec::new();
    for (path, kind) in found.values() {
        if *kind == FileKind::Symlink {
            files.extend(read(guest, path, graph)?);
        } else {
            files.extend(TextFile::read(guest, path, &mut graph.findings)?);
        }
    }
    Ok(files)
}

/// The file at a path. What cannot be read is a finding, but for a link to nowhere or to a device, which is how such files are masked.
pub(super) fn read(guest: &dyn Guest, path: &str, graph: &mut Graph) -> Result<Option<TextFile>> {
    if is_masked(guest, path)? {
        return Ok(None);
    }
    TextFile::read(guest, path, &mut graph.findings)
}

/// Whether a link at this path leads to something that is no file, such as /dev/null.
pub(super) fn is_masked(guest: &dyn Guest, path: &str) -> Result<bool> {
    if guest.stat(path)?.is_none_or(|own| own.kind != FileKind::Symlink) {
        return Ok(false);
    }
    let place = real_path(guest, path, true)?;
    Ok(place.starts_with("/dev/") || guest.stat(&place)?.is_none_or(|own| own.kind != FileKind::File))
}
