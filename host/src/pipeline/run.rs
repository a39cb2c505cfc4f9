//! One run of a command: which stages it needs, and the clock that times them.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::{look, migrate, retest};
use crate::config::{Command, Job};
use crate::events::{Event, Stage, StageStatus};
use crate::plugins::{self, Registry, Services};
use crate::report::StageRecord;
use crate::worker::Failure;

/// Runs a job; the result is the command's document.
/// `private` is a folder for sockets and for what ends with the run.
pub fn run(job: &Job, services: &Services, private: &Path) -> Result<serde_json::Value, Failure> {
    let run = Run {
        job,
        services,
        private,
        registry: Registry::new(job, services.clone())?,
        started: Instant::now(),
        records: Mutex::default(),
    };
    let outcome = match job.command {
        Command::Inventory => look::inventory(&run),
        Command::Inspect | Command::Plan => look::look(&run),
        Command::Migrate | Command::Apply | Command::Flatten | Command::Fix | Command::Convert => {
            migrate::migrate(&run)
        }
        Command::Test => retest::retest(&run),
    };
    outcome.map_err(|mut failure| {
        // A stage that stopped because the user asked to is not at fault, whatever error it found on its way out.
        if run.cancelled() {
            failure.error.kind = ErrorKind::Interrupted;
            failure.error.message = "interrupted".to_owned();
        }
        let error = &mut failure.error;
        if let (ErrorKind::Defect, None, Some(plugin)) = (error.kind, &error.hint, &error.plugin) {
            error.hint = Some(format!("report it to the plugin's author, or {}", plugins::leave_out(plugin)));
        }
        failure
    })
}

/// What every stage of a run needs.
pub(super) struct Run<'a> {
    pub job: &'a Job,
    pub services: &'a Services,
    /// Mode 0700, with a path short enough for sockets; gone when the run has ended, however it ends.
    pub private: &'a Path,
    pub registry: Registry,
    pub started: Instant,
    records: Mutex<Vec<StageRecord>>,
}

/// A stage that has begun.
pub(super) struct Began {
    stage: Stage,
    /// The plugin that does it, as soon as that is known.
    pub plugin: Option<String>,
    at: Instant,
}

impl Run<'_> {
    /// Whether the user asked to stop.
    pub fn cancelled(&self) -> bool {
        self.services.cancel().load(std::sync::atomic::Ordering::Relaxed)
    }

    /// `Err(interrupted)` when the user asked to stop.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancelled() { Err(PluginError::interrupted()) } else { Ok(()) }
    }

    /// Begins a stage in the foreground.
    pub fn begin(&self, stage: Stage, plugin: Option<&str>) -> Began {
        self.services.set_stage(stage);
        let plugin = plugin.map(str::to_owned);
        self.services.events().emit(Event::StageStarted { stage, plugin: plugin.clone() });
        Began { stage, plugin, at: Instant::now() }
    }

    /// Ends a stage.
    pub fn end(&self, began: Began, status: StageStatus, bytes: u64) {
        let record = StageRecord {
            name: began.stage,
            plugin: began.plugin,
            status,
            started_seconds: (began.at - self.started).as_secs_f64(),
            seconds: began.at.elapsed().as_secs_f64(),
            bytes,
        };
        self.services.events().emit(Event::StageFinished {
            stage: record.name,
            plugin: record.plugin.clone(),
            status,
            seconds: record.seconds,
            bytes,
        });
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Runs a whole stage in the foreground; an error is the stage's. `work` may say which plugin did it.
    pub fn stage<T>(&self, stage: Stage, work: impl FnOnce(&mut Option<String>) -> Result<T>) -> Result<T, Failure> {
        let mut began = self.begin(stage, None);
        let outcome = self.check_cancelled().and_then(|()| work(&mut began.plugin));
        self.end(began, if outcome.is_ok() { StageStatus::Done } else { StageStatus::Failed }, 0);
        outcome.map_err(|error| Failure::new(stage, error))
    }

    /// Records a stage that had nothing to do.
    pub fn pass_over(&self, stage: Stage, status: StageStatus) {
        let began = Began { stage, plugin: None, at: Instant::now() };
        self.end(began, status, 0);
    }

    /// The stages so far, in their order.
    pub fn records(&self) -> Vec<StageRecord> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        records.sort_by_key(|record| record.name);
        records
    }
}
