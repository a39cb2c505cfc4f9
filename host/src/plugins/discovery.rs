//! Where plugins are looked for, and what was found: a manifest or the reason why not. Runs no code of any plugin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::{Manifest, PluginError, Result};

use super::elf::SharedObject;
use super::lock::Lock;
use super::{gate, trust};

/// Environment variable with further folders, separated by colons, absolute.
const PATH_VARIABLE: &str = "VMDK2KVM_PLUGIN_PATH";
/// Where a packager puts plugins, when that is not `../lib/vmdk2kvm/plugins` from the program: set when the host is built.
const PACKAGED: Option<&str> = option_env!("VMDK2KVM_PLUGIN_DIR");
/// No folder holds more candidates than this.
const FOLDER_LIMIT: usize = 1000;

/// Kind of a folder, in the order of search: the first plugin of a name wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Its path in the canonical folder.
    pub path: PathBuf,
    /// The folder's kind.
    pub kind: SearchKind,
    /// What it says of itself, when that could be read.
    pub manifest: Option<Manifest>,
    /// Libraries the dynamic loader needs for it.
    pub needed: Vec<String>,
    /// Its digest, where a lock file is enforced: what is loaded must have the same.
    pub digest: Option<String>,
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
    for path in ["/usr/local/lib/vmdk2kvm/plugins", "/usr/lib/vmdk2kvm/plugins"].into_iter().chain(PACKAGED) {
        folders.push(SearchFolder { path: path.into(), kind: SearchKind::System });
    }
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.push(SearchFolder { path: beside.to_path_buf(), kind: SearchKind::BuiltIn });
        if let Some(prefix) = beside.parent() {
            folders.push(SearchFolder { path: prefix.join("lib/vmdk2kvm/plugins"), kind: SearchKind::System });
        }
    }
    folders
}

/// Looks into every folder. A folder that does not exist is passed over, except one that was given. What a lock file does not have is
/// refused.
pub fn discover(folders: &[SearchFolder]) -> Result<Vec<Candidate>> {
    look(folders, Lock::read()?.as_ref())
}

/// The same, whatever lock files say.
pub(super) fn discover_unlocked(folders: &[SearchFolder]) -> Result<Vec<Candidate>> {
    look(folders, None)
}

fn look(folders: &[SearchFolder], lock: Option<&Lock>) -> Result<Vec<Candidate>> {
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
            found.extend(files(&path)?.into_iter().filter_map(|file| examine(file, folder.kind, lock)));
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
///
/// What a file that is not trusted says of itself is read all the same: it is only data, and the refusal can then name the plugin.
fn examine(path: PathBuf, kind: SearchKind, lock: Option<&Lock>) -> Option<Candidate> {
    let mut candidate = Candidate { path, kind, manifest: None, needed: Vec::new(), digest: None, refused: None };
    let opened = trust::open(&candidate.path).map(|mut file| {
        let trusted = trust::check(&candidate.path, &file, kind != SearchKind::BuiltIn);
        let read = SharedObject::read(&mut file);
        let trusted = trusted.and_then(|()| lock.map(|lock| lock.check(&candidate.path, &mut file)).transpose());
        (read, trusted)
    });
    candidate.refused = match opened {
        Ok((Ok(SharedObject { manifest: None, .. }), _)) if kind == SearchKind::BuiltIn => return None,
        Ok((Ok(SharedObject { manifest: None, .. }), trusted)) => {
            let stranger = PluginError::missing("it has no manifest: it is not a vmdk2kvm plugin");
            Some(trusted.err().unwrap_or(stranger))
        }
        Ok((Ok(SharedObject { manifest: Some(manifest), needed }), trusted)) => {
            let checked = trusted.and_then(|digest| gate::check(&manifest.api).map(|_| digest));
            candidate.manifest = Some(manifest);
            candidate.needed = needed;
            checked.map(|digest| candidate.digest = digest).err()
        }
        Ok((Err(error), trusted)) => Some(trusted.err().unwrap_or(error)),
        // An installed program has others beside it: /usr/bin/ld.so is a link.
        Err(_) if kind == SearchKind::BuiltIn => return None,
        Err(error) => Some(error),
    };
    Some(candidate)
}

/// Reads one file again, as it was found before in another process: what is loaded must have the digest and the manifest of then.
pub(super) fn examine_as(
    path: PathBuf,
    kind: SearchKind,
    digest: Option<String>,
    manifest: Manifest,
) -> Option<Candidate> {
    examine(path, kind, None).map(|candidate| Candidate { digest, manifest: Some(manifest), ..candidate })
}

/// Reads one file that the user named, whatever lock files say.
pub(super) fn examine_file(path: PathBuf) -> Option<Candidate> {
    examine(path, SearchKind::Given, None)
}

/// Two plugins of one name in one folder are both refused: nothing says which is meant, and both would be loaded. A plugin of a later
/// folder is hidden by one of the same name in an earlier folder, unless that one is refused.
fn refuse_duplicates(found: &mut [Candidate]) {
    let mut names: BTreeMap<String, BTreeMap<PathBuf, Vec<usize>>> = BTreeMap::new();
    for (index, candidate) in found.iter().enumerate() {
        if let (Some(manifest), None) = (&candidate.manifest, &candidate.refused) {
            let folder = candidate.path.parent().unwrap_or(&candidate.path).to_path_buf();
            names.entry(manifest.name.clone()).or_default().entry(folder).or_default().push(index);
        }
    }
    for (name, folders) in names {
        let (twins, single): (Vec<_>, Vec<_>) = folders.into_values().partition(|indices| indices.len() > 1);
        for indices in twins {
            let (a, b) = (found[indices[0]].path.display(), found[indices[1]].path.display());
            let refused =
                PluginError::missing(format!("{a} and {b} are both called `{name}`")).hint("remove one of them");
            indices.into_iter().for_each(|index| found[index].refused = Some(refused.clone()));
        }
        let mut single: Vec<usize> = single.into_iter().flatten().collect();
        single.sort_unstable();
        if let Some((first, hidden)) = single.split_first() {
            let refused = PluginError::missing(format!("it is hidden by {}", found[*first].path.display()));
            hidden.iter().for_each(|index| found[*index].refused = Some(refused.clone()));
        }
    }
}
