//! What runs hold at sources, written down before it is taken: in the run's work folder, by which the next run goes on, and in a register of the
//! user, by which `doctor` finds what nobody gave back.
//!
//! A note is first a wish: the source may have been asked, and the answer was not heard. Then the answer stands beside it. It goes when the hold was given
//! back. An entry of the register is under `flock` for as long as its run lives.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{Hold, HoldWish, SourceRef};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::promote::{output_error, remove_file, sync_folder};
use super::record::{Records, StageKey};
use super::state::state_folder;
use super::steps::DurableFile;

/// Records of holds in a work folder begin with this.
const PREFIX: &str = "hold-";
/// No entry of the register is longer, in bytes.
const LONGEST: u64 = 4 << 20;

/// What is or may be held for a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldNote {
    /// What the source was asked for, and the run's id.
    pub wish: HoldWish,
    /// The source, without a password.
    pub source: SourceRef,
    /// Name of the plugin that holds.
    pub plugin: String,
    /// Name of the virtual machine.
    pub vm: String,
    /// The output folder; `None`: of a command that only looks.
    pub output: Option<PathBuf>,
    /// When it was asked for, UTC, RFC 3339.
    pub since: String,
    /// What the source answered; `None`: that is not known.
    #[serde(default)]
    pub hold: Option<Hold>,
}

impl HoldNote {
    /// What is held, for a sentence.
    pub fn shown(&self) -> String {
        let took = self.hold.as_ref().map(|hold| hold.took.join(", ")).filter(|took| !took.is_empty());
        let took = match (took, &self.hold) {
            (Some(took), _) => took,
            (None, Some(hold)) => format!("the hold {}", hold.id),
            (None, None) => "perhaps something".to_owned(),
        };
        crate::events::escape(&took).to_string()
    }
}

/// A note that is written down.
#[derive(Debug)]
pub struct NotedHold {
    note: HoldNote,
    records: Option<Records>,
    entry: Option<Entry>,
}

impl NotedHold {
    /// Writes a note down, durably, in the work folder and in the register, as far as there are such.
    pub fn begin(note: HoldNote, records: Option<&Records>, register: Option<&Path>) -> Result<Self> {
        // Without a register the work folder is enough; without both nothing may be held, which `answer` sees to.
        let entry = register.and_then(|register| Entry::create(register, &note).ok());
        let noted = Self { note, records: records.cloned(), entry };
        noted.record()?;
        Ok(noted)
    }

    /// What is noted.
    pub fn note(&self) -> &HoldNote {
        &self.note
    }

    /// Writes down what the source answered.
    pub fn answer(&mut self, hold: &Hold) -> Result<()> {
        self.note.hold = Some(hold.clone());
        self.record()?;
        match (&mut self.entry, &self.records) {
            (Some(entry), _) => entry.append(&self.note),
            (None, Some(_)) => Ok(()),
            (None, None) if hold.is_nothing() => Ok(()),
            (None, None) => Err(PluginError::output("there is no place to note what is held at the source")
                .hint("set HOME or XDG_STATE_HOME to a folder that you may write to")),
        }
    }

    /// Drops the note: nothing is held any more.
    pub fn forget(self) -> Result<()> {
        if let Some(records) = &self.records {
            records.remove(&name(&self.note))?;
        }
        self.entry.map_or(Ok(()), |entry| remove_file(&entry.path))
    }

    fn record(&self) -> Result<()> {
        self.records.as_ref().map_or(Ok(()), |records| records.write(&name(&self.note), &key(), &self.note))
    }

    /// The notes in a work folder, whose lock is held. `register` has their other halves.
    pub fn left_in_work(records: &Records, register: Option<&Path>) -> Vec<Self> {
        let names = records.names(PREFIX);
        let notes = names.iter().filter_map(|name| records.read::<HoldNote>(name, &key()));
        let noted = |note: HoldNote| {
            let entry = register.and_then(|register| Entry::open(&path(register, &note)).ok().flatten());
            Self { note, records: Some(records.clone()), entry: entry.map(|(_, entry)| entry) }
        };
        notes.map(noted).collect()
    }

    /// The notes in the register that no living run has, each taken over as long as the answer lives.
    pub fn left_in_register(register: &Path, wanted: impl Fn(&HoldNote) -> bool) -> Vec<Self> {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(register).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let opened = paths.iter().filter_map(|path| Entry::open(path).ok().flatten());
        let noted = |(note, entry)| Self { note, records: None, entry: Some(entry) };
        opened.filter(|(note, _)| wanted(note)).map(noted).collect()
    }
}

/// What runs that are gone have left at sources, by the register of this user.
pub fn holds_left() -> Vec<HoldNote> {
    let left = holds_register().map(|register| NotedHold::left_in_register(&register, |_| true));
    left.into_iter().flatten().map(|left| left.note).collect()
}

/// The register of this user, made when it is not there; `None` when there can be none.
pub fn holds_register() -> Option<PathBuf> {
    state_folder("holds")
}

fn key() -> StageKey {
    StageKey::new(&["hold"])
}

fn name(note: &HoldNote) -> String {
    format!("{PREFIX}{}", note.wish.run)
}

