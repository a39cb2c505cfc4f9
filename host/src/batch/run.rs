//! Runs a batch: the scheduler says which VM is next, a child process does it, and what it says goes to the screen, the stream and its record.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::check::{check, check_space};
use super::child::Ending;
use super::children::{Children, News};
use super::estimate::{Estimate, estimate};
use super::events::Stream;
use super::places::{Place, Places};
use super::record::{HEARTBEAT, Record, Records, State, now};
use super::report;
use super::request::{Around, Asked, Which};
use super::rows::{Batch, key};
use super::schedule::{Next, Scheduler, Work};
use super::screen::Screen;
use super::select::select;
use super::summary::{BatchEnd, Job, SCHEMA, Totals};
use crate::config::Command;
use crate::events::{self, ErrorDocument, Event, Stage};
use crate::report::{Tool, rfc3339};
use crate::worker::signals;

/// How often it is looked whether somebody asked to stop.
const TICK: Duration = Duration::from_millis(100);

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ran {
    /// The batch.
    #[serde(flatten)]
    pub end: BatchEnd,
    /// After a plan of all: what migrating them will take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// Runs a batch, or with `plan` only plans each VM of it. What fails for one VM is in the result; an error is one of the whole.
pub fn run(asked: &Asked, which: &Which, plan: bool, mut around: Around<'_>) -> Result<Ran> {
    signals::install();
    let stream = Stream::new(around.events.take(), around.started);
    let batch = check(asked, &around)?;
    let selected = select(&batch, which)?;
    let records = Records::of(&batch.dir);
    records.prepare()?;
    let all = *which == Which::All;
    let _lock = (all && !plan).then(|| records.lock()).transpose()?;
    let places = asked.limit_dir.as_deref().map(Places::in_folder).transpose()?;
    let command = if plan { Command::Plan } else { Command::Migrate };
    let mut ready = Vec::new();
    for index in &selected {
        let vm = &batch.vms[*index];
        let key = key(&batch.job(vm, &around, command)?)?;
        let former = records.read(&vm.name);
        let done = !plan && former.as_ref().is_some_and(|record| record.is_done(&key, &vm.output));
        let fresh = || Record::new(&vm.name, &key);
        let record =
            if plan { fresh() } else { former.map_or_else(fresh, |record| Record { key: key.clone(), ..record }) };
        ready.push(Entry { vm: *index, record, done, held: Vec::new(), touched: Instant::now() });
    }
    if !plan {
        check_space(ready.iter().filter(|entry| !entry.done).map(|entry| &batch.vms[entry.vm]))?;
    }
    let began = SystemTime::now();
    let mut runner = Runner {
        scheduler: scheduler(&batch, &ready, all),
        screen: Screen::new(around.show, selected.len()),
        batch: &batch,
        around: &around,
        records,
        places,
        command,
        stream,
        entries: ready,
        asked: false,
    };
    runner.batch.warnings.iter().for_each(|warning| runner.screen.say(&format!("warning: {warning}")));
    runner.go()?;
    let Runner { entries, mut stream, asked: interrupted, screen, .. } = runner;
    drop(screen);
    let job = |entry: Entry| Job::of(&batch, &batch.vms[entry.vm], Some(entry.record), entry.done);
    let jobs: Vec<Job> = entries.into_iter().map(job).collect();
    let totals = Totals::of(&jobs);
    let single = jobs.first().filter(|_| jobs.len() == 1 && !all).and_then(|job| job.exit_code);
    let end = BatchEnd {
        schema: SCHEMA,
        tool: Tool::this(),
        list: batch.label.clone(),
        started: rfc3339(began),
        finished: rfc3339(SystemTime::now()),
        seconds: around.started.elapsed().as_secs_f64(),
        // Whoever runs one VM of a list, as a cluster does, wants that VM's own code.
        exit_code: single.filter(|_| !interrupted).unwrap_or_else(|| totals.exit_code(interrupted)),
        totals,
        warnings: batch.warnings.clone(),
        jobs,
    };
    if all && !plan {
        report::write(&batch, &end)?;
    }
    stream.event(None, &Event::RunFinished { exit_code: end.exit_code, seconds: end.seconds, error: end.error() });
    let estimate = plan.then(|| estimate(&batch));
    Ok(Ran { end, estimate })
}

/// A part of a batch is tried once: whoever runs parts, tries again by itself.
fn scheduler(batch: &Batch, entries: &[Entry], all: bool) -> Scheduler {
    let work: Vec<Work> = entries
        .iter()
        .map(|entry| &batch.vms[entry.vm])
        .map(|vm| Work { keys: vm.keys.clone(), bytes: vm.bytes.unwrap_or(0) })
        .collect();
    let mut retries = batch.retries.clone();
    if !all {
        retries.pauses.clear();
    }
    Scheduler::new(&work, &batch.limits, retries)
}

/// A VM that is asked for.
struct Entry {
    /// Its place in the list.
    vm: usize,
    record: Record,
    /// It had its result before.
    done: bool,
    /// Shared places that it holds.
    held: Vec<Place>,
    /// When its record was written.
    touched: Instant,
}

struct Runner<'a> {
    batch: &'a Batch,
    around: &'a Around<'a>,
    records: Records,
    places: Option<Places>,
    command: Command,
    scheduler: Scheduler,
    screen: Screen,
    stream: Stream,
    entries: Vec<Entry>,
    /// Somebody asked to stop.
    asked: bool,
}

