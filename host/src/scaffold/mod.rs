//! `plugin new`: a crate of a plugin that builds, does something small, and has tests that pass, outside of this tree.
//!
//! Each kind has one file in `templates`, written as the plugin `my-plugin`; a new crate is that file with its own name in it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use vmdk2kvm_plugin_api::{API_VERSION, Kind, PluginError, Result};

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
}

/// Makes the crate in a new folder of this name below `parent`. `api`: a folder with the sources of `plugin-api`; without one the crate
/// depends on the version of this host.
pub fn create(parent: &Path, name: &str, kind: Kind, api: Option<&Path>) -> Result<Scaffold> {
    check_name(name)?;
    let dependencies = dependencies(api)?;
    let folder = parent.join(name);
    let failed = |path: &Path, error: std::io::Error| PluginError::output(format!("{}: {error}", path.display()));
    std::fs::create_dir(&folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => PluginError::output(format!("{} exists already", folder.display()))
            .hint("choose another name, or remove it"),
        _ => failed(&folder, error),
    })?;
    let source = folder.join("src");
    std::fs::create_dir(&source).map_err(|error| failed(&source, error))?;
    let spelled = [name.to_owned(), name.replace('-', "_"), camel(name)];
    let named =
        |text: &str| NAMES.iter().zip(&spelled).fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let manifest = named(include_str!("templates/Cargo.toml.in")).replace("# DEPENDENCIES\n", &dependencies);
    let page = named(include_str!("templates/README.md.in")).replace("KIND", kind.as_str());
    for (file, text) in [
        ("Cargo.toml", manifest),
        ("src/lib.rs", named(template(kind))),
        ("README.md", page),
        (".gitignore", "/target\n".to_owned()),
    ] {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    let file_name = format!("lib{}.so", name.replace('-', "_"));
    Ok(Scaffold { folder, name: name.to_owned(), kind, file_name })
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

fn dependencies(api: Option<&Path>) -> Result<String> {
    let lines = |api: String, testing: String| {
        format!(
            "[dependencies]\nvmdk2kvm-plugin-api = {api}\n\n[dev-dependencies]\nvmdk2kvm-plugin-testing = {testing}\n"
        )
    };
    let Some(folder) = api else {
        let minor = API_VERSION.rsplit_once('.').map_or(API_VERSION, |(minor, _)| minor);
        return Ok(lines(format!("\"{minor}\""), format!("\"{minor}\"")));
    };
    let path = folder.canonicalize().map_err(|error| PluginError::from_io(folder.display(), &error))?;
    if !path.join("testing/Cargo.toml").is_file() {
        return Err(PluginError::unusable(format!("{} is not the folder plugin-api of vmdk2kvm", folder.display()))
            .hint("name the folder plugin-api of a checkout"));
    }
    // As TOML: a path may hold quotes.
    let toml = |path: PathBuf| format!("{{ path = {} }}", toml::Value::String(path.to_string_lossy().into_owned()));
    Ok(lines(toml(path.clone()), toml(path.join("testing"))))
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

    #[test]
    fn a_crate_bears_its_own_name_only() {
        let folder = tempfile::tempdir().unwrap();
        for kind in Kind::ALL {
            let name = format!("acme-{}", kind.as_str());
            let made = create(folder.path(), &name, kind, None).unwrap();
            assert_eq!(made.file_name, format!("libacme_{}.so", kind.as_str()));
            for file in ["Cargo.toml", "src/lib.rs", "README.md"] {
                let text = std::fs::read_to_string(made.folder.join(file)).unwrap();
                assert!(NAMES.iter().all(|name| !text.contains(name)) && !text.contains("KIND"), "{file}: {text}");
            }
            let manifest: toml::Table =
                std::fs::read_to_string(made.folder.join("Cargo.toml")).unwrap().parse().unwrap();
            assert_eq!(manifest["dependencies"]["vmdk2kvm-plugin-api"].as_str(), Some("1.0"));
        }
        let error = create(folder.path(), "acme-fixer", Kind::Fixer, None).unwrap_err();
        assert!(error.message.ends_with("acme-fixer exists already"), "{error}");
        let error = create(folder.path(), "x", Kind::Fixer, Some(folder.path())).unwrap_err();
        assert!(error.message.ends_with("is not the folder plugin-api of vmdk2kvm"), "{error}");
    }
}
