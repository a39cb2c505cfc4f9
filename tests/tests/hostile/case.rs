//! One hostile source and how the program must answer it.

use std::fmt::Debug;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use vmdk2kvm_tests::{SmallDisk, alone, binary, names, outcome};

use crate::made_by::trap::trap;

/// What lies outside of a source's folder begins with this, and nothing that the program says or leaves may hold it.
pub const CANARY: &str = "canary-5d1c9a7e";

/// Bytes of a file system that a bomb would fill.
const SMALL: u64 = 16 << 20;

/// Seconds that a run may take, far beyond what any needs.
const PATIENCE: &str = "300";

/// The most memory that a process of a run may take, in bytes: what lies beyond is refused to it, and it ends.
const MEMORY: u64 = 256 << 20;

/// Makes a source in a folder.
type Make = Arc<dyn Fn(&Path) + Send + Sync>;

/// A source that must be refused.
#[derive(Clone)]
pub struct Case {
    /// What the count at the end calls it.
    pub format: &'static str,
    /// Makes the files, in a folder that has a `../secret` beside it.
    make: Make,
    /// The source's name in that folder.
    source: String,
    /// The sentence, with the folder as `DIR`; a `*` stands for what the program's libraries say.
    message: String,
    code: i32,
    /// Whether what is unpacked goes to a file system of [`SMALL`] bytes.
    small: bool,
}

impl Case {
    /// A source that is refused as unusable.
    pub fn new(
        format: &'static str,
        source: impl Into<String>,
        message: impl Into<String>,
        make: impl Fn(&Path) + Send + Sync + 'static,
    ) -> Self {
        Self { format, make: Arc::new(make), source: source.into(), message: message.into(), code: 65, small: false }
    }

    /// Files of these contents, of which the first is the source.
    pub fn of(format: &'static str, files: &[(&str, &[u8])], message: impl Into<String>) -> Self {
        let source = files[0].0.to_owned();
        let files: Vec<_> = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        Self::new(format, source, message, move |folder| {
            files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
        })
    }

    /// The same with another exit code.
    pub fn code(self, code: i32) -> Self {
        Self { code, ..self }
    }

    /// The same with little room for what is unpacked.
    pub fn on_small_disk(self) -> Self {
        Self { small: true, ..self }
    }

    /// Runs the program. The error is what was not as it must be.
    pub fn check(&self) -> Result<(), String> {
        let outer = tempfile::tempdir().unwrap();
        let folder = trap(outer.path());
        std::fs::write(outer.path().join("secret"), CANARY.repeat(4096 / CANARY.len() + 1)).unwrap();
        (self.make)(&folder);
        let output = outer.path().join("out");
        let mut command = Command::new("prlimit");
        command.arg(format!("--data={MEMORY}")).args(["timeout", "--signal=KILL", PATIENCE]).arg(binary());
        command
            .arg("flatten")
            .arg(folder.join(&self.source))
            .arg("-o")
            .arg(&output)
            .args(["--json", "--format", "raw"])
            .current_dir(outer.path());
        let spool = outer.path().join("spool");
        std::fs::create_dir(&spool).unwrap();
        command.env("TMPDIR", &spool);
        let disk = self.small.then(|| SmallDisk::mount(&spool, SMALL));
        let mut command = match &disk {
            Some(disk) => disk.inside(&command),
            None => command,
        };
        let raw = alone(&mut command).output().expect("prlimit (package util-linux)");
        let said = [raw.stdout.as_slice(), raw.stderr.as_slice()].concat();
        let run = outcome(&raw);
        let message = run.message().replace(folder.canonicalize().unwrap().to_str().unwrap(), "DIR");
        let complain = |what: &str, found: &dyn Debug| {
            Err(format!(
                "{} {}: {what}\n    expected {} {}\n    found    {found:?}\n    stderr   {}",
                self.format, self.source, self.code, self.message, run.stderr
            ))
        };
        if run.code != self.code || !fits(&message, &self.message) {
            return complain("another answer", &(run.code, message));
        }
        if run.hint().is_empty() {
            return complain("no hint", &run.message());
        }
        if contains(&said, CANARY) || names(&output).iter().any(|name| holds_canary(&output.join(name))) {
            return complain("it shows what lies outside", &run.stderr);
        }
        let left = std::fs::read_dir(&output).into_iter().flatten().flatten();
        let left: Vec<_> =
            left.map(|entry| entry.file_name()).filter(|name| !name.to_string_lossy().starts_with('.')).collect();
        if !left.is_empty() {
            return complain("it leaves files", &left);
        }
        Ok(())
    }
}

/// Whether a text is as expected; a `*` stands for any text.
fn fits(text: &str, expected: &str) -> bool {
    match expected.split_once('*') {
        None => text == expected,
        Some((start, end)) => text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn holds_canary(path: &Path) -> bool {
    contains(&std::fs::read(path).unwrap(), CANARY)
}
