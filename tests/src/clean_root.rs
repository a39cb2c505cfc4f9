//! A clean Debian in a folder, to install packages into.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::bad::private_folder;
use crate::program::workspace;

/// Mounts in a namespace of its own, which ends with what is run there: root, pairs of what is mounted and where, `--`, words.
const INSIDE: &str = r#"root=$1; shift
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
    mkdir -p "$root/$2"
    mount --rbind "$1" "$root/$2"
    shift 2
done
shift
exec chroot "$root" "$@""#;

/// A minimal Debian.
pub struct CleanRoot {
    folder: tempfile::TempDir,
    mounts: Vec<(PathBuf, String)>,
}

impl CleanRoot {
    /// One that `tests/lab/clean-root` makes of these words, or has made before.
    pub fn new(words: &[&str]) -> Self {
        let tar = done(Command::new(workspace().join("tests/lab/clean-root")).args(words));
        let folder = private_folder();
        done(Command::new("tar").args(["--zstd", "-xf", tar.trim(), "-C"]).arg(folder.path()));
        Self { folder, mounts: Vec::new() }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has a folder of this machine there while something is run.
    pub fn mount(&mut self, from: &Path, to: &str) {
        self.mounts.push((from.to_owned(), to.to_owned()));
    }

    /// What these words do inside. `/proc` is there, and gone with the command.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut inside = Command::new("unshare");
        inside
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", INSIDE, "inside"])
            .arg(self.folder.path());
        for (from, to) in &self.mounts {
            inside.arg(from).arg(to);
        }
        inside.arg("--").args(words).env_clear();
        inside.envs([
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("HOME", "/root"),
        ]);
        inside.output().unwrap()
    }

    /// What a command prints that does what it was told.
    #[track_caller]
    pub fn done(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }
}

#[track_caller]
pub(crate) fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
