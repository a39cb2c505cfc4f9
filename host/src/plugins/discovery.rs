//! Where plugins are looked for, and what was found: a manifest or the reason why not. Runs no code of any plugin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{API_VERSION, Manifest, PluginError, Result};

use super::elf::SharedObject;
use super::{gate, trust};

/// Environment variable with further folders, separated by colons, absolute.
const PATH_VARIABLE: &str = "VMDK2KVM_PLUGIN_PATH";
/// No folder holds more candidates than this.
const FOLDER_LIMIT: usize = 1000;

/// Kind of a folder, in the order of search: the first plugin of a name wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearchKind {
    /// Named by `--plugin-dir` or the configuration.
    Given,
    /// Named by the environment.
    Environment,
    /// The user's own.
    User,
    /// The system's.
    System,
    /// Beside the program.
    BuiltIn,
}

impl SearchKind {
    /// The word for people and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Environment => "environment",
            Self::User => "user",
            Self::System => "system",
            Self::BuiltIn => "built-in",
        }
    }
}

/// A folder to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchFolder {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub kind: SearchKind,
}

/// A file that may be a plugin.
#[derive(Debug)]
pub struct Candidate {
    /// Canonical path.
    pub path: PathBuf,
    /// The folder's kind.
    pub kind: SearchKind,
    /// What it says of itself, when that could be read.
    pub manifest: Option<Manifest>,
    /// Libraries the dynamic loader needs for it.
    pub needed: Vec<String>,
    /// Why it is not used; `None` when it may be loaded.
    pub refused: Option<PluginError>,
}

/// The folders in the order of search.
pub fn search_folders(given: &[PathBuf], warn: &mut dyn FnMut(String)) -> Vec<SearchFolder> {
    let mut folders: Vec<_> =
        given.iter().map(|path| SearchFolder { path: path.clone(), kind: SearchKind::Given }).collect();
    if let Some(paths) = std::env::var_os(PATH_VARIABLE) {
        if rustix::process::geteuid() != rustix::process::getuid() {
            warn(format!("{PATH_VARIABLE} is ignored: the program runs with elevated privileges"));
        } else {
            for path in std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()) {
                if path.is_absolute() {
                    folders.push(SearchFolder { path, kind: SearchKind::Environment });
                } else {
                    warn(format!("{PATH_VARIABLE}: {} is ignored: it is not an absolute path", path.display()));
                }
            }
        }
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(data) = data.or_else(|| home.map(|home| home.join(".local/share"))) {
        folders.push(SearchFolder { path: data.join("vmdk2kvm/plugins"), kind: SearchKind::User });
    }
    for path in ["/usr/local/lib/vmdk2kvm/plugins", "/usr/lib/vmdk2kvm/plugins"] {
        folders.push(SearchFolder { path: path.into(), kind: SearchKind::System });
    }
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.push(SearchFolder { path: beside.to_path_buf(), kind: SearchKind::BuiltIn });
        if let Some(prefix) = beside.parent() {
            folders.push(SearchFolder { path: prefix.join("lib/vmdk2kvm/plugins"), kind: SearchKind::BuiltIn });
        }
    }
    folders
}

/// Looks into every folder. A folder that does not exist is passed over, except one that was given.
pub fn discover(folders: &[SearchFolder]) -> Result<Vec<Candidate>> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for folder in folders {
        let Ok(path) = folder.path.canonicalize() else {
            if folder.kind == SearchKind::Given {
                return Err(PluginError::config(format!("the plugin folder {} does not exist", folder.path.display()))
                    .hint("name an existing folder with --plugin-dir"));
            }
            continue;
        };
        if seen.insert(path.clone()) {
            found.extend(files(&path)?.into_iter().filter_map(|file| examine(file, folder.kind)));
        }
    }
    refuse_duplicates(&mut found);
    Ok(found)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(_) if !folder.is_dir() => {
            return Err(PluginError::config(format!("the plugin folder {} is not a folder", folder.display())));
        }
        Err(error) => return Err(PluginError::from_io(folder.display(), &error)),
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .take(FOLDER_LIMIT + 1)
        .collect();
    if files.len() > FOLDER_LIMIT {
        return Err(PluginError::config(format!("{} holds more than {FOLDER_LIMIT} libraries", folder.display()))
            .hint("keep plugins in a folder of their own"));
    }
    files.sort();
    Ok(files)
}

/// Reads one file. `None`: a library that is no plugin of ours.
fn examine(path: PathBuf, kind: SearchKind) -> Option<Candidate> {
    let mut candidate = Candidate { path, kind, manifest: None, needed: Vec::new(), refused: None };
    match read(&candidate.path, kind) {
        Ok(SharedObject { manifest: None, .. }) if kind == SearchKind::BuiltIn => return None,
        Ok(SharedObject { manifest: None, .. }) => {
            candidate.refused = Some(PluginError::missing("it has no manifest: it is not a vmdk2kvm plugin"));
        }
        Ok(SharedObject { manifest: Some(manifest), needed }) => {
            candidate.refused = gate_of(&manifest).err();
            candidate.manifest = Some(manifest);
            candidate.needed = needed;
        }
        Err(error) => candidate.refused = Some(error),
    }
    Some(candidate)
}

/// Reads one file that the user named.
pub(super) fn examine_file(path: PathBuf) -> Option<Candidate> {
    examine(path, SearchKind::Given)
}

fn read(path: &Path, kind: SearchKind) -> Result<SharedObject> {
    let mut file = trust::open_trusted(path, kind != SearchKind::BuiltIn)?;
    SharedObject::read(&mut file)
}

fn gate_of(manifest: &Manifest) -> Result<bool> {
    let host = semver::Version::parse(API_VERSION).map_err(|error| PluginError::defect(error.to_string()))?;
    gate::check(&manifest.api, &host)
}

/// Whether a usable candidate was built against an older contract than this host's.
pub(super) fn is_older(manifest: &Manifest) -> bool {
    gate_of(manifest).unwrap_or(false)
}

/// Two plugins of one name in one folder are both refused: nothing says which is meant, and both would be loaded. A plugin of a later
/// folder is hidden by one of the same name in an earlier folder.
fn refuse_duplicates(found: &mut [Candidate]) {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for index in 0..found.len() {
        let Some(name) = found[index].manifest.as_ref().map(|manifest| manifest.name.clone()) else { continue };
        if found[index].refused.is_some() {
            continue;
        }
        let Some(&other) = first.get(&name) else {
            first.insert(name, index);
            continue;
        };
        let (a, b) = (found[other].path.clone(), found[index].path.clone());
        if a.parent() == b.parent() {
            let text = format!("{} and {} are both called `{name}`", a.display(), b.display());
            found[other].refused = Some(PluginError::missing(text.clone()).hint("remove one of them"));
            found[index].refused = Some(PluginError::missing(text).hint("remove one of them"));
        } else {
            found[index].refused = Some(PluginError::missing(format!("it is hidden by {}", a.display())));
        }
    }
}
