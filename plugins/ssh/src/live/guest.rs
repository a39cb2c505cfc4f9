//! `LiveGuest`: a [`Guest`] that runs, over its shell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmdk2kvm_plugin_api::model::{Applied, Change};
use vmdk2kvm_plugin_api::{Entry, ErrorKind, FileKind, Guest, Host, PluginError, Result, Stat};

use super::answer::{Content, contents, entries, stats};
use super::change;
use super::shell::{Shell, parameters};

/// A folder of more entries is no part of a system, in bytes of their names.
const NAMES_LIMIT: usize = 64 << 20;
/// Names and numbers about one path.
const LINE_LIMIT: usize = 8 << 10;
/// Contents are kept up to this in all, in bytes: boot archives are read by several who ask.
const KEPT: usize = 512 << 20;
/// So many paths go into one piece of script: a shell reads it whole.
const BATCH: usize = 500;

/// One line for each path, `0` for nothing; then a line for each of the others, in their order.
const STAT: &str = r#"for f do shift; if [ -e "$f" ] || [ -L "$f" ]; then set -- "$@" "$f"; printf 1; else printf 0; fi; done
printf '\n'; [ $# -eq 0 ] || stat -c '%f %s %u %g' -- "$@""#;
/// For each path a word of what is there with its size, and the bytes of a file that is not too large.
const READ: &str = r#"for f do
if [ ! -e "$f" ]; then echo n 0; elif [ -d "$f" ]; then echo d 0; elif [ ! -f "$f" ]; then echo o 0
else s=$(stat -L -c %s -- "$f") || exit 9; if [ "$s" -gt "$limit" ]; then echo l "$s"; else echo f "$s"; head -c "$s" -- "$f"; echo; fi; fi
done"#;
/// The kind and the name of each entry, ended by a zero.
const LIST: &str = r#"[ -d "$1" ] || exit 3
cd -P -- "$1" || exit 4
for f in * .*; do
case $f in .|..) continue;; esac
if [ -L "$f" ]; then k=l; elif [ -d "$f" ]; then k=d; elif [ -f "$f" ]; then k=f; elif [ -e "$f" ]; then k=o; else continue; fi
printf '%s%s\000' "$k" "$f"
done"#;
const READ_LINK: &str = r#"[ -L "$1" ] || exit 3; readlink -n -- "$1""#;

/// A guest that runs.
pub struct LiveGuest {
    pub(super) shell: Arc<Shell>,
    pub(super) host: Host,
    writable: bool,
    seen: Mutex<Seen>,
}

/// What was read. A guest that is only looked at for a minute is taken to be still; what is written is held against its digest there.
#[derive(Default)]
struct Seen {
    stats: HashMap<String, Option<Stat>>,
    folders: HashMap<String, Option<Vec<Entry>>>,
    contents: HashMap<String, Option<Arc<Vec<u8>>>>,
    bytes: usize,
}

