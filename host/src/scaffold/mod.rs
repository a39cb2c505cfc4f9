//! `plugin new`: a crate of a plugin that builds, does something small, and has tests that pass, outside of this tree.
//!
//! Each kind has one file in `templates`, written as the plugin `my-plugin`; a new crate is that file with its own name in it.

mod sources;

use std::path::{Path, PathBuf};

use serde::Serialize;
use vmdk2kvm_plugin_api::{Kind, PluginError, Result};

pub use sources::Sources;

/// The name that stands in the templates, as it is spelled for people, in Rust's paths, and as a type.
const NAMES: [&str; 3] = ["my-plugin", "my_plugin", "MyPlugin"];

/// A crate that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scaffold {
    /// Its folder.
    pub folder: PathBuf,
    /// The plugin's name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// The name of the library that it becomes, as cargo gives it.
    pub file_name: String,
    /// The folder `plugin-api` that it builds against.
    pub api: PathBuf,
}

/// Makes the crate in a new folder of this name below `parent`. It builds against `sources`, and without a network where these have all.
pub fn create(parent: &Path, name: &str, kind: Kind, sources: &Sources) -> Result<Scaffold> {
    check_name(name)?;
    let folder = parent.join(name);
    let failed = |path: &Path, error: std::io::Error| PluginError::output(format!("{}: {error}", path.display()));
    std::fs::create_dir(&folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => PluginError::output(format!("{} exists already", folder.display()))
            .hint("choose another name, or remove it"),
        _ => failed(&folder, error),
    })?;
    let below: &[&str] = if sources.vendor.is_some() { &["src", ".cargo"] } else { &["src"] };
    for made in below.iter().map(|name| folder.join(name)) {
        std::fs::create_dir(&made).map_err(|error| failed(&made, error))?;
    }
    let spelled = [name.to_owned(), name.replace('-', "_"), camel(name)];
    let named =
        |text: &str| NAMES.iter().zip(&spelled).fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let manifest =
        named(include_str!("templates/Cargo.toml.in")).replace("# DEPENDENCIES\n", &dependencies(&sources.api));
    let page = named(include_str!("templates/README.md.in")).replace("KIND", kind.as_str());
    let mut files = vec![
        ("Cargo.toml", manifest),
        ("src/lib.rs", named(template(kind))),
        ("README.md", page),
        (".gitignore", "/target\n".to_owned()),
    ];
    if let Some(vendor) = &sources.vendor {
        files
            .push((".cargo/config.toml", include_str!("templates/config.toml.in").replace("VENDOR", &as_toml(vendor))));
    }
    if let Some(lock) = &sources.lock {
        let text = std::fs::read_to_string(lock).map_err(|error| PluginError::from_io(lock.display(), &error))?;
        files.push(("Cargo.lock", text));
    }
    for (file, text) in files {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    let file_name = format!("lib{}.so", name.replace('-', "_"));
    Ok(Scaffold { folder, name: name.to_owned(), kind, file_name, api: sources.api.clone() })
}

fn template(kind: Kind) -> &'static str {
    match kind {
        Kind::Fetcher => include_str!("templates/fetcher.rs"),
        Kind::Flattener => include_str!("templates/flattener.rs"),
        Kind::Inspector => include_str!("templates/inspector.rs"),
        Kind::Fixer => include_str!("templates/fixer.rs"),
        Kind::Converter => include_str!("templates/converter.rs"),
        Kind::Tester => include_str!("templates/tester.rs"),
    }
}

/// A name that is one for a plugin, a crate and a type.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('-')
        && !name.contains("--")
        && name.len() <= 64;
    if is_name {
        return Ok(());
    }
    let shown = crate::events::escape(name);
    Err(PluginError::new(vmdk2kvm_plugin_api::ErrorKind::Usage, format!("`{shown}` is no name for a plugin"))
        .hint("lower case letters, digits and single dashes, a letter first, at most 64"))
}

/// `two-words` as `TwoWords`.
fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(word).collect()
}

fn dependencies(api: &Path) -> String {
    let (api, testing) = (as_toml(api), as_toml(&api.join("testing")));
    format!(
        "[dependencies]\nvmdk2kvm-plugin-api = {{ path = {api} }}\n\n\
         [dev-dependencies]\nvmdk2kvm-plugin-testing = {{ path = {testing} }}\n"
    )
}

/// As TOML: a path may hold quotes.
fn as_toml(path: &Path) -> String {
    toml::Value::String(path.to_string_lossy().into_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "acme-agent", "a2"] {
            check_name(name).unwrap();
        }
        for name in ["", "Acme", "a_b", "-a", "a-", "a--b", "2a", "../a", &"a".repeat(65)] {
            assert_eq!(check_name(name).unwrap_err().kind.exit_code(), 2, "{name}");
        }
        assert_eq!(camel("acme-agent-2"), "AcmeAgent2");
    }

    fn sources(folder: &str, vendor: Option<&str>) -> Sources {
        Sources { api: folder.into(), vendor: vendor.map(PathBuf::from), lock: None }
    }

    fn table(made: &Scaffold, file: &str) -> toml::Table {
        std::fs::read_to_string(made.folder.join(file)).unwrap().parse().unwrap()
    }

    #[test]
    fn a_crate_bears_its_own_name_only() {
        let folder = tempfile::tempdir().unwrap();
        for kind in Kind::ALL {
            let name = format!("acme-{}", kind.as_str());
            let made = create(folder.path(), &name, kind, &sources("/api", None)).unwrap();
            assert_eq!(made.file_name, format!("libacme_{}.so", kind.as_str()));
            for file in ["Cargo.toml", "src/lib.rs", "README.md"] {
                let text = std::fs::read_to_string(made.folder.join(file)).unwrap();
                assert!(NAMES.iter().all(|name| !text.contains(name)) && !text.contains("KIND"), "{file}: {text}");
            }
            assert!(!made.folder.join(".cargo").exists());
        }
        let error = create(folder.path(), "acme-fixer", Kind::Fixer, &sources("/api", None)).unwrap_err();
        assert!(error.message.ends_with("acme-fixer exists already"), "{error}");
    }

    #[test]
    fn a_crate_builds_against_what_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.lock"), "version = 4\n").unwrap();
        let odd =
            Sources { lock: Some(folder.path().join("Cargo.lock")), ..sources("/a \"b\"", Some("/a \"b\"/vendor")) };
        let made = create(folder.path(), "acme", Kind::Fixer, &odd).unwrap();
        let manifest = table(&made, "Cargo.toml");
        assert_eq!(manifest["dependencies"]["vmdk2kvm-plugin-api"]["path"].as_str(), Some("/a \"b\""));
        assert_eq!(manifest["dev-dependencies"]["vmdk2kvm-plugin-testing"]["path"].as_str(), Some("/a \"b\"/testing"));
        let config = table(&made, ".cargo/config.toml");
        let instead = config["source"]["crates-io"]["replace-with"].as_str().unwrap();
        assert_eq!(config["source"][instead]["directory"].as_str(), Some("/a \"b\"/vendor"));
        assert_eq!(table(&made, "Cargo.lock")["version"].as_integer(), Some(4));
    }
}
