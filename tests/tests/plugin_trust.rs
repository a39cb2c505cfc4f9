//! `plugin check` finds a plugin that breaks its promises; `plugin trust` and `untrust` decide by digest which plugins are used at all.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_tests::{Library, Outcome, command, lone_program, misbehaving, outcome, private_folder};

/// The program and the misbehaving plugin in a folder of their own, and a user without settings.
struct Place {
    program: TempDir,
    settings: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { program: lone_program(), settings: private_folder() }
    }

    fn plugin_file(&self) -> PathBuf {
        self.program.path().canonicalize().unwrap().join("libbad.so")
    }

    fn lock(&self) -> PathBuf {
        self.settings.path().join("vmdk2kvm/plugins.lock")
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = command(&self.program.path().join("vmdk2kvm"), arguments);
        outcome(&command.env("XDG_CONFIG_HOME", self.settings.path()).output().unwrap())
    }

    /// State and problem of the plugin, as `plugin list` says.
    fn state(&self) -> (String, String) {
        let row = self.run(&["plugin", "list"]).expect(0).json["plugins"][0].clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&row["state"]), text(&row["problem"]))
    }

    fn trust(&self, word: &str, file: &Path) -> Outcome {
        self.run(&["plugin", word, file.to_str().unwrap()])
    }
}

#[test]
fn only_what_a_lock_file_has_is_used() {
    let place = Place::new();
    assert_eq!(place.state(), ("available".into(), String::new()));
    let trusted = place.trust("trust", &place.plugin_file()).expect(0).json;
    assert_eq!(trusted["trusted"][0]["path"], place.plugin_file().to_str().unwrap());
    let line = format!("{}  {}\n", trusted["trusted"][0]["sha256"].as_str().unwrap(), place.plugin_file().display());
    assert_eq!(fs::read_to_string(place.lock()).unwrap(), line);
    assert_eq!(place.state().0, "available");
    place.run(&["inventory", "bad:vm"]).expect(0);

    // The same plugin, built again.
    let library = Library::read(&misbehaving()).replace("a deliberate panic", "another good panic");
    library.write(self::parent(&place.plugin_file()), "libbad.so");
    let why = "it is not the file that was trusted: its digest is in no plugins.lock";
    assert_eq!(place.state(), ("refused".into(), format!("refused: {why}")));
    let refused = place.run(&["inventory", "bad:vm"]).expect(69);
    assert!(refused.message().contains(why), "{}", refused.message());
    place.trust("trust", &place.plugin_file()).expect(0);
    place.run(&["inventory", "bad:vm"]).expect(0);

    place.trust("untrust", &place.plugin_file()).expect(0);
    assert_eq!(place.state().1, "refused: it was not trusted: its digest is in no plugins.lock");
    // All that could be used.
    assert_eq!(place.run(&["plugin", "trust"]).expect(0).json["trusted"].as_array().unwrap().len(), 1);
    place.run(&["inventory", "bad:vm"]).expect(0);
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap()
}

#[test]
fn a_lock_file_that_cannot_be_right_stops_everything() {
    let place = Place::new();
    fs::create_dir(place.settings.path().join("vmdk2kvm")).unwrap();
    fs::write(place.lock(), "not a digest\n").unwrap();
    let outcome = place.run(&["inventory", "bad:vm"]).expect(78);
    assert!(outcome.message().ends_with("plugins.lock: line 1 is not a digest, two spaces and a path"));
    use std::os::unix::fs::PermissionsExt;
    fs::write(place.lock(), "").unwrap();
    fs::set_permissions(place.lock(), fs::Permissions::from_mode(0o666)).unwrap();
    let outcome = place.run(&["plugin", "list"]).expect(78);
    assert!(outcome.message().ends_with("plugins.lock can be written by others (mode 666)"), "{}", outcome.message());
}

#[test]
fn what_is_no_plugin_or_not_trusted_is_said() {
    let place = Place::new();
    let error = place.trust("untrust", &place.plugin_file()).expect(78);
    assert!(error.message().contains("libbad.so is not in "), "{}", error.message());
    let text = place.program.path().join("text.so");
    fs::write(&text, "text").unwrap();
    let error = place.trust("trust", &text).expect(69);
    assert!(error.message().ends_with("text.so cannot be trusted: it is not an ELF file"), "{}", error.message());
    assert!(!place.lock().exists());
}

/// The plugin that misbehaves breaks promises even when it is left alone: its tester passes whatever it is given.
#[test]
fn a_broken_promise_is_found_and_named() {
    let place = Place::new();
    let outcome = place.trust("check", &place.plugin_file()).expect(65);
    assert_eq!(outcome.error("plugin"), "bad 0.1.0");
    assert!(outcome.message().contains("promises of the contract are broken, the first is "), "{}", outcome.message());
    let checks = outcome.json["checks"].as_array().unwrap();
    let failed = |subject: &str, promise: &str| {
        let is = |check: &&Value| check["subject"] == subject && check["promise"] == promise;
        let check = checks.iter().find(is).unwrap_or_else(|| panic!("{promise}: {:#}", outcome.json));
        assert_eq!(check["outcome"], "failed", "{check:#}");
        check["why"].as_str().unwrap().to_owned()
    };
    let why = failed("tester", "a disk with nothing on it does not pass");
    assert_eq!(why, "it passed, because of \"it always does\"");
    assert_eq!(failed("converter", "what exists is not replaced"), "it wrote over a file");
}
