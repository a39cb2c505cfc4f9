//! What is known of each VM of a batch: one small file for each, replaced by rename, so that whoever reads, on whichever machine, finds the
//! old one or the new one. A VM's own journal says what is done; this says it without asking a process.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::Finding;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::events::{ErrorDocument, Stage};
use crate::journal::{Process, create_private_folder, write_file};

/// Folder in the batch's output folder.
const FOLDER: &str = ".vmdk2kvm-batch";
/// Version of what a record means.
const VERSION: u32 = 1;
/// No record is longer, in bytes.
const LONGEST: u64 = 1 << 20;
/// How often the record of a VM that runs is written anew, in seconds.
pub(super) const HEARTBEAT: u64 = 10;
/// Without a heartbeat for so many seconds a run is taken to be lost.
const SILENT: f64 = 120.0;

/// How far a VM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was not started, or waits to be tried again.
    #[default]
    Waiting,
    /// Its process runs.
    Running,
    /// Its process was running, and is no more: nobody said how it ended.
    Lost,
    /// Rounds of it are made, and it waits for the next ones or for its cut-over.
    Ready,
    /// It has its result.
    Done,
    /// It ended with an error.
    Failed,
    /// It was not started because something else failed.
    Skipped,
}

impl State {
    /// The word in JSON and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Lost => "lost",
            Self::Ready => "ready",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One run of a VM. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was started.
    pub started: f64,
    /// When it ended.
    pub finished: Option<f64>,
    /// Its exit code.
    pub exit_code: Option<u8>,
    /// The key that it waited for last; `None`: for none.
    pub limited_by: Option<String>,
    /// The machine that it ran on.
    pub host: String,
    /// Bytes that its copy moved.
    pub bytes: u64,
    /// How long the copy took, in seconds.
    pub copy_seconds: f64,
}

/// The rounds of a VM that is migrated in rounds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RoundsMade {
    /// How many are durable.
    pub count: u32,
    /// Bytes that the last one read of the source.
    pub moved_bytes: u64,
    /// When the last one ended, in seconds since 1970.
    pub finished: f64,
}

/// An image of a finished VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Image {
    pub path: PathBuf,
    pub file_bytes: Option<u64>,
}

/// What is known of a VM.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub version: u32,
    pub name: String,
    /// Identifies the job that it is about.
    pub key: String,
    pub state: State,
    pub exit_code: Option<u8>,
    pub error: Option<ErrorDocument>,
    pub stage: Option<Stage>,
    pub done_bytes: u64,
    pub total_bytes: u64,
    pub rounds: Option<RoundsMade>,
    /// The last ones, oldest first.
    pub attempts: Vec<Attempt>,
    pub images: Vec<Image>,
    pub warnings: Vec<String>,
    pub findings: Vec<Finding>,
    /// When this was written.
    pub updated: f64,
    /// The process that runs it.
    pub process: Option<String>,
}

/// So many attempts are remembered.
const REMEMBERED: usize = 20;

impl Record {
    /// That of a VM that was never started.
    pub fn new(name: &str, key: &str) -> Self {
        Self { version: VERSION, name: name.to_owned(), key: key.to_owned(), ..Self::default() }
    }

    /// The state now: a run whose process is gone is lost.
    pub fn state_now(&self) -> State {
        let gone = || {
            let process: Option<Process> = self.process.as_deref().and_then(|text| text.parse().ok());
            process.is_some_and(|process| process.has_ended()) || now() - self.updated > SILENT
        };
        if self.state == State::Running && gone() { State::Lost } else { self.state }
    }

    /// Whether this very job is done, and its result is there.
    pub fn is_done(&self, key: &str, output: &Path) -> bool {
        let whole = |image: &Image| output.join(&image.path).metadata().is_ok_and(|found| found.is_file());
        self.version == VERSION
            && self.state == State::Done
            && self.key == key
            && output.join("report.json").is_file()
            && self.images.iter().all(whole)
    }

    /// Notes a new run.
    pub fn begin(&mut self, limited_by: Option<&str>) {
        if self.attempts.len() >= REMEMBERED {
            self.attempts.remove(0);
        }
        let (limited_by, host) = (limited_by.map(str::to_owned), host());
        self.attempts.push(Attempt { started: now(), limited_by, host, ..Attempt::default() });
        (self.state, self.exit_code, self.error, self.stage) = (State::Running, None, None, None);
        (self.done_bytes, self.total_bytes) = (0, 0);
        self.warnings.clear();
    }
}

/// The records of a batch.
#[derive(Debug, Clone)]
pub(super) struct Records(PathBuf);

impl Records {
    /// Those of a batch that leaves its results in `dir`.
    pub fn of(dir: &Path) -> Self {
        Self(dir.join(FOLDER))
    }

    /// Makes the folder.
    pub fn prepare(&self) -> Result<()> {
        create_private_folder(&self.0)
    }

