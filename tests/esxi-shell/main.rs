//! A fake: the shell of an ESXi host, behind a real sshd of the tests (`ForceCommand`). It has a host's commands and no others, its datastores are folders,
//! and its faults are read from a file. Strict where a host is: a command line that is no plain words is refused, and a disk that a running VM writes to is locked.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a fake that cannot go on panics")]

mod faults;
mod files;
mod lock;
mod vim;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

/// What a command of a host may end with.
pub type Done = Result<(), Bad>;

/// How a command fails: what it says, and its status.
#[derive(Debug)]
pub struct Bad(pub String, pub u8);

impl Bad {
    /// A failure with status 1.
    pub fn new(said: impl Into<String>) -> Self {
        Self(said.into(), 1)
    }
}

/// The host: a folder with `host.json`, `faults.json`, `volumes/` and `log`.
pub struct Host {
    /// The folder.
    pub root: PathBuf,
}

impl Host {
    /// What the host has: VMs with their numbers, files and power.
    pub fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.root.join("host.json")).unwrap()).unwrap()
    }

    /// Changes that.
    pub fn change(&self, work: impl FnOnce(&mut Value)) {
        let _one = lock::Lock::take(&self.root);
        let mut state = self.state();
        work(&mut state);
        std::fs::write(self.root.join("host.json"), state.to_string()).unwrap();
    }

    /// The file on this machine of a path on the host.
    pub fn file(&self, path: &str) -> Option<PathBuf> {
        let inside = path.strip_prefix("/vmfs/volumes/")?;
        let clean = inside.split('/').all(|part| !matches!(part, "" | "." | ".."));
        clean.then(|| self.root.join("volumes").join(inside))
    }

    /// Notes what happens, a line each.
    pub fn note(&self, what: &Value) {
        use std::io::Write;
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(self.root.join("log")).unwrap();
        log.write_all(format!("{what}\n").as_bytes()).unwrap();
    }
}

fn main() -> ExitCode {
    let root = PathBuf::from(std::env::args_os().nth(1).expect("a folder"));
    let host = Host { root };
    let line = std::env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    let pid = std::process::id();
    host.note(&json!({"begin": pid, "command": line}));
    let done = run(&host, &line);
    host.note(&json!({"end": pid, "bad": done.as_ref().err().map(|bad| bad.0.clone())}));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Bad(said, status)) => {
            eprintln!("{said}");
            ExitCode::from(status)
        }
    }
}

/// Runs commands, each one if that before it went well.
fn run(host: &Host, line: &str) -> Done {
    let words = words::split(line).ok_or_else(|| Bad("esxi-shell: refused: no plain words".to_owned(), 126))?;
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    all.split(|word| *word == "&&").try_for_each(|command| match command {
        ["cat", path] => files::cat(host, path),
        ["dd", options @ ..] => files::dd(host, options),
        ["stat", "-L", "-c", "%s %Y %F", path] => files::stat(host, path),
        ["vim-cmd", verb, arguments @ ..] => vim::run(host, verb, arguments),
        _ => Err(Bad(format!("sh: {}: not found", command.first().unwrap_or(&"")), 127)),
    })
}
