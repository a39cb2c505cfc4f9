//! What a source holds: VMX files, OVF packages, or else disks. A folder and an archive are looked at alike.

use std::path::Path;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::container::compressed::Compression;
use crate::detect::{self, Interest, Kind};
use crate::given::Given;
use crate::magic::{DiskFormat, Foreign};
use crate::names::{object_of, shown_path};
use crate::references;
use crate::roots::Roots;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// The most disk files of a folder without a description.
const MAX_DISKS: usize = 10_000;
/// How many names a message lists.
const LISTED: usize = 20;

/// What a source is; the members are object references.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// VMX files, sorted by name.
    Machines(Vec<String>),
    /// OVF files, sorted by name.
    Packages(Vec<String>),
    /// No description, and these disks of one machine.
    Disks(Vec<(String, DiskFormat)>),
}

/// Looks at a source.
pub fn content(roots: &Roots) -> Result<Content> {
    match &roots.main {
        Given::Folder(path) => Look { roots, at: shown_path(path), archive: false }.look(folder(path)?),
        Given::File(path) => {
            let object = object_of(path)?;
            Ok(match detect::detect(&roots.source(&object)?, path)? {
                Kind::Vmx => Content::Machines(vec![object]),
                Kind::Ovf => Content::Packages(vec![object]),
                Kind::Disk(format) => Content::Disks(vec![(object, format)]),
                Kind::Archive(_) => return archive(roots, &object),
            })
        }
    }
}

/// What the archive `object` holds; of archives inside, one.
fn archive(roots: &Roots, object: &str) -> Result<Content> {
    Look { roots, at: escape(object).into_owned(), archive: true }.look(members(roots, object)?)
}

/// Names and objects of an archive's members.
fn members(roots: &Roots, object: &str) -> Result<Vec<(String, String)>> {
    let members = roots.members(object)?;
    Ok(members.into_iter().map(|name| (name.clone(), format!("{object}/{name}"))).collect())
}