fn path(register: &Path, note: &HoldNote) -> PathBuf {
    register.join(format!("{}.json", note.wish.run))
}

/// A file of the register: a note a line, of which the last whole one counts.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    file: DurableFile,
    end: u64,
    /// Under `flock`.
    _lock: File,
}

impl Entry {
    fn create(register: &Path, note: &HoldNote) -> Result<Self> {
        let path = path(register, note);
        let failed = |error: &std::io::Error| output_error(path.display(), error);
        remove_file(&path)?;
        let file = DurableFile::create(&path).map_err(|error| failed(&error))?;
        let lock = file.file().try_clone().map_err(|error| failed(&error))?;
        // Whoever looks for what is left may be looking just now.
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(&error.into()))?;
        let mut entry = Self { path, file, end: 0, _lock: lock };
        entry.append(note)?;
        sync_folder(register)?;
        Ok(entry)
    }

    fn append(&mut self, note: &HoldNote) -> Result<()> {
        let mut line = serde_json::to_vec(note).map_err(|error| PluginError::defect(error.to_string()))?;
        line.push(b'\n');
        let written = self.file.write(&line, self.end).and_then(|()| self.file.sync());
        written.map_err(|error| output_error(self.path.display(), &error))?;
        self.end += line.len() as u64;
        Ok(())
    }

    /// An entry that no living run has, and what it says; `None` when a run has it, or when it was torn before it said anything: then nothing was asked.
    fn open(path: &Path) -> std::io::Result<Option<(HoldNote, Self)>> {
        let mut options = File::options();
        let lock = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        let (text, end) = read(&lock)?;
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let note = lines.filter_map(|line| serde_json::from_str(line).ok()).next_back();
        let file = DurableFile::open(path)?;
        Ok(note.map(|note| (note, Self { path: path.to_owned(), file, end, _lock: lock })))
    }
}

fn read(mut file: &File) -> std::io::Result<(String, u64)> {
    use std::io::Read;
    let mut bytes = Vec::new();
    (&mut file).take(LONGEST).read_to_end(&mut bytes)?;
    let end = bytes.len() as u64;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), end))
}

#[cfg(test)]
mod tests {
    use super::super::fence::Fence;
    use super::*;

    fn note(run: &str) -> HoldNote {
        HoldNote {
            wish: HoldWish::new(run),
            source: SourceRef::new("far://host/web"),
            plugin: "far".into(),
            vm: "web".into(),
            output: Some("/srv/out".into()),
            since: "2025-01-01T00:00:00Z".into(),
            hold: None,
        }
    }

    fn hold(id: &str) -> Hold {
        Hold::new(id).with(|hold| hold.took = vec![format!("snapshot {id}")])
    }

    fn left(register: &Path) -> Vec<HoldNote> {
        NotedHold::left_in_register(register, |_| true).into_iter().map(|left| left.note).collect()
    }

    /// What is left once it is: a child that another test starts at this moment has the lock, too, until it becomes its program.
    fn soon_left(register: &Path) -> Vec<HoldNote> {
        let began = std::time::Instant::now();
        loop {
            let found = left(register);
            if !found.is_empty() || began.elapsed().as_secs() > 10 {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn a_note_is_left_when_its_run_is_gone_and_goes_when_it_is_forgotten() {
        let (work, register) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let records = Records::in_folder(work.path(), Fence::default());
        let mut noted = NotedHold::begin(note("a"), Some(&records), Some(register.path())).unwrap();
        assert_eq!(left(register.path()), [], "its run lives");
        drop(noted);
        assert_eq!(soon_left(register.path()), [note("a")], "a wish whose answer is not known");
        assert_eq!(soon_left(register.path())[0].shown(), "perhaps something");
        noted = NotedHold::begin(note("a"), Some(&records), Some(register.path())).unwrap();
        noted.answer(&hold("s1")).unwrap();
        drop(noted);
        let held = HoldNote { hold: Some(hold("s1")), ..note("a") };
        assert_eq!(soon_left(register.path()), std::slice::from_ref(&held));
        assert_eq!(held.shown(), "snapshot s1");
        // A line that was cut counts for nothing; the one before it does.
        let path = register.path().join("a.json");
        let mut text = std::fs::read(&path).unwrap();
        text.truncate(text.len() - 3);
        std::fs::write(&path, &text).unwrap();
        assert_eq!(soon_left(register.path()), [note("a")]);
        std::fs::write(&path, b"{").unwrap();
        assert_eq!(left(register.path()), []);

        let mut found = NotedHold::left_in_work(&records, Some(register.path()));
        assert_eq!(found.iter().map(NotedHold::note).collect::<Vec<_>>(), [&held]);
        found.remove(0).forget().unwrap();
        assert!(NotedHold::left_in_work(&records, Some(register.path())).is_empty());
    }

    #[test]
    fn without_any_place_nothing_may_be_held() {
        let mut noted = NotedHold::begin(note("a"), None, None).unwrap();
        noted.answer(&Hold::nothing()).unwrap();
        let error = noted.answer(&hold("x")).unwrap_err();
        assert_eq!(error.message, "there is no place to note what is held at the source");
    }
}
