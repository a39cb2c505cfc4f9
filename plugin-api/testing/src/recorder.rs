//! A script is run with programs that only note what they are called with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Notes the call, then runs the part that was given.
const STUB: &str = "#!/usr/bin/env bash\n{ printf '%s\\0' \"${0##*/}\" \"$@\"; printf '\\n\\0'; } >>\"$RECORD\"\n";

/// A folder with a script, its images, and programs that stand in for the platform's: each is a fake that notes its arguments.
pub struct Recorder<'a> {
    folder: &'a Path,
}

/// A script that came to its end.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// The calls of the fakes: name and arguments.
    pub calls: Vec<Vec<String>>,
}

impl<'a> Recorder<'a> {
    /// In a folder that is there.
    pub fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// Adds a fake; `answer` is what it does in bash when it has noted the call.
    #[track_caller]
    #[must_use]
    pub fn program(self, name: &str, answer: &str) -> Self {
        let programs = self.programs();
        fs::create_dir_all(&programs).unwrap_or_else(|error| panic!("{}: {error}", programs.display()));
        write_program(&programs.join(name), &format!("{STUB}{answer}\n"));
        self
    }

    /// Writes a script into the folder and runs it there with these variables and arguments.
    #[track_caller]
    pub fn run(&self, script: (&str, &str), variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let (name, text) = script;
        let path = self.folder.join(name);
        write_program(&path, text);
        let record = self.folder.join("record");
        let _ = fs::remove_file(&record);
        let search = std::env::var("PATH").unwrap_or_default();
        let output = Command::new(&path)
            .args(arguments)
            .env("PATH", format!("{}:{search}", self.programs().display()))
            .env("RECORD", &record)
            .envs(variables.iter().copied())
            .current_dir(self.folder)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let recorded = fs::read(&record).map(|bytes| text(&bytes)).unwrap_or_default();
        let calls =
            recorded.split_terminator("\n\0").map(|call| call.split_terminator('\0').map(str::to_owned).collect());
        Ran {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            calls: calls.collect(),
        }
    }

    fn programs(&self) -> PathBuf {
        self.folder.join("programs")
    }
}

impl Ran {
    /// The calls, each as one line, with blanks between the words.
    pub fn lines(&self) -> Vec<String> {
        self.calls.iter().map(|call| call.join(" ")).collect()
    }
}

#[track_caller]
fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(path, mode).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// What shellcheck says of a script; nothing when it is content.
///
/// # Panics
/// When shellcheck is not installed.
#[track_caller]
pub fn shellcheck(script: &str) -> String {
    use std::io::Write;
    let mut child = Command::new("shellcheck")
        .arg("-")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("shellcheck (package shellcheck): {error}"));
    // One that ended early says why below.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("shellcheck: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
