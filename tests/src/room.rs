//! A room for runs that need no guest: a disk, the program with the plugin `slow-stages` in place of the slow ones, an output folder.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::example;
use crate::{Outcome, Running, digest, plugin_folder};

/// Every stage, in order.
pub const STAGES: [&str; 7] = ["fetch", "flatten", "inspect", "plan", "fix", "convert", "test"];

/// Bytes of the disk.
const DISK: usize = 32 << 20;

/// Stands before qemu-img: with `SLOW_STAGE=convert` it does not end once what it was told is done, unless the test has said `go` before.
const QEMU_IMG: &str = r#"#!/bin/sh
case "$SLOW_STAGE $1" in
"convert commit" | "convert convert")
    [ -e "$SLOW_GO" ] || { "$REAL_QEMU_IMG" "$@" && : >"$SLOW_MARK" && exec sleep 1000000; }
    ;;
esac
exec "$REAL_QEMU_IMG" "$@"
"#;

/// A folder with all that a run needs, readable for every user.
pub struct Room {
    folder: tempfile::TempDir,
    plugins: tempfile::TempDir,
}

impl Room {
    /// A new room.
    pub fn new() -> Self {
        let mode = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(mode.clone()).tempdir().unwrap();
        let plugins = plugin_folder(&["guestfs", "qemu_test", "vmdk2kvm_dir"]);
        std::fs::copy(example("slow_stages"), plugins.path().join("slow_stages.so")).unwrap();
        let room = Self { folder, plugins };
        room.write_disk(1);
        let wrapper = room.path("bin/qemu-img");
        std::fs::create_dir(room.path("bin")).unwrap();
        std::fs::create_dir(room.path("home")).unwrap();
        std::fs::write(&wrapper, QEMU_IMG).unwrap();
        std::fs::set_permissions(&wrapper, mode).unwrap();
        room
    }

    /// A path in the room.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The disk of the source.
    pub fn disk(&self) -> PathBuf {
        self.path("disk.raw")
    }

    /// Writes another disk: bytes that do not repeat, with `seed` in them.
    pub fn write_disk(&self, seed: u64) {
        let mut state = seed;
        let mut bytes = Vec::with_capacity(DISK);
        while bytes.len() < DISK {
            // xorshift64: the disk must not compress to nothing, and must be the same each time.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        // Another file of the same name: a run that has the old one open goes on reading it.
        let new = self.path("new.raw");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, self.disk()).unwrap();
    }

    /// The source of a migration.
    pub fn source(&self) -> String {
        format!("slow:{}", self.disk().display())
    }

    /// The program itself.
    pub fn program(&self) -> PathBuf {
        self.plugins.path().join("vmdk2kvm")
    }

    /// The folder with the plugins.
    pub fn plugins(&self) -> &Path {
        self.plugins.path()
    }

    /// What the program must find in its environment here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap();
        let real = std::env::split_paths(&path).map(|folder| folder.join("qemu-img")).find(|program| program.is_file());
        let real = real.expect("qemu-img (package qemu-utils)");
        vec![
            ("PATH", format!("{}:{path}", self.path("bin").display())),
            ("REAL_QEMU_IMG", real.to_str().unwrap().to_owned()),
            ("SLOW_MARK", self.path("mark").to_str().unwrap().to_owned()),
            ("SLOW_GO", self.path("go").to_str().unwrap().to_owned()),
            ("HOME", self.path("home").to_str().unwrap().to_owned()),
        ]
    }

    /// The program with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(arguments).envs(self.environment());
        command
    }

    /// `migrate` into a folder of this room.
    pub fn migrate(&self, output: &str, more: &[&str]) -> Command {
        let mut command = self.command(&["migrate", &self.source(), "-o", self.path(output).to_str().unwrap()]);
        command.args(more);
        command
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run(&self, command: Command) -> Outcome {
        Running::start(command).end()
    }

    /// Starts a run that stops in a stage, and waits until it has.
    #[track_caller]
    pub fn stop_in(&self, stage: &str, mut command: Command) -> Running {
        let _ = std::fs::remove_file(self.path("mark"));
        command.env("SLOW_STAGE", stage);
        let mut running = Running::start(command);
        let mark = self.path("mark");
        running.wait_until(stage, |run| {
            mark.exists() || run.events().iter().any(|event| event["event"] == "progress" && event["task"] == "stopped")
        });
        running
    }

    /// Lets a run that has stopped go on.
    pub fn go(&self) {
        std::fs::write(self.path("go"), "").unwrap();
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

/// The names of all files below a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every file below a folder with its digest.
pub fn contents(folder: &Path) -> BTreeMap<String, String> {
    names(folder).into_iter().map(|name| (name.clone(), digest(&folder.join(name)))).collect()
}