    /// Takes the lock of a run over all VMs: two of them would write the same reports.
    pub fn lock(&self) -> Result<std::fs::File> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.0.join("lock");
        let failed = |error: std::io::Error| crate::journal::output_error(path.display(), &error);
        let mut options = std::fs::File::options();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        let file = options.open(&path).map_err(failed)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let folder = self.0.parent().unwrap_or(&self.0).display();
                Err(PluginError::new(ErrorKind::Temporary, format!("another batch is running in {folder}"))
                    .hint("wait until it has ended; `batch status` shows how far it is"))
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    /// What is known of a VM; `None`: nothing, or nothing that can be read.
    pub fn read(&self, name: &str) -> Option<Record> {
        use std::io::Read;
        let mut text = Vec::new();
        std::fs::File::open(self.path(name)).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok().filter(|record: &Record| record.version == VERSION)
    }

    /// Whether another process has finished the VM while the run that this record is of went on: what is known now is the other's.
    fn is_overtaken(&self, record: &Record) -> bool {
        let Some(other) = self.read(&record.name) else { return false };
        let ended = other.attempts.last().and_then(|run| run.finished);
        let began = record.attempts.last().map(|run| run.started);
        other.state == State::Done && other.key == record.key && other.process != own() && ended > began
    }

    /// Writes how a VM ended, so that it survives a power cut.
    pub fn write(&self, record: &mut Record) -> Result<()> {
        if self.is_overtaken(record) {
            return Ok(());
        }
        write_file(&self.path(&record.name), &text(record)?)
    }

    /// Writes how far a VM is. It need not survive anything: the journal knows better.
    pub fn note(&self, record: &mut Record) -> Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        if self.is_overtaken(record) {
            return Ok(());
        }
        let path = self.path(&record.name);
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let text = text(record)?;
        let write = || -> std::io::Result<()> {
            let mut options = std::fs::File::options();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            std::io::Write::write_all(&mut file, &text)?;
            std::fs::rename(&part, &path)
        };
        write().map_err(|error| crate::journal::output_error(path.display(), &error))
    }
}

fn text(record: &mut Record) -> Result<Vec<u8>> {
    record.updated = now();
    record.process = own();
    serde_json::to_vec(record).map_err(|error| PluginError::defect(error.to_string()))
}

/// This process, as a record names it.
fn own() -> Option<String> {
    Process::of(std::process::id()).map(|process| process.to_string())
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The name of this machine.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_whose_process_is_gone_is_lost_and_one_elsewhere_when_it_is_silent() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::of(folder.path());
        records.prepare().unwrap();
        let mut record = Record::new("web", "k");
        record.begin(Some("host:a"));
        records.note(&mut record).unwrap();
        let read = records.read("web").unwrap();
        assert_eq!((read.state_now(), read.attempts[0].limited_by.as_deref()), (State::Running, Some("host:a")));
        let mut elsewhere = Record { process: Some("1 2 elsewhere".to_owned()), ..read.clone() };
        assert_eq!(elsewhere.state_now(), State::Running);
        elsewhere.updated -= SILENT + 1.0;
        assert_eq!(elsewhere.state_now(), State::Lost);
        let me = read.process.clone().unwrap();
        let (_, rest) = me.split_once(' ').unwrap();
        let other = Record { process: Some(format!("4194304 {rest}")), ..read };
        assert_eq!(other.state_now(), State::Lost);
    }

    #[test]
    fn done_is_done_for_its_own_job_and_as_long_as_the_images_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::new("web", "k");
        record.state = State::Done;
        record.images.push(Image { path: "a.qcow2".into(), file_bytes: Some(1) });
        assert!(!record.is_done("k", folder.path()));
        for name in ["a.qcow2", "report.json"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        assert!(record.is_done("k", folder.path()));
        assert!(!record.is_done("other", folder.path()));
        std::fs::remove_file(folder.path().join("a.qcow2")).unwrap();
        assert!(!record.is_done("k", folder.path()));
    }

    #[test]
    fn a_run_that_was_overtaken_says_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::of(folder.path());
        records.prepare().unwrap();
        let mut late = Record::new("web", "k");
        late.begin(None);
        let mut other = late.clone();
        other.state = State::Done;
        other.attempts[0].finished = Some(now() + 1.0);
        other.process = Some("1 2 elsewhere".to_owned());
        std::fs::write(records.path("web"), serde_json::to_vec(&other).unwrap()).unwrap();
        late.state = State::Failed;
        records.write(&mut late).unwrap();
        records.note(&mut late).unwrap();
        let known = records.read("web").unwrap();
        assert_eq!((known.state, known.process), (State::Done, other.process));
        // A run that begins after it is another one.
        late.attempts[0].started = now() + 2.0;
        records.write(&mut late).unwrap();
        assert_eq!(records.read("web").unwrap().state, State::Failed);
    }

    #[test]
    fn two_runs_over_all_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::of(folder.path());
        records.prepare().unwrap();
        let held = records.lock().unwrap();
        let error = records.lock().unwrap_err();
        assert_eq!(
            (error.kind, error.message),
            (ErrorKind::Temporary, format!("another batch is running in {}", folder.path().display()))
        );
        drop(held);
        records.lock().unwrap();
    }
}