/// Names and objects of the regular files right in a folder.
fn folder(folder: &Path) -> Result<Vec<(String, String)>> {
    let at = shown_path(folder);
    let failed = |error: std::io::Error| PluginError::from_io(&at, &error);
    let mut files = Vec::new();
    for (count, entry) in std::fs::read_dir(folder).map_err(failed)?.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(PluginError::unusable(format!("{at}: the folder has more than {MAX_ENTRIES} entries"))
                .hint("name the OVF, the VMX or the disk itself"));
        }
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let looked_at = detect::interest(&name) != Interest::None || detect::foreign_by_name(&name).is_some();
        if looked_at && !name.starts_with('.') && entry.file_type().map_err(failed)?.is_file() {
            files.push((name, object_of(&entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}

/// A look at the files of one place.
struct Look<'a> {
    roots: &'a Roots,
    /// What messages call the place.
    at: String,
    archive: bool,
}

/// Files by what their names make of them.
#[derive(Default)]
struct Sorted {
    machines: Vec<String>,
    packages: Vec<String>,
    archives: Vec<String>,
    disks: Vec<(String, String)>,
    foreign: Option<(String, &'static Foreign)>,
}

impl Sorted {
    fn of(files: Vec<(String, String)>) -> Self {
        let mut sorted = Self::default();
        for (name, object) in files {
            // What begins with a dot is no part of a machine, and macOS packs its notes as `._name`.
            if name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX") {
                continue;
            }
            let last = name.rsplit('/').next().unwrap_or(&name);
            match detect::interest(last) {
                Interest::Vmx => sorted.machines.push(object),
                Interest::Ovf => sorted.packages.push(object),
                Interest::Archive => sorted.archives.push(object),
                Interest::Disk => sorted.disks.push((name, object)),
                Interest::None => {
                    sorted.foreign = sorted.foreign.or(detect::foreign_by_name(last).map(|kind| (name, kind)));
                }
            }
        }
        sorted
    }
}

impl Look<'_> {
    fn look(&self, files: Vec<(String, String)>) -> Result<Content> {
        let only = match files.as_slice() {
            [(_, object)] if self.archive => Some(object.clone()),
            _ => None,
        };
        let sorted = Sorted::of(files);
        if !sorted.machines.is_empty() {
            return Ok(Content::Machines(sorted.machines));
        }
        if !sorted.packages.is_empty() {
            return Ok(Content::Packages(sorted.packages));
        }
        if sorted.disks.len() > MAX_DISKS {
            let what = format!("{} has more than {MAX_DISKS} disk files and no description", self.what());
            return Err(PluginError::unusable(what).hint("name the disk itself"));
        }
        let heads = self.heads(&sorted.disks)?;
        match (heads.as_slice(), sorted.archives.as_slice(), only) {
            // A bundle's disks are those of one machine; what else lies in a folder may be of others.
            ([_], ..) => {}
            ([_, ..], ..) if self.archive => {}
            ([], [inner], _) => return self.inner(inner),
            // One file of any name is what the archive is about.
            ([], [], Some(object)) => return self.one(object),
            ([], ..) => return Err(self.nothing(&sorted)),
            _ => {
                let names = list(heads.iter().map(|(name, ..)| name.as_str()));
                return Err(PluginError::unusable(format!("{} has no VMX and several disks: {names}", self.what()))
                    .hint("name the first disk itself, and the other disks of the same machine with --disk"));
            }
        }
        Ok(Content::Disks(heads.into_iter().map(|(_, object, format)| (object, format)).collect()))
    }

    /// The disks that no other disk file names as an extent or a parent: name, object and format of each.
    fn heads(&self, disks: &[(String, String)]) -> Result<Vec<(String, String, DiskFormat)>> {
        let (mut found, mut mentioned) = (Vec::new(), std::collections::BTreeSet::new());
        let mut refused = None;
        for (name, object) in disks {
            let source = self.roots.source(object)?;
            match detect::detect(&source, Path::new(object)) {
                Ok(Kind::Disk(format)) => {
                    let mut names = references::mentioned(&source, format)?;
                    // A sparse disk's own descriptor names the file itself as its extent.
                    names.remove(&last_part(name));
                    mentioned.extend(names);
                    found.push((name.clone(), object.clone(), format));
                }
                Ok(_) => {}
                // Named like a disk and none (a torn copy, a note): said, and fatal only when nothing else is there.
                Err(error) => {
                    warn!("{error}");
                    refused.get_or_insert(error);
                }
            }
        }
        found.retain(|(name, ..)| !mentioned.contains(&last_part(name)));
        match (found.is_empty(), refused) {
            (true, Some(error)) => Err(error),
            _ => Ok(found),
        }
    }

    /// The archive in this place; one in an archive is the last.
    fn inner(&self, object: &str) -> Result<Content> {
        let inner = Look { roots: self.roots, at: escape(object).into_owned(), archive: true };
        let files = members(self.roots, object)?;
        // A compressed tar or disk is one file behind a compressor, and no level of its own.
        let nested = Sorted::of(files.clone());
        let only_archives = nested.machines.is_empty() && nested.packages.is_empty() && nested.disks.is_empty();
        if self.archive && only_archives && !nested.archives.is_empty() {
            return Err(PluginError::unusable(format!(
                "{}: an archive in an archive in an archive; one in another is read",
                inner.at
            ))
            .hint("unpack it into an empty folder, and give that folder"));
        }
        inner.look(files)
    }

    fn one(&self, object: String) -> Result<Content> {
        match detect::detect(&self.roots.source(&object)?, Path::new(&object))? {
            Kind::Disk(format) => Ok(Content::Disks(vec![(object, format)])),
            Kind::Vmx => Ok(Content::Machines(vec![object])),
            Kind::Ovf => Ok(Content::Packages(vec![object])),
            Kind::Archive(_) => self.inner(&object),
        }
    }

    fn nothing(&self, sorted: &Sorted) -> PluginError {
        let what = self.what();
        if sorted.archives.len() > 1 {
            let names = list(sorted.archives.iter().map(|object| object.rsplit('/').next().unwrap_or(object)));
            return PluginError::unusable(format!("{what} has no OVF, VMX or disk, and several archives: {names}"))
                .hint("name the one that holds the virtual machine");
        }
        match &sorted.foreign {
            Some((name, kind)) => PluginError::unusable(format!(
                "{what} has no OVF, VMX or disk; {} is {}, which is not read",
                escape(name),
                kind.what
            ))
            .hint(kind.hint),
            None => PluginError::unusable(format!("{what} has no OVF, VMX or disk"))
                .hint("name the folder that holds the .ovf, .vmx or .vmdk files themselves"),
        }
    }

    fn what(&self) -> String {
        format!("{}: the {}", self.at, if self.archive { "archive" } else { "folder" })
    }
}

/// What a machine is called that only its disks or its archive name: the file name without what says how it is packed.
pub fn machine_name(object: &str) -> String {
    let mut name = Compression::inner_name(object);
    for extension in [".tar", ".ova", ".zip"] {
        if let Some(stem) = name.strip_suffix(extension).filter(|stem| !stem.is_empty()) {
            name = stem.to_owned();
        }
    }
    if name == last(object) { crate::names::stem(Path::new(object)) } else { escape(&name).into_owned() }
}

fn last(object: &str) -> &str {
    object.rsplit('/').next().unwrap_or(object)
}

fn last_part(name: &str) -> String {
    last(name).to_lowercase()
}

/// Names for a message, not too many of them.
pub fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let mut text = names.take(LISTED).map(escape).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
