//! Another version of the contract: a copy of `plugin-api` (and of the host) that is changed as a later release might be, and built.
//!
//! The copy lies in cargo's target folder and shares its dependencies, so that only two crates are compiled, once. Its crates lie one folder
//! deeper below their workspace than the real ones: cargo names what it builds after that place, and would take one for the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::nested;
use crate::program::{target, workspace};

/// The crates that a host is made of.
const MEMBERS: [&str; 4] = ["host", "plugin-api", "plugin-api/conformance", "plugin-api/testing"];

/// A copy of the workspace with `plugin-api`, the host, and the misbehaving plugin as an example.
pub struct Release {
    name: String,
    files: BTreeMap<String, String>,
}

impl Release {
    /// A copy as it is. `name` is a Rust identifier.
    pub fn new(name: &str) -> Self {
        let mut copy = Self { name: name.to_owned(), files: BTreeMap::new() };
        for folder in MEMBERS {
            copy.take_folder(&workspace().join(folder).join("src"), &format!("{folder}/src"));
        }
        for file in ["Cargo.lock", "Cargo.toml", "plugins/stock.toml", "plugins/examples.toml"] {
            copy.files.insert(file.to_owned(), read(&workspace().join(file)));
        }
        for member in MEMBERS {
            let file = format!("{member}/Cargo.toml");
            copy.files.insert(file.clone(), read(&workspace().join(file)));
        }
        copy.take_folder(&workspace().join("tests/bad-plugins/misbehaves"), "plugin-api/misbehaves");
        copy.edit("Cargo.toml", |text| {
            let (before, rest) = text.split_once("members = [").unwrap();
            let (_, after) = rest.split_once("]\n").unwrap();
            let members = MEMBERS.map(|member| format!("{name}/{member}"));
            format!("{before}members = {members:?}\n{after}").replace("{ path = \"", &format!("{{ path = \"{name}/"))
        });
        // A program of its own name: it is put beside the real one.
        copy.replace(
            "host/Cargo.toml",
            "[[bin]]\nname = \"vmdk2kvm\"",
            &format!("[[bin]]\nname = \"vmdk2kvm-{name}\""),
        );
        copy.edit("plugin-api/Cargo.toml", |text| {
            format!("{text}\n[[example]]\nname = \"{name}\"\npath = \"misbehaves/lib.rs\"\ncrate-type = [\"cdylib\"]\n")
        });
        copy
    }

    fn take_folder(&mut self, from: &Path, to: &str) {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{to}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                self.take_folder(&entry.path(), &name);
            } else {
                self.files.insert(name, read(&entry.path()));
            }
        }
    }

    /// Changes a file; a change that changes nothing fails the test.
    pub fn edit(&mut self, file: &str, edit: impl Fn(&str) -> String) {
        let text = self.files.get_mut(file).unwrap_or_else(|| panic!("there is no {file}"));
        let edited = edit(text);
        assert_ne!(*text, edited, "{file} is no longer what the test changes");
        *text = edited;
    }

    /// The files below a folder.
    pub fn below(&self, folder: &str) -> Vec<String> {
        self.files.keys().filter(|name| name.starts_with(folder)).cloned().collect()
    }

    /// Replaces every occurrence of a text in a file.
    pub fn replace(&mut self, file: &str, old: &str, new: &str) {
        self.edit(file, |text| text.replace(old, new));
    }

    /// Builds the misbehaving plugin against the copy's contract.
    pub fn plugin(&self) -> PathBuf {
        self.build(&mut nested::command(), &target_folder(), &["build", "--example", &self.name]);
        target_folder().join(format!("debug/examples/lib{}.so", self.name))
    }

    /// Builds the plugin as somebody else might: optimised, and by another compiler of rustup's where one is named. What it is made of is not
    /// optimised: that takes minutes, and is not what both sides share.
    pub fn plugin_of(&self, compiler: Option<&str>) -> PathBuf {
        let mut cargo = compiler.map_or_else(nested::command, |compiler| {
            let mut rustup = nested::patient("rustup");
            rustup.args(["run", compiler, "cargo"]);
            // What cargo tells its tests about itself is of this compiler.
            rustup.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
            rustup
        });
        self.build(&mut cargo, &self.elsewhere(), &[&["build"], &self.optimised()[..]].concat());
        self.elsewhere().join(format!("release/examples/lib{}.so", self.name))
    }

    fn elsewhere(&self) -> PathBuf {
        target_folder().join(format!("{}-built-elsewhere", self.name))
    }

    fn optimised(&self) -> [&str; 5] {
        ["--release", "--config", "profile.release.package.\"*\".opt-level=0", "--example", &self.name]
    }

    /// What the compiler says of that plugin when a panic is to end the process.
    pub fn plugin_that_aborts(&self) -> String {
        let words = [&["rustc", "--package", "vmdk2kvm-plugin-api"], &self.optimised()[..]].concat();
        let mut cargo = nested::command();
        self.run(&mut cargo, &self.elsewhere(), &words, &["--", "-C", "panic=abort"]).expect_err("it was built")
    }

    /// Builds the host with the copy's contract.
    pub fn program(&self) -> PathBuf {
        let name = format!("vmdk2kvm-{}", self.name);
        self.build(&mut nested::command(), &target_folder(), &["build", "--bin", &name]);
        target_folder().join("debug").join(name)
    }

    /// Writes what is not there yet: cargo builds again what has another time.
    fn write(&self) -> PathBuf {
        let folder = target_folder().join(format!("{}-contract", self.name));
        for (name, text) in &self.files {
            let is_of_workspace = name == "Cargo.toml" || name == "Cargo.lock";
            let path = if is_of_workspace { folder.join(name) } else { folder.join(&self.name).join(name) };
            if !fs::read_to_string(&path).is_ok_and(|there| there == *text) {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
            }
        }
        folder
    }

    fn build(&self, cargo: &mut Command, folder: &Path, what: &[&str]) {
        self.run(cargo, folder, &[what, &["--workspace"]].concat(), &[]).unwrap_or_else(|said| panic!("{said}"));
    }

    /// Has cargo do something, and the compiler what stands last.
    fn run(&self, cargo: &mut Command, folder: &Path, what: &[&str], last: &[&str]) -> Result<(), String> {
        let options = ["--offline", "--quiet", "--target-dir"];
        let output = cargo.args(what).args(options).arg(folder).args(last).current_dir(self.write()).output();
        let output = output.expect("cargo");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

/// The folder of all profiles.
fn target_folder() -> PathBuf {
    target().parent().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
