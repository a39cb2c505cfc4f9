//! What every stage of a run needs: the job, the services, the registry, and the clock that times the stages.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::config::Job;
use crate::events::{Event, Phases, Stage, StageStatus};
use crate::plugins::{Registry, Services};
use crate::report::{Containment, StageRecord};
use crate::worker::Failure;

/// What every stage of a run needs.
pub(super) struct Run<'a> {
    pub job: &'a Job,
    pub services: &'a Services,
    /// Mode 0700, with a path short enough for sockets; gone when the run has ended, however it ends.
    pub private: &'a Path,
    /// Whether this process is shut in.
    pub containment: Containment,
    pub registry: Registry,
    pub started: Instant,
    phases: Phases,
    records: Mutex<Vec<StageRecord>>,
    /// The round that stages belong to, plus 1; 0: none.
    round: AtomicU32,
}

/// A stage that has begun. One that is left on the way of an error, without an end, has failed.
pub(super) struct Began<'r> {
    run: &'r Run<'r>,
    stage: Stage,
    /// The plugin that does it, as soon as that is known.
    pub plugin: Option<String>,
    at: Instant,
    round: Option<u32>,
    has_end: bool,
}

impl Began<'_> {
    /// The stage began earlier, before it was known that this would come of it.
    pub fn since(mut self, at: Instant) -> Self {
        self.at = at;
        self
    }

    /// Ends the stage.
    pub fn end(self, status: StageStatus, bytes: u64) {
        self.end_at(Instant::now(), status, bytes);
    }

    /// Ends a stage that was over before this is known.
    pub fn end_at(mut self, over: Instant, status: StageStatus, bytes: u64) {
        self.note(over, status, bytes);
    }

    fn note(&mut self, over: Instant, status: StageStatus, bytes: u64) {
        self.has_end = true;
        let phases = self.run.phases.end(self.stage, over);
        let record = StageRecord {
            name: self.stage,
            plugin: self.plugin.take(),
            status,
            started_seconds: (self.at - self.run.started).as_secs_f64(),
            seconds: over.duration_since(self.at).as_secs_f64(),
            bytes,
            round: self.round,
            phases,
        };
        self.run.services.events().emit(Event::StageFinished {
            stage: record.name,
            plugin: record.plugin.clone(),
            status,
            seconds: record.seconds,
            bytes,
            round: record.round,
        });
        self.run.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

impl Drop for Began<'_> {
    fn drop(&mut self) {
        if !self.has_end {
            self.note(Instant::now(), StageStatus::Failed, 0);
        }
    }
}

impl<'a> Run<'a> {
    /// A run of a job. `private` is a folder for sockets and for what ends with the run.
    pub fn new(job: &'a Job, services: &'a Services, private: &'a Path, containment: Containment) -> Result<Self> {
        let phases = Phases::default();
        services.events().add(Box::new(phases.clone()));
        let registry = Registry::new(job, services.clone())?;
        let (started, records) = (Instant::now(), Mutex::default());
        let round = AtomicU32::new(0);
        Ok(Self { job, services, private, containment, registry, started, phases, records, round })
    }

    /// Whether the user asked to stop.
    pub fn cancelled(&self) -> bool {
        self.services.cancel().load(std::sync::atomic::Ordering::Relaxed)
    }

    /// `Err(interrupted)` when the user asked to stop.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancelled() { Err(PluginError::interrupted()) } else { Ok(()) }
    }

    /// Says which round the stages that begin from now on belong to.
    pub fn set_round(&self, round: Option<u32>) {
        self.round.store(round.map_or(0, |round| round.saturating_add(1)), Ordering::Relaxed);
    }

    fn round(&self) -> Option<u32> {
        self.round.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Begins a stage in the foreground.
    pub fn begin(&self, stage: Stage, plugin: Option<&str>) -> Began<'_> {
        self.services.set_stage(stage);
        let plugin = plugin.map(str::to_owned);
        self.services.events().emit(Event::StageStarted { stage, plugin: plugin.clone() });
        Began { run: self, stage, plugin, at: Instant::now(), round: self.round(), has_end: false }
    }

    /// Runs a whole stage in the foreground; an error is the stage's. `work` may say which plugin did it.
    pub fn stage<T>(&self, stage: Stage, work: impl FnOnce(&mut Option<String>) -> Result<T>) -> Result<T, Failure> {
        let mut began = self.begin(stage, None);
        let done = self.check_cancelled().and_then(|()| work(&mut began.plugin));
        let done = done.map_err(|error| Failure::new(stage, error))?;
        began.end(StageStatus::Done, 0);
        Ok(done)
    }

    /// Records a stage that had nothing to do.
    pub fn pass_over(&self, stage: Stage, status: StageStatus) {
        Began { run: self, stage, plugin: None, at: Instant::now(), round: None, has_end: false }.end(status, 0);
    }

    /// The stages so far, in their order.
    pub fn records(&self) -> Vec<StageRecord> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Rounds come before what is done once.
        records.sort_by_key(|record| (record.round.unwrap_or(u32::MAX), record.name));
        records
    }
}