impl LiveGuest {
    /// A guest behind a shell. Nothing is changed unless it is `writable`.
    pub(super) fn new(shell: Arc<Shell>, host: Host, writable: bool) -> Self {
        Self { shell, host, writable, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was read.
    pub(super) fn forget(&self) {
        *self.seen() = Seen::default();
    }

    fn ask_stats(&self, paths: &[&str]) -> Result<Vec<Option<Stat>>> {
        let script = parameters(paths.iter().copied())? + STAT;
        let answer = self.shell.ask(&script, paths.len() * LINE_LIMIT)?;
        stats(&answer.text(), paths.len()).ok_or_else(|| self.unclear("the state of files"))
    }

    fn ask_contents(&self, paths: &[&str], limit: u64) -> Result<Vec<Content>> {
        let script = format!("limit={limit}\n{}{READ}", parameters(paths.iter().copied())?);
        let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(paths.len());
        let answer = self.shell.ask(&script, room.saturating_add(paths.len() * LINE_LIMIT))?;
        contents(&answer.bytes, paths.len()).ok_or_else(|| {
            PluginError::new(ErrorKind::Temporary, format!("{}: a file changed while it was read", paths.join(", ")))
                .hint("run the same command again")
        })
    }

    fn unclear(&self, what: &str) -> PluginError {
        PluginError::unusable(format!("{}: the guest's answer about {what} was not understood", self.shell.address()))
            .hint("the guest needs stat, readlink, head and a POSIX shell")
    }

    fn check(path: &str) -> Result<()> {
        if path.starts_with('/') && !path.contains('\0') {
            return Ok(());
        }
        Err(PluginError::unusable(format!("\"{}\" names no file of the guest", path.escape_debug())))
    }
}

/// What reading gives for what is at a path.
fn given(path: &str, content: Option<&Arc<Vec<u8>>>, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(content) = content else { return Ok(None) };
    if content.len() as u64 > limit {
        return Err(too_large(path, limit));
    }
    Ok(Some(content.as_ref().clone()))
}

fn too_large(path: &str, limit: u64) -> PluginError {
    PluginError::unusable(format!("{path}: larger than {limit} bytes, the limit"))
}

impl Guest for LiveGuest {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.stat_many(&[path]).pop().unwrap_or(Ok(None))
    }

    fn stat_many(&self, paths: &[&str]) -> Vec<Result<Option<Stat>>> {
        let mut new: Vec<&str> = {
            let seen = self.seen();
            paths.iter().copied().filter(|path| !seen.stats.contains_key(*path) && Self::check(path).is_ok()).collect()
        };
        new.sort_unstable();
        new.dedup();
        for batch in new.chunks(BATCH) {
            match self.ask_stats(batch) {
                Ok(found) => self.seen().stats.extend(batch.iter().map(|path| (*path).to_owned()).zip(found)),
                Err(error) => return paths.iter().map(|_| Err(error.clone())).collect(),
            }
        }
        let seen = self.seen();
        let known = |path: &&str| Self::check(path).map(|()| seen.stats.get(*path).copied().flatten());
        paths.iter().map(known).collect()
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.read_many(&[path], limit).pop().unwrap_or(Ok(None))
    }

    fn read_many(&self, paths: &[&str], limit: u64) -> Vec<Result<Option<Vec<u8>>>> {
        let mut failed: HashMap<&str, PluginError> = HashMap::new();
        let mut fresh: HashMap<&str, Option<Arc<Vec<u8>>>> = HashMap::new();
        let mut new: Vec<&str> = {
            let seen = self.seen();
            paths
                .iter()
                .copied()
                .filter(|path| !seen.contents.contains_key(*path) && Self::check(path).is_ok())
                .collect()
        };
        new.sort_unstable();
        new.dedup();
        for batch in new.chunks(BATCH) {
            let found = match self.ask_contents(batch, limit) {
                Ok(found) => found,
                Err(error) => return paths.iter().map(|_| Err(error.clone())).collect(),
            };
            for (path, content) in batch.iter().copied().zip(found) {
                let no_file = |what: &str| PluginError::unusable(format!("{path}: not a regular file but {what}"));
                match content {
                    Content::Nothing => drop(fresh.insert(path, None)),
                    Content::File(bytes) => drop(fresh.insert(path, Some(Arc::new(bytes)))),
                    Content::Folder => drop(failed.insert(path, no_file("a folder"))),
                    Content::Other => drop(failed.insert(path, no_file("a device, a socket or a FIFO"))),
                    Content::Large => drop(failed.insert(path, too_large(path, limit))),
                }
            }
        }
        let mut seen = self.seen();
        for (path, content) in &fresh {
            let bytes = content.as_ref().map_or(0, |content| content.len());
            if seen.bytes + bytes <= KEPT {
                seen.bytes += bytes;
                seen.contents.insert((*path).to_owned(), content.clone());
            }
        }
        let answer = |path: &&str| {
            Self::check(path)?;
            match (failed.get(path), fresh.get(path).or_else(|| seen.contents.get(*path))) {
                (Some(error), _) => Err(error.clone()),
                (None, content) => given(path, content.and_then(Option::as_ref), limit),
            }
        };
        paths.iter().map(answer).collect()
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        Self::check(path)?;
        if let Some(known) = self.seen().folders.get(path) {
            return Ok(known.clone());
        }
        let answer = self.shell.ask(&(parameters([path])? + LIST), NAMES_LIMIT)?;
        let found = match answer.status {
            0 => Some(entries(&answer.bytes).ok_or_else(|| self.unclear("a folder"))?),
            3 => None,
            _ => return Err(PluginError::unusable(format!("{path}: a folder that cannot be read"))),
        };
        self.seen().folders.insert(path.to_owned(), found.clone());
        Ok(found)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        Self::check(path)?;
        let answer = self.shell.ask(&(parameters([path])? + READ_LINK), LINE_LIMIT)?;
        match answer.status {
            0 => String::from_utf8(answer.bytes)
                .map_err(|_| PluginError::unusable(format!("{path}: a symlink that is not UTF-8"))),
            _ => Err(PluginError::unusable(format!("{path}: not a symlink"))),
        }
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        let applied = self.apply_all(std::slice::from_ref(change))?;
        applied.into_iter().next().ok_or_else(|| PluginError::defect("a change without an answer"))
    }

    fn apply_all(&self, changes: &[Change]) -> Result<Vec<Applied>> {
        if !self.writable {
            return Err(PluginError::defect("the guest was opened for reading only"));
        }
        let applied = change::apply_all(self, changes);
        self.forget();
        applied
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// What kind of thing a mode (with its type bits, stat(2)) is of.
pub(super) fn kind(mode: u32) -> FileKind {
    match mode & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Dir,
        0o120_000 => FileKind::Symlink,
        _ => FileKind::Other,
    }
}
