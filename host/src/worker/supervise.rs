//! The supervisor's side: starts the worker, passes its events on, and turns its end into an answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::process::Signal;
use vmdk2kvm_plugin_api::PluginError;

use super::again::again;
use super::crash::{self, Crumb};
use super::death::Death;
use super::message::{Answer, Message, Work};
use super::watch::watch;
use super::{WORKER_COMMAND, private_folder, signals};
use crate::config::Job;
use crate::events::{ErrorDocument, Event, EventSink, LogLevel, Stage};
use crate::journal::{create_private_folder, write_file};
use crate::plugins::CheckRequest;

/// No message is longer than this, in bytes: a report with many diffs stays far below.
const LINE_LIMIT: u64 = 256 << 20;
/// Longest line of the log, in bytes.
const LOG_LINE_LIMIT: u64 = 4096;
/// A process that left the worker's group may hold its standard error open for ever: how long the rest of it is waited for.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs a job in a worker process. Never fails: whatever happens to the worker becomes an answer.
pub fn run(job: &Job, events: &EventSink) -> Answer {
    let _made = match MadeFolders::for_job(job) {
        Ok(made) => made,
        Err(error) => return Answer::from(Err(error.into())),
    };
    let answer = answer(&Work::Run(Box::new(job.clone())), events);
    match save_plan(job, &answer) {
        Ok(()) => answer,
        Err(error) => Answer { error: Some(ErrorDocument::new(&error, Some(Stage::Plan))), ..answer },
    }
}

/// The folders that a job names and that were not there: a contained worker can neither make nor remove them.
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    fn for_job(job: &Job) -> Result<Self, PluginError> {
        let mut made = Self(Vec::new());
        for folder in job.settings.output.iter().chain(&job.settings.work_dir).filter(|folder| !folder.exists()) {
            create_private_folder(folder)?;
            made.0.push(folder.clone());
        }
        Ok(made)
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // One that holds anything stays.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Saves the document of `plan --out`, of a blocked plan, too. Not the worker's work: the file may lie in any folder.
fn save_plan(job: &Job, answer: &Answer) -> Result<(), PluginError> {
    let (Some(path), Some(plan)) = (&job.plan_out, &answer.result) else { return Ok(()) };
    let text = serde_json::to_vec_pretty(plan).map_err(|error| PluginError::defect(error.to_string()))?;
    write_file(path, &text)
}

/// Holds one plugin against the promises of its kinds, in a worker process; the result is a [`Checked`](crate::plugins::Checked).
pub fn check(request: &CheckRequest, events: &EventSink) -> Answer {
    answer(&Work::Check(request.clone()), events)
}

fn answer(work: &Work, events: &EventSink) -> Answer {
    supervise(work, events).unwrap_or_else(|error| Answer::from(Err(error.into())))
}

fn supervise(work: &Work, events: &EventSink) -> Result<Answer, PluginError> {
    signals::install();
    let failed = |what: &str, error: std::io::Error| PluginError::io(format!("{what}: {error}"));
    let text = serde_json::to_vec(work).map_err(|error| PluginError::defect(error.to_string()))?;
    let private = private_folder::create()?;
    let mut child = spawn(private.path()).map_err(|error| failed("the worker process cannot be started", error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let process = child.id();
    let (crumbs, crumb) = channel();
    if let Some(stderr) = stderr {
        let events = events.clone();
        std::thread::spawn(move || log_stderr(stderr, &events, &crumbs));
    }
    let mut heard = Heard::default();
    let told = std::thread::scope(|scope| {
        let (answered, over) = channel();
        let watching = scope.spawn(move || watch(process, &over, events));
        if let Some(mut stdin) = stdin {
            // A worker that died already is noticed below, with its reason.
            let _ = stdin.write_all(&text);
        }
        if let Some(stdout) = stdout {
            heard.listen(stdout, events, &answered);
        }
        drop(answered);
        watching.join().unwrap_or_default()
    });
    let status = child.wait().map_err(|error| failed("the worker process cannot be waited for", error))?;
    // A breadcrumb, or the end of the log.
    let crumb = crumb.recv_timeout(LAST_LINES).ok();
    if let Some(answer) = heard.answer {
        return Ok(answer);
    }
    let error = Death { status, crumb, stage: heard.stage, told }.error(work);
    Ok(Answer { result: None, error: Some(ErrorDocument::new(&error, heard.stage)) })
}

fn spawn(private: &Path) -> std::io::Result<Child> {
    // A worker whose supervisor is gone stops at its next safe point.
    let mut command = again(WORKER_COMMAND, Signal::TERM);
    command.arg(private).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: Ctrl-C reaches us alone, and we ask the worker to stop, not the tools it runs.
    command.process_group(0).spawn()
}

/// What a worker has said so far.
#[derive(Default)]
struct Heard {
    answer: Option<Answer>,
    stage: Option<Stage>,
}

impl Heard {
    fn listen(&mut self, stdout: impl Read, events: &EventSink, answered: &Sender<()>) {
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            match (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            }
            match serde_json::from_slice(&line) {
                Ok(Message::Event(event)) => {
                    if let Event::StageStarted { stage, .. } = event {
                        self.stage = Some(stage);
                    }
                    events.emit(event);
                }
                Ok(Message::Answer(answer)) => {
                    self.answer = Some(*answer);
                    // Whoever watches may have seen the end already.
                    let _ = answered.send(());
                }
                // Not ours: a line cut short by the worker's death.
                Err(_) => {}
            }
        }
    }
}

/// Turns what plugins and their libraries print into log lines, and passes a breadcrumb on.
fn log_stderr(stderr: impl Read, events: &EventSink, crumbs: &Sender<Crumb>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    // A longer line becomes several: nobody knows what a library prints.
    while let Ok(1..) = (&mut reader).take(LOG_LINE_LIMIT).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
        line.clear();
        if let Some(crumb) = crash::parse(&text) {
            // Nobody waits for it once there is an answer.
            let _ = crumbs.send(crumb);
        } else if !text.trim().is_empty() {
            let target = "worker".to_owned();
            events.emit(Event::Log { level: LogLevel::Debug, target, plugin: None, message: text });
        }
    }
}
