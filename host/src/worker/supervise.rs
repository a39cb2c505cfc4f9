//! The supervisor's side: starts the worker, passes its events on, asks it to stop, and knows what to say when it dies.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::crash::{self, Crumb};
use super::message::{Answer, Message};
use super::{WORKER_COMMAND, signals};
use crate::config::Job;
use crate::events::{ErrorDocument, Event, EventSink, LogLevel, Stage};

/// No message is longer than this, in bytes: a report with many diffs stays far below.
const LINE_LIMIT: u64 = 256 << 20;

/// Runs a job in a worker process. Never fails: whatever happens to the worker becomes an answer.
pub fn run(job: &Job, events: &EventSink) -> Answer {
    match supervise(job, events) {
        Ok(answer) => answer,
        Err(error) => Answer::from(Err(error.into())),
    }
}

fn supervise(job: &Job, events: &EventSink) -> Result<Answer, PluginError> {
    signals::install();
    let failed = |what: &str, error: std::io::Error| PluginError::io(format!("{what}: {error}"));
    let mut child = spawn().map_err(|error| failed("the worker process cannot be started", error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let text = serde_json::to_vec(job).map_err(|error| PluginError::defect(error.to_string()))?;
    if let Some(mut stdin) = stdin {
        // A worker that died already is noticed below, with its reason.
        let _ = stdin.write_all(&text);
    }
    let crumb = Arc::new(Mutex::new(None));
    let mut heard = Heard::default();
    let pid = child.id();
    let status = std::thread::scope(|scope| {
        let errors = scope.spawn(|| stderr.map(|stderr| log_stderr(stderr, events, &crumb)));
        let (done, over) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || pass_signals_on(pid, &over));
        if let Some(stdout) = stdout {
            heard.listen(stdout, events);
        }
        let status = child.wait();
        drop(done);
        let _ = errors.join();
        status
    })
    .map_err(|error| failed("the worker process cannot be waited for", error))?;
    if let Some(answer) = heard.answer {
        return Ok(answer);
    }
    let crumb = crumb.lock().unwrap_or_else(PoisonError::into_inner).take();
    let error = death(status, crumb.as_ref(), heard.stage);
    Ok(Answer { result: None, error: Some(ErrorDocument::new(&error, heard.stage)) })
}

fn spawn() -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("vmdk2kvm").arg(WORKER_COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: Ctrl-C reaches us alone, and we ask the worker to stop, not the tools it runs.
    command.process_group(0);
    // SAFETY: prctl is async-signal-safe. A worker whose supervisor is gone stops at its next safe point.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
    command.spawn()
}

/// What a worker has said so far.
#[derive(Default)]
struct Heard {
    answer: Option<Answer>,
    stage: Option<Stage>,
}

impl Heard {
    fn listen(&mut self, stdout: impl Read, events: &EventSink) {
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
                Ok(Message::Answer(answer)) => self.answer = Some(*answer),
                // Not ours: a line cut short by the worker's death.
                Err(_) => {}
            }
        }
    }
}

/// Turns what plugins and their libraries print into log lines, and keeps the breadcrumb.
fn log_stderr(stderr: impl Read, events: &EventSink, crumb: &Mutex<Option<Crumb>>) {
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line[..line.len().min(4096)]).into_owned();
        if let Some(found) = crash::parse(&line) {
            *crumb.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        } else if !line.trim().is_empty() {
            let target = "worker".to_owned();
            events.emit(Event::Log { level: LogLevel::Debug, target, plugin: None, message: line });
        }
    }
}

/// Passes requests to stop on to the worker: the first as a request, the third as an order.
fn pass_signals_on(pid: u32, over: &std::sync::mpsc::Receiver<()>) {
    let mut passed = 0;
    while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = over.recv_timeout(Duration::from_millis(50)) {
        let asked = signals::count();
        if asked > passed {
            passed = asked;
            let signal = if asked > 2 { libc::SIGKILL } else { libc::SIGTERM };
            // SAFETY: the worker is our child and has not been waited for: the pid is its.
            unsafe { libc::kill(pid as libc::pid_t, signal) };
        }
    }
}

/// Why a worker ended without an answer.
fn death(status: ExitStatus, crumb: Option<&Crumb>, stage: Option<Stage>) -> PluginError {
    let how = match (status.signal(), status.code()) {
        (Some(libc::SIGKILL), _) if signals::count() > 2 => return PluginError::interrupted(),
        (Some(signal), _) => format!("the worker was killed by signal {signal}"),
        (None, Some(code)) => format!("the worker ended with status {code} and no answer"),
        (None, None) => "the worker ended".to_owned(),
    };
    let place = match (crumb, stage) {
        (Some(crumb), _) => format!(" inside plugin {}, {}", crumb.plugin, crumb.method),
        (None, Some(stage)) => format!(" during {stage}"),
        (None, None) => String::new(),
    };
    let mut error = PluginError::new(ErrorKind::Defect, how + &place)
        .hint("the work folder was kept: run the same command again to continue, or without that plugin");
    error.plugin = crumb.map(|crumb| crumb.plugin.clone());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_told_with_the_plugin_and_the_method() {
        let crumb = Crumb { plugin: "vddk 0.3.1".into(), method: "Transport::open".into() };
        let error = death(ExitStatus::from_raw(libc::SIGSEGV), Some(&crumb), Some(Stage::Fetch));
        assert_eq!(error.message, "the worker was killed by signal 11 inside plugin vddk 0.3.1, Transport::open");
        assert_eq!(error.plugin.as_deref(), Some("vddk 0.3.1"));
        let error = death(ExitStatus::from_raw(0), None, Some(Stage::Fix));
        assert_eq!(error.message, "the worker ended with status 0 and no answer during FIX");
    }
}
