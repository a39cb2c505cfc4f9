//! Where the sources of `plugin-api` are that a new plugin builds against: nothing is published, so they come with the program.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

/// The package that brings them.
const PACKAGE: &str = "vmdk2kvm-plugin-dev";

/// The folder `plugin-api`, and what lies with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The folder, absolute.
    pub api: PathBuf,
    /// The crates that it needs, where they are shipped with it: a build then needs no network.
    pub vendor: Option<PathBuf>,
    /// The versions that the program was built with, where it is a checkout.
    pub lock: Option<PathBuf>,
}

impl Sources {
    /// In this folder.
    pub fn named(folder: &Path) -> Result<Self> {
        let api = folder.canonicalize().map_err(|error| PluginError::from_io(folder.display(), &error))?;
        Self::found(&api).ok_or_else(|| {
            PluginError::unusable(format!("{} is not the folder plugin-api of vmdk2kvm", folder.display()))
                .hint("name the folder plugin-api of a checkout")
        })
    }

    /// Those that belong to the program: installed with it, or the checkout that it was built in.
    pub fn of_program(program: &Path) -> Result<Self> {
        let installed = program.parent().and_then(Path::parent).map(|prefix| prefix.join("share/vmdk2kvm/plugin-api"));
        let is_built_in = |folder: &&Path| program.starts_with(folder.join("target"));
        let checkout = program.ancestors().find(is_built_in).map(|folder| folder.join("plugin-api"));
        installed.into_iter().chain(checkout).find_map(|api| Self::found(&api)).ok_or_else(|| {
            PluginError::missing("the sources of plugin-api, which a new plugin builds against, are not installed")
                .hint(format!("install the package {PACKAGE}, or name the folder plugin-api of a checkout with --api"))
        })
    }

    fn found(api: &Path) -> Option<Self> {
        let there = ["Cargo.toml", "testing/Cargo.toml"].iter().all(|file| api.join(file).is_file());
        there.then(|| Self {
            api: api.to_owned(),
            vendor: Some(api.join("vendor")).filter(|vendor| vendor.is_dir()),
            lock: api.parent().map(|checkout| checkout.join("Cargo.lock")).filter(|lock| lock.is_file()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn an_installed_program_has_them_below_its_prefix() {
        let files = ["Cargo.toml", "testing/Cargo.toml", "vendor/a/Cargo.toml"];
        let prefix =
            with(&files.map(|file| format!("share/vmdk2kvm/plugin-api/{file}")).each_ref().map(String::as_str));
        let found = Sources::of_program(&prefix.path().join("bin/vmdk2kvm")).unwrap();
        let api = prefix.path().join("share/vmdk2kvm/plugin-api");
        assert_eq!(found, Sources { vendor: Some(api.join("vendor")), api, lock: None });
    }

    #[test]
    fn a_built_program_has_those_of_its_checkout() {
        let tree = with(&["plugin-api/Cargo.toml", "plugin-api/testing/Cargo.toml", "Cargo.lock"]);
        for program in ["target/debug/vmdk2kvm", "target/x86_64-unknown-linux-gnu/release/vmdk2kvm"] {
            let found = Sources::of_program(&tree.path().join(program)).unwrap();
            assert_eq!((found.api, found.vendor), (tree.path().join("plugin-api"), None));
            assert_eq!(found.lock, Some(tree.path().join("Cargo.lock")));
        }
        // It was put somewhere into the tree, and not built there.
        assert!(Sources::of_program(&tree.path().join("bin/vmdk2kvm")).is_err());
    }

    #[test]
    fn without_them_it_is_said_where_they_come_from() {
        let error = Sources::of_program(Path::new("/nonexistent/bin/vmdk2kvm")).unwrap_err();
        assert_eq!(error.kind.exit_code(), 69);
        assert!(error.message.contains("the sources of plugin-api") && error.message.ends_with("are not installed"));
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains(PACKAGE)), "{error:?}");
        let folder = with(&["Cargo.toml"]);
        let error = Sources::named(folder.path()).unwrap_err();
        assert!(error.message.ends_with("is not the folder plugin-api of vmdk2kvm"), "{error}");
    }
}
