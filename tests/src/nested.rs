//! Cargo inside of a test, for a crate outside of the workspace, as a plugin's author has it. All share one target folder, so that the contract
//! and its dependencies are built once; of two at once one waits for cargo's lock.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::program::{target, workspace};

/// What a build of such a crate finds in its environment: nothing is fetched, and of the release profile, which the manual names, nothing
/// differs but how long a build takes and that defects are noticed as in a debug build.
pub fn nested_environment() -> Vec<(&'static str, String)> {
    let target = nested_target();
    [
        ("CARGO_NET_OFFLINE", "true"),
        ("CARGO_TARGET_DIR", target.to_str().unwrap()),
        ("CARGO_INCREMENTAL", "0"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
        ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// The folder that all of them build into.
pub fn nested_target() -> PathBuf {
    target().parent().unwrap().join("nested")
}

/// Runs the tests of a crate, builds it, and returns the path of what it became.
#[track_caller]
pub fn tested_and_built(krate: &Path, library: &str) -> PathBuf {
    // The same versions as the workspace: nothing is fetched.
    std::fs::copy(workspace().join("Cargo.lock"), krate.join("Cargo.lock")).unwrap();
    for action in ["test", "build"] {
        let output = cargo(krate, &[action, "--release", "--quiet"]);
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "cargo {action} in {}\n{}", krate.display(), String::from_utf8_lossy(&said));
    }
    nested_target().join("release").join(library)
}

fn cargo(krate: &Path, arguments: &[&str]) -> Output {
    command().args(arguments).current_dir(krate).envs(nested_environment()).output().expect("cargo")
}

/// A program that takes what others leave of the processors: guests that boot beside it under emulation would give up waiting for their disks.
pub fn patient(program: impl AsRef<OsStr>) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(program);
    nice
}

/// A patient cargo.
pub(crate) fn command() -> Command {
    patient(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
