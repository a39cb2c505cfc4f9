//! The conformance kit: for each kind of plugin what the contract promises, as checks.
//!
//! An author's tests call the function of a kind with a sample of what the plugin is for and [`Report::assert`]; `vmdk2kvm plugin check`
//! runs the same functions against the library as the host loads it. What a sample is needed for and not given is skipped, never
//! passed; so is what needs a program or library that this machine lacks.
//!
//! The kit brings what it tries plugins on: [`MemoryGuest`], [`MemorySource`] and [`MemoryFiles`] are made of literals, [`sample`] has
//! machines and requests. Nothing here is for tests alone: the host carries this crate, and authors get it through
//! `vmdk2kvm-plugin-testing`, which adds a host that records and assertions on plans.
#![warn(missing_docs)]

mod converter;
mod fetcher;
mod fixer;
mod flattener;
mod folder;
mod guest;
mod inspector;
mod memory;
pub mod sample;
mod source;
mod tester;

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

pub use converter::converter;
pub use fetcher::fetcher;
pub use fixer::fixer;
pub use flattener::{Chain, flattener};
pub use guest::guest;
pub use inspector::inspector;
pub use memory::{MemoryFiles, MemoryGuest, MemorySource, Node};
pub use source::source;
pub use tester::tester;

/// A call that was asked to stop must return within this time.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The host that a plugin was made with, as far as the kit has to move it: it asks the plugin to stop, and takes that back.
pub trait CancelSwitch {
    /// From now on the host's `cancelled` is true.
    fn cancel(&self);
    /// And now no longer.
    fn resume(&self);
}

/// What the checks of some part of a plugin found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// In the order they were made.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked, e.g. `fixer serial-console`.
    pub subject: String,
    /// The promise, e.g. `the same guest gives the same plan`.
    pub promise: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed or was skipped; empty when it passed.
    #[serde(default)]
    pub why: String,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The promise is kept.
    Passed,
    /// It is broken.
    Failed,
    /// It could not be checked.
    Skipped,
}

impl Report {
    /// Adds the checks of another part.
    pub fn extend(&mut self, other: Self) {
        self.checks.extend(other.checks);
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Failed)
    }

    /// The checks that could not be made.
    pub fn skipped(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Skipped)
    }

    /// For a test: every promise is kept. A check that was skipped is none: see [`Report::skipped`].
    ///
    /// # Panics
    ///
    /// When a check failed, with all that did.
    #[track_caller]
    pub fn assert(&self) {
        let failures: Vec<String> = self.failures().map(Check::to_string).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, promise, why, .. } = self;
        let outcome = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        };
        write!(f, "{outcome}: {subject}: {promise}")?;
        if why.is_empty() { Ok(()) } else { write!(f, ": {why}") }
    }
}

/// Why a check did not pass.
enum Why {
    Failed(String),
    Skipped(String),
}

impl From<PluginError> for Why {
    fn from(error: PluginError) -> Self {
        match error.kind {
            ErrorKind::Missing => Self::Skipped(error.message),
            _ => Self::Failed(error.message),
        }
    }
}

fn failed<T>(why: impl Into<String>) -> Result<T, Why> {
    Err(Why::Failed(why.into()))
}

fn skipped<T>(why: impl Into<String>) -> Result<T, Why> {
    Err(Why::Skipped(why.into()))
}

/// The checks of one subject, while they are made.
struct Checks {
    subject: String,
    report: Report,
}

impl Checks {
    fn of(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), report: Report::default() }
    }

    /// Makes one check, and gives what it brought when it passed.
    fn check<T>(&mut self, promise: &str, check: impl FnOnce() -> Result<T, Why>) -> Option<T> {
        let (outcome, why, brought) = match check() {
            Ok(brought) => (Outcome::Passed, String::new(), Some(brought)),
            Err(Why::Failed(why)) => (Outcome::Failed, why, None),
            Err(Why::Skipped(why)) => (Outcome::Skipped, why, None),
        };
        self.report.checks.push(Check { subject: self.subject.clone(), promise: promise.to_owned(), outcome, why });
        brought
    }

    /// After the host asked to stop, a call returns in time: it is done, or says that it was interrupted.
    fn check_cancel<T>(&mut self, host: &dyn CancelSwitch, call: impl FnOnce() -> Result<T>) {
        self.check("a run that was asked to stop stops in time", || {
            host.cancel();
            let begin = Instant::now();
            let answer = call();
            host.resume();
            let seconds = begin.elapsed().as_secs();
            match answer {
                _ if begin.elapsed() > STOP_LIMIT => {
                    failed(format!("it took {seconds} s, the limit is {} s", STOP_LIMIT.as_secs()))
                }
                Err(error) if error.kind == ErrorKind::Missing => Err(error.into()),
                Err(error) if error.kind != ErrorKind::Interrupted => {
                    let word = error.kind.as_str();
                    failed(format!("it returned an error of kind {word}, not `interrupted`: {}", error.message))
                }
                _ => Ok(()),
            }
        });
    }
}

/// A bad input must be an error, well said, and no defect.
fn well_refused(error: &PluginError) -> Result<(), Why> {
    let message = &error.message;
    if error.kind == ErrorKind::Defect {
        return failed(format!("bad input is reported as a defect: {message}"));
    }
    if message.is_empty() || message.contains('\n') || message.ends_with('.') {
        return failed(format!("an error's message is one sentence without a full stop, not {message:?}"));
    }
    Ok(())
}

/// Lower case letters, digits and dashes: what names and codes are made of.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// What an image file is like, to see whether it was written to: its length, its time, and its content as far as 64 MiB.
fn state_of(path: &std::path::Path) -> Result<(u64, Option<std::time::SystemTime>, Vec<u8>), Why> {
    use std::io::Read;
    let failed = |error| Why::from(PluginError::from_io(path.display(), &error));
    let file = std::fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut content = Vec::new();
    file.take(64 << 20).read_to_end(&mut content).map_err(failed)?;
    Ok((metadata.len(), metadata.modified().ok(), content))
}
