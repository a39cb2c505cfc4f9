//! One hostile source and how the program must answer it.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use vmdk2kvm_tests::{SmallDisk, alone, binary, names, outcome};

use crate::hints::hint;
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
    /// The sentence, with the folder as `DIR`, and that for unpacked files as `SPOOL`; `(*)` stands for what the program's libraries say.
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

    /// Gives the source to `flatten` and to `inventory`. The error is what was not as it must be; else it is told whether `inventory`, which
    /// reads less of a disk, refused it too.
    pub fn check(&self) -> Result<bool, String> {
        let outer = tempfile::tempdir().unwrap();
        let place = Place::new(outer.path());
        (self.make)(&place.folder);
        let disk = self.small.then(|| SmallDisk::mount(&place.spool, SMALL));
        let source = place.folder.join(&self.source);
        let ask = |arguments: &[&OsStr]| self.answer(arguments, &place, disk.as_ref());
        let seen = ask(&["inventory".as_ref(), source.as_ref()])?;
        ask(&["flatten".as_ref(), source.as_ref(), "-o".as_ref(), place.output.as_ref(), "--format=raw".as_ref()])?
            .then_some(seen)
            .ok_or_else(|| format!("{} {}: it was flattened", self.format, self.source))
    }

    /// Runs the program; tells whether it refused, with the sentence and the hint that are expected, or succeeded.
    fn answer(&self, arguments: &[&OsStr], place: &Place, disk: Option<&SmallDisk>) -> Result<bool, String> {
        let mut command = Command::new("prlimit");
        command.arg(format!("--data={MEMORY}")).args(["timeout", "--signal=KILL", PATIENCE]).arg(binary());
        command.arg("--json").args(arguments).current_dir(&place.outer).env("TMPDIR", &place.spool);
        let mut command = match disk {
            Some(disk) => disk.inside(&command),
            None => command,
        };
        let raw = alone(&mut command).output().expect("prlimit (package util-linux)");
        let said = [raw.stdout.as_slice(), raw.stderr.as_slice()].concat();
        let run = outcome(&raw);
        let complain = |what: &str, found: &dyn Debug| {
            Err(format!(
                "{} {} {:?}: {what}\n    expected {} {}\n             {}\n    found    {found:?}\n    stderr   {}",
                self.format,
                self.source,
                arguments[0],
                self.code,
                self.message,
                hint(&self.message),
                run.stderr
            ))
        };
        if contains(&said, CANARY) || names(&place.output).iter().any(|name| holds_canary(&place.output.join(name))) {
            return complain("it shows what lies outside", &run.stderr);
        }
        let left = std::fs::read_dir(&place.output).into_iter().flatten().flatten();
        let left: Vec<_> =
            left.map(|entry| entry.file_name()).filter(|name| !name.to_string_lossy().starts_with('.')).collect();
        if !left.is_empty() {
            return complain("it leaves files", &left);
        }
        if run.code == 0 {
            return Ok(false);
        }
        let (message, advice) = (place.hidden(run.message()), place.hidden(run.hint()));
        if run.code != self.code || !fits(&message, &self.message) || advice != hint(&self.message) {
            return complain("another answer", &(run.code, message, advice));
        }
        Ok(true)
    }
}

/// Where a source lies, and what lies around it.
struct Place {
    outer: PathBuf,
    folder: PathBuf,
    output: PathBuf,
    spool: PathBuf,
}

impl Place {
    fn new(outer: &Path) -> Self {
        let (folder, spool) = (trap(outer).canonicalize().unwrap(), outer.join("spool"));
        std::fs::write(outer.join("secret"), CANARY.repeat(4096 / CANARY.len() + 1)).unwrap();
        std::fs::create_dir(&spool).unwrap();
        Self { outer: outer.to_owned(), folder, output: outer.join("out"), spool }
    }

    /// The text with what is another folder each time as a word.
    fn hidden(&self, text: &str) -> String {
        text.replace(self.folder.to_str().unwrap(), "DIR").replace(self.spool.to_str().unwrap(), "SPOOL")
    }
}

/// Whether a text is as expected; `(*)` stands for what a library says.
fn fits(text: &str, expected: &str) -> bool {
    match expected.split_once("(*)") {
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
