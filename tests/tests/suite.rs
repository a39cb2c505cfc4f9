//! The runner of all tests, on scripts that answer as test binaries do. Requires sh.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::private_folder;

/// A target folder with such scripts, and what cargo would have said of them.
struct Built {
    folder: tempfile::TempDir,
    messages: String,
}

impl Built {
    fn new() -> Self {
        Self { folder: private_folder(), messages: String::new() }
    }

    /// A binary with two tests of which it does these lines; of a crate with whole tests or of another one.
    fn with(mut self, name: &str, whole: bool, lines: &str) -> Self {
        let program = self.path(&format!("target/debug/deps/{name}"));
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        let script =
            format!("#!/bin/sh\n[ \"$1\" != --list ] || {{ printf 'one: test\\ntwo: test\\n'; exit 0; }}\n{lines}\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let krate = if whole { Path::new(env!("CARGO_MANIFEST_DIR")).to_owned() } else { self.path("") };
        let message = json!({
            "reason": "compiler-artifact", "executable": program, "manifest_path": krate.join("Cargo.toml"),
            "target": { "name": name, "kind": ["test"] }, "profile": { "test": true },
        });
        self.messages += &format!("{message}\n{}\n", json!({ "reason": "build-finished" }));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Exit code, and what was said on either stream.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let messages = self.path("built.json");
        fs::write(&messages, &self.messages).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_suite")).arg(messages).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn times(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("target/test-times.json")).unwrap()).unwrap()
    }
}

fn result(passed: u32, failed: u32, ignored: u32) -> String {
    format!("echo 'test result: x. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out'")
}

#[test]
fn what_passed_is_summed_and_its_times_are_kept() {
    let built = Built::new().with("crate", false, &result(7, 0, 1)).with(
        "whole",
        true,
        &format!("echo detail of $2; {}", result(1, 0, 0)),
    );
    let (code, said) = built.run(&["--test", "crate", "--test=whole"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(" s  tests/whole: 2 passed, 0 failed\n"), "{said}");
    assert!(said.contains("\n9 passed, 0 failed, 1 skipped in "), "{said}");
    assert!(!said.contains("detail"), "{said}");
    let log = fs::read_to_string(built.path("target/test-logs/tests-whole--two.log")).unwrap();
    assert!(log.starts_with("detail of two\n"), "{log}");
    let times = built.times();
    for (of_tests, of_binaries) in [("tests", "binaries"), ("cpu_of_tests", "cpu_of_binaries")] {
        let (test, binary) = (&times[of_tests]["tests/whole::one"], &times[of_binaries]["tests/whole"]);
        assert!(test.is_number() && binary.is_number(), "{times}");
    }
    // A run of some keeps the others' times.
    assert_eq!(built.run(&["--test", "crate"]).0, 0);
    assert_eq!(built.times()["tests"], times["tests"]);
}

/// Of tests that build crates those of one binary share what they build: one process has them all.
#[test]
fn tests_that_build_crates_run_by_the_binary() {
    let built = Built::new().with("examples", true, &format!("echo all of them; {}", result(2, 0, 0)));
    let (code, said) = built.run(&["--test", "examples"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("\n2 passed, 0 failed in "), "{said}");
    let log = fs::read_to_string(built.path("target/test-logs/tests-examples.log")).unwrap();
    assert!(log.starts_with("all of them\n"), "{log}");
}

#[test]
fn what_failed_is_shown_whole_and_fails_the_run() {
    let built = Built::new()
        .with("fails", true, &format!("echo why $2 failed >&2; {}; exit 101", result(0, 1, 0)))
        .with("dies", false, "kill -SEGV $$")
        .with("passes", false, &result(3, 0, 0));
    let (code, said) = built.run(&["--test", "fails", "--test", "dies", "--test", "passes"]);
    assert_eq!(code, 1, "{said}");
    for expected in ["why one failed", "why two failed", "dies failed, ", "\n3 passed, 3 failed in "] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn what_is_not_there_is_not_passed_over() {
    let built = Built::new().with("whole", true, &result(1, 0, 0));
    for (arguments, why) in [
        (["--test", "other"].as_slice(), "suite: there is no test binary other\n"),
        (&["--test"], "suite: --test wants the name of a binary\n"),
        (&["--nocapture"], "suite: --nocapture is not known: --test NAME, or parts of tests' names\n"),
    ] {
        assert_eq!(built.run(arguments), (2, why.to_owned()));
    }
    let nothing = Built::new().run(&[]);
    assert_eq!(nothing, (2, "suite: the build has no test binaries\n".to_owned()));
}
