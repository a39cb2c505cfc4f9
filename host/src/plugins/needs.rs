//! What a plugin needs of this machine: programs and libraries, with the packages that have them.

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use serde::Serialize;
use vmdk2kvm_plugin_api::{Manifest, Need, PluginError};

use super::discovery::Candidate;
use super::packages::Packaging;
use super::programs::find_program;

/// Something a plugin needs and this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingNeed {
    /// `program` or `library`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The package that has it, as it is called here, where the manifest says so.
    pub package: Option<String>,
}

/// What this machine lacks of a plugin's needs: the programs and libraries of its manifest, and the libraries that it is linked to
/// (`linked`, its `DT_NEEDED`). Looks for programs on `PATH` and asks the dynamic loader for libraries.
pub fn missing_needs(manifest: &Manifest, linked: &[String]) -> Vec<MissingNeed> {
    let missing =
        |kind, need: &Need| MissingNeed { kind, name: need.name.clone(), package: Packaging::here().package(need) };
    let programs = manifest.programs.iter().filter(|need| find_program(&need.name).is_none());
    let libraries = manifest.libraries.iter().filter(|need| !library_loads(&need.name));
    let is_listed = |name: &String| manifest.libraries.iter().any(|need| need.name == *name);
    let unlisted = linked.iter().filter(|name| !is_listed(name) && !library_loads(name));
    programs
        .map(|need| missing("program", need))
        .chain(libraries.map(|need| missing("library", need)))
        .chain(unlisted.map(|name| MissingNeed { kind: "library", name: name.clone(), package: None }))
        .collect()
}

fn library_loads(name: &str) -> bool {
    // A plain soname only: a path in a manifest would load whatever it names.
    if name.contains('/') || name.is_empty() {
        return false;
    }
    // SAFETY: a system library's initialisers run, as they would when the plugin opens it.
    unsafe { Library::open(Some(name), RTLD_LAZY | RTLD_LOCAL) }.is_ok()
}

/// The loader names the missing library but not the plugin: says both, with the package when the manifest has it.
pub(super) fn explain_dlopen(candidate: &Candidate, manifest: &Manifest, error: &str) -> PluginError {
    let missing = candidate.needed.iter().find(|name| error.starts_with(&format!("{name}:")));
    match missing {
        Some(name) => {
            let need = manifest.libraries.iter().find(|need| need.name == *name);
            let error = PluginError::missing(format!("it needs the library {name}, which is not installed"));
            match need.and_then(|need| Packaging::here().package(need)) {
                Some(package) => {
                    let command = Packaging::here().install(&[&package]);
                    error.hint(command.unwrap_or_else(|| format!("install {package}, as this system calls it")))
                }
                None => error,
            }
        }
        None => PluginError::missing(format!("the dynamic loader says: {error}")),
    }
}