impl Runner<'_> {
    fn now(&self) -> Duration {
        self.around.started.elapsed()
    }

    fn go(&mut self) -> Result<()> {
        let source = self.batch.label.clone();
        self.stream.event(None, &Event::RunStarted { schema: events::SCHEMA, source, vm: None });
        let mut children = Children::new();
        for index in (0..self.entries.len()).filter(|index| self.entries[*index].done) {
            self.scheduler.settle(index);
            self.screen.settled(true);
        }
        let result = self.turn(&mut children);
        if result.is_err() {
            // Nothing of it is left running, whatever went wrong here.
            children.stop();
            while children.count() > 0 {
                children.news(TICK);
            }
        }
        result
    }

    fn turn(&mut self, children: &mut Children) -> Result<()> {
        loop {
            if signals::count() > 0 && !std::mem::replace(&mut self.asked, true) {
                self.scheduler.stop();
                children.stop();
                self.screen.say(&format!("stopping: {} VMs go on to their next safe point", children.count()));
            }
            self.start_what_may(children)?;
            if self.scheduler.is_over() && children.count() == 0 {
                return Ok(());
            }
            match children.news(TICK) {
                Some(News::Event(index, event)) => self.event(index, &event)?,
                Some(News::Ended(index, ending)) => self.ended(index, *ending)?,
                None => {}
            }
            self.heartbeat(children)?;
        }
    }

    fn start_what_may(&mut self, children: &mut Children) -> Result<()> {
        loop {
            let now = self.now();
            // Places that others share are taken last, and only for a VM that may start otherwise.
            let mut taken: HashMap<usize, Vec<Place>> = HashMap::new();
            let mut failed = None;
            let (batch, entries, places) = (self.batch, &self.entries, self.places.as_ref());
            let next = self.scheduler.next(now, |index| {
                let Some(places) = places else { return true };
                let keys = &batch.vms[entries[index].vm].keys;
                let keys: Vec<(&str, u32)> =
                    keys.iter().filter_map(|key| Some((key.as_str(), batch.limits.of(key)?))).collect();
                match places.take(&keys) {
                    Ok(Some(places)) => _ = taken.insert(index, places),
                    Ok(None) => return false,
                    Err(error) => failed = Some(error),
                }
                true
            });
            if let Some(error) = failed {
                return Err(error);
            }
            let Some(index) = next else { return Ok(()) };
            self.entries[index].held = taken.remove(&index).unwrap_or_default();
            self.start(children, index, now)?;
        }
    }

    fn start(&mut self, children: &mut Children, index: usize, now: Duration) -> Result<()> {
        let entry = &mut self.entries[index];
        let vm = &self.batch.vms[entry.vm];
        let limited_by = self.scheduler.limited_by(index, now).map(str::to_owned);
        entry.record.begin(limited_by.as_deref());
        entry.touched = Instant::now();
        if self.command == Command::Migrate {
            self.records.note(&mut entry.record)?;
        }
        let attempt = entry.record.attempts.len();
        self.stream.job_started(&vm.name, attempt, &vm.keys, limited_by.as_deref());
        self.screen.started(index, &vm.name, attempt);
        let started = self.batch.job(vm, self.around, self.command).and_then(|job| children.start(index, &job));
        match started {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = Some(ErrorDocument::new(&error, None));
                self.ended(index, Ending { error, ..Ending::default() })
            }
        }
    }

    fn event(&mut self, index: usize, event: &Event) -> Result<()> {
        let entry = &mut self.entries[index];
        let vm = &self.batch.vms[entry.vm];
        self.stream.event(Some(&vm.name), event);
        self.screen.event(index, event);
        match event {
            Event::StageStarted { stage, .. } => {
                entry.record.stage = Some(*stage);
                entry.touched = Instant::now();
                if self.command == Command::Migrate {
                    self.records.note(&mut entry.record)?;
                }
                if *stage == Stage::Convert {
                    // No byte of the source is read from here on.
                    entry.held.clear();
                    self.scheduler.source_is_read(index);
                }
            }
            Event::Progress { stage: Stage::Flatten, done_bytes, total_bytes, .. } if *total_bytes > 0 => {
                (entry.record.done_bytes, entry.record.total_bytes) = (*done_bytes, *total_bytes);
            }
            Event::Warning { message } => {
                entry.record.warnings.push(message.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, index: usize, ending: Ending) -> Result<()> {
        let now_here = self.now();
        let code = ending.code();
        let next = self.scheduler.ended(index, code, now_here);
        let entry = &mut self.entries[index];
        entry.held.clear();
        let record = &mut entry.record;
        if let Some(run) = record.attempts.last_mut() {
            (run.finished, run.exit_code) = (Some(now()), Some(code));
            (run.bytes, run.copy_seconds) = ending.copied;
        }
        record.exit_code = Some(code);
        record.images = ending.images;
        record.findings = ending.findings;
        record.error = ending.error;
        let interrupted = code == ErrorKind::Interrupted.exit_code();
        let (word, after) = match next {
            Next::Done => ("done", None),
            Next::Again(after) => ("again", Some(after)),
            Next::Failed => ("failed", None),
        };
        record.state = match next {
            Next::Done => State::Done,
            Next::Again(_) => State::Waiting,
            // It was asked to, and goes on with the next run.
            Next::Failed if interrupted && self.asked => State::Waiting,
            Next::Failed => State::Failed,
        };
        let message = record.error.as_ref().map(|error| error.message.clone());
        let vm = &self.batch.vms[entry.vm];
        self.stream.job_ended(&vm.name, code, word, after.map(|after| after.as_secs_f64()));
        let copied = record.attempts.last().map_or(0, |run| run.bytes);
        self.screen.ended(index, message.as_deref(), code, copied, after);
        if self.command == Command::Migrate {
            self.records.write(&mut entry.record)?;
        }
        for (index, key) in self.scheduler.give_up() {
            self.skip(index, &key)?;
        }
        // One that waits to be tried again when the batch is stopped has failed with what it failed with.
        Ok(())
    }

    fn skip(&mut self, index: usize, key: &str) -> Result<()> {
        let record = &mut self.entries[index].record;
        let error = PluginError::new(ErrorKind::Auth, format!("not started: {key} refused a login"))
            .hint("put the password right, and run the same command again");
        (record.state, record.error) = (State::Skipped, Some(ErrorDocument::new(&error, None)));
        record.exit_code = None;
        self.screen.settled(false);
        if self.command == Command::Migrate { self.records.write(record) } else { Ok(()) }
    }

    fn heartbeat(&mut self, children: &Children) -> Result<()> {
        let due = Duration::from_secs(HEARTBEAT);
        for index in children.running() {
            let entry = &mut self.entries[index];
            if entry.touched.elapsed() < due {
                continue;
            }
            entry.touched = Instant::now();
            entry.held.iter_mut().for_each(Place::touch);
            if self.command == Command::Migrate {
                self.records.note(&mut entry.record)?;
            }
        }
        Ok(())
    }
}
