//! Runs the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// How a run of the program ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// The JSON document on stdout; `Null` when there is none.
    pub json: Value,
    /// What it said on stderr.
    pub stderr: String,
}

impl Outcome {
    /// Panics with everything that was said unless the exit code is this.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stderr:\n{}\nstdout:\n{:#}", self.stderr, self.json);
        self
    }

    /// The error's hint.
    pub fn hint(&self) -> &str {
        self.error("hint")
    }

    /// The digest of what the guest sees, of each image.
    pub fn content(&self) -> Vec<&str> {
        self.json["images"].as_array().unwrap().iter().map(|image| image["content_sha256"].as_str().unwrap()).collect()
    }

    /// How a stage ended, as the report says.
    pub fn status(&self, stage: &str) -> &str {
        let stages = self.json["stages"].as_array().unwrap();
        stages.iter().find(|record| record["name"] == stage).map_or("", |record| record["status"].as_str().unwrap())
    }

    /// A member of the error; empty when there is none.
    pub fn error(&self, member: &str) -> &str {
        self.json["error"][member].as_str().unwrap_or_default()
    }

    /// The error's message.
    pub fn message(&self) -> &str {
        self.error("message")
    }
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path
}

/// The folder of the workspace's sources.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The program, built beside this test.
pub fn binary() -> PathBuf {
    let path = target().join("vmdk2kvm");
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// A plugin of tests/plugins, which cargo builds as an example.
pub fn example(name: &str) -> PathBuf {
    let path = target().join(format!("examples/lib{name}.so"));
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace --all-targets` first", path.display());
    path
}

/// Copies the stock plugins, but those whose name contains a word of `without`, into a new folder, and the program beside them.
pub fn plugin_folder(without: &[&str]) -> tempfile::TempDir {
    let folder =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    for entry in std::fs::read_dir(target()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_plugin = name.starts_with("libvmdk2kvm_") && name.ends_with(".so");
        let left_out = without.iter().any(|word| name.contains(&word.replace('-', "_")));
        if name == "vmdk2kvm" || (is_plugin && !left_out) {
            std::fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    folder
}

/// Runs the program with `--json`.
pub fn run(arguments: &[&str]) -> Outcome {
    run_with(&binary(), arguments)
}

/// Runs another copy of the program with `--json`.
pub fn run_with(program: &Path, arguments: &[&str]) -> Outcome {
    outcome(&command(program, arguments).output().unwrap())
}

/// A run of another copy of the program with `--json`, to be started.
pub fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    alone(command.args(arguments).arg("--json"));
    command
}

/// Keeps the settings and plugins of the user who runs the tests out of a run. The appliance's cache stays: making one takes a while.
pub fn alone(command: &mut Command) -> &mut Command {
    command
        .env_remove("VMDK2KVM_PLUGIN_PATH")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("XDG_DATA_HOME", "/nonexistent")
}

/// What a run with `--json` came to.
pub fn outcome(output: &Output) -> Outcome {
    Outcome {
        code: output.status.code().unwrap_or(-1),
        json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
