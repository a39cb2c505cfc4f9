//! Runs a batch: the scheduler says which VM is next, a child process does it, and what it says goes to the screen, the stream and its record.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::check::{check, check_space, warn_of_unused_limits};
use super::child::Ending;
use super::children::{Children, News};
use super::estimate::{Estimate, estimate};
use super::events::Stream;
use super::places::{Place, Places};
use super::record::{HEARTBEAT, Record, Records, RoundsMade, State, now};
use super::report;
use super::request::{Around, Asked, Task, Which};
use super::rows::{Batch, key};
use super::schedule::{Next, Scheduler, Work};
use super::screen::Screen;
use super::select::{in_rounds, select};
use super::summary::{BatchEnd, Job, SCHEMA, Totals};
use super::whereabouts;
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

/// Does a task with a batch. What fails for one VM is in the result; an error is one of the whole.
pub fn run(asked: &Asked, which: &Which, task: Task, mut around: Around<'_>) -> Result<Ran> {
    signals::install();
    let stream = Stream::new(around.events.take(), around.started);
    let mut batch = check(asked, &around)?;
    let mut selected = select(&batch, which)?;
    if matches!(task, Task::CutOver { .. }) {
        selected = in_rounds(&batch, which, selected)?;
    }
    let records = Records::of(&batch.dir);
    records.prepare()?;
    let plan = !task.writes();
    // Cut-overs go on beside the rounds of others: the lock of each VM is enough.
    let all = *which == Which::All && !matches!(task, Task::CutOver { .. });
    let _lock = (all && !plan).then(|| records.lock()).transpose()?;
    let places = asked.limit_dir.as_deref().map(Places::in_folder).transpose()?;
    let own = if plan { Command::Plan } else { Command::Migrate };
    let mut ready = Vec::new();
    for index in &selected {
        let vm = &batch.vms[*index];
        let key = key(&batch.job(vm, &around, own)?)?;
        let former = records.read(&vm.name);
        let done = !plan && former.as_ref().is_some_and(|record| record.is_done(&key, &vm.output));
        let fresh = || Record::new(&vm.name, &key);
        let record =
            if plan { fresh() } else { former.map_or_else(fresh, |record| Record { key: key.clone(), ..record }) };
        ready.push(Entry { vm: *index, record, done, held: Vec::new(), touched: Instant::now() });
    }
    // One of them alone is under no limit but those that others share.
    if !matches!(which, Which::Index(_)) || places.is_some() {
        let open: Vec<usize> = ready.iter().filter(|entry| !entry.done).map(|entry| entry.vm).collect();
        whereabouts::fill(&mut batch, &open, &around)?;
    }
    warn_of_unused_limits(&mut batch);
    if !plan {
        // The images of rounds have their space.
        let takes_space = |entry: &&Entry| !entry.done && entry.record.rounds.is_none();
        check_space(ready.iter().filter(takes_space).map(|entry| &batch.vms[entry.vm]))?;
    }
    let began = SystemTime::now();
    let closes = match task {
        Task::CutOver { window } => window.map(|window| around.started.elapsed() + window),
        _ => None,
    };
    let mut runner = Runner {
        scheduler: scheduler(&batch, &ready, all || matches!(task, Task::CutOver { .. })),
        screen: Screen::new(around.show, selected.len()),
        batch: &batch,
        around: &around,
        records,
        places,
        task,
        stream,
        entries: ready,
        asked: false,
        closes,
    };
    runner.batch.warnings.iter().for_each(|warning| runner.screen.say(&format!("warning: {warning}")));
    runner.go()?;
    let Runner { entries, mut stream, asked: interrupted, screen, .. } = runner;
    drop(screen);
    let job = |entry: Entry| Job::of(&batch, &batch.vms[entry.vm], Some(entry.record), entry.done);
    let jobs: Vec<Job> = entries.into_iter().map(job).collect();
    let totals = Totals::of(&jobs);
    let totals_code = totals.exit_code(interrupted, task);
    // Whoever runs one VM of a list, as a cluster does, wants that VM's own code.
    let single = jobs.first().filter(|job| jobs.len() == 1 && *which != Which::All && job.state == State::Failed);
    let end = BatchEnd {
        schema: SCHEMA,
        tool: Tool::this(),
        list: batch.label.clone(),
        started: rfc3339(began),
        finished: rfc3339(SystemTime::now()),
        seconds: around.started.elapsed().as_secs_f64(),
        exit_code: single.and_then(|job| job.exit_code).filter(|_| !interrupted).unwrap_or(totals_code),
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

/// A part of a batch is tried once: whoever runs parts, tries again by itself. Not so a cut-over: its machine is off.
fn scheduler(batch: &Batch, entries: &[Entry], again: bool) -> Scheduler {
    let work: Vec<Work> = entries
        .iter()
        .map(|entry| &batch.vms[entry.vm])
        .map(|vm| Work { keys: vm.keys.clone(), bytes: vm.bytes.unwrap_or(0) })
        .collect();
    let mut retries = batch.retries.clone();
    if !again {
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
    task: Task,
    scheduler: Scheduler,
    screen: Screen,
    stream: Stream,
    entries: Vec<Entry>,
    /// Somebody asked to stop.
    asked: bool,
    /// When no further VM is begun.
    closes: Option<Duration>,
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
            self.close_window();
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

    /// No machine is shut down once the window is over. One that is off already is brought to its end.
    fn close_window(&mut self) {
        let now = self.now();
        if self.closes.take_if(|closes| *closes <= now).is_some() {
            self.scheduler.close();
            self.screen.say("the window is over: no further machine is shut down");
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
        // Another run may have worked on it since the list was read, and ended it.
        if let Some(known) = self.records.read(&vm.name).filter(|_| self.task.writes()) {
            let key = std::mem::take(&mut entry.record.key);
            entry.done = known.is_done(&key, &vm.output);
            entry.record = Record { key, ..known };
            if entry.done {
                entry.held.clear();
                self.scheduler.ended(index, 0, now);
                self.screen.settled(true);
                return Ok(());
            }
        }
        let limited_by = self.scheduler.limited_by(index, now).map(str::to_owned);
        entry.record.begin(limited_by.as_deref());
        entry.touched = Instant::now();
        if self.task.writes() {
            self.records.note(&mut entry.record)?;
        }
        let attempt = entry.record.attempts.len();
        self.stream.job_started(&vm.name, attempt, &vm.keys, limited_by.as_deref());
        self.screen.started(index, &vm.name, attempt);
        let command = match self.task {
            Task::Migrate => Command::Migrate,
            Task::Plan => Command::Plan,
            Task::CutOver { .. } => Command::Cutover,
        };
        let started = self.batch.job(vm, self.around, command).and_then(|job| children.start(index, &job));
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
                if self.task.writes() {
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
            Event::RoundFinished { round, moved_bytes, .. } => {
                let (count, moved_bytes) = (round.saturating_add(1), *moved_bytes);
                entry.record.rounds = Some(RoundsMade { count, moved_bytes, finished: now() });
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
        let vm = &self.batch.vms[entry.vm];
        let in_rounds = vm.warm && self.task == Task::Migrate;
        let (word, after) = match next {
            Next::Done if in_rounds => ("ready", None),
            Next::Done => ("done", None),
            Next::Again(after) => ("again", Some(after)),
            Next::Failed => ("failed", None),
        };
        record.state = match next {
            Next::Done if in_rounds => State::Ready,
            Next::Done => State::Done,
            Next::Again(_) => State::Waiting,
            // It was asked to, and goes on with the next run.
            Next::Failed if interrupted && self.asked => State::Waiting,
            Next::Failed => State::Failed,
        };
        self.stream.job_ended(&vm.name, code, word, after.map(|after| after.as_secs_f64()));
        self.screen.ended(index, record, after);
        if self.task.writes() {
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
            .hint("correct the password, and run the same command again");
        (record.state, record.error) = (State::Skipped, Some(ErrorDocument::new(&error, None)));
        record.exit_code = None;
        self.screen.settled(false);
        if self.task.writes() { self.records.write(record) } else { Ok(()) }
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
            if self.task.writes() {
                self.records.note(&mut entry.record)?;
            }
        }
        Ok(())
    }
}
