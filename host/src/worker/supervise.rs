//! The supervisor's side: starts the worker, passes its events on, asks it to stop, and knows what to say when it dies.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::crash::{self, Crumb};
use super::message::{Answer, Message};
use super::{WORKER_COMMAND, private_folder, signals};
use crate::config::Job;
use crate::events::{ErrorDocument, Event, EventSink, LogLevel, Stage};

/// No message is longer than this, in bytes: a report with many diffs stays far below.
const LINE_LIMIT: u64 = 256 << 20;
/// Longest line of the log, in bytes.
const LOG_LINE_LIMIT: u64 = 4096;

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
    let private = private_folder::create()?;
    let mut child = spawn(private.path()).map_err(|error| failed("the worker process cannot be started", error))?;
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

fn spawn(private: &Path) -> std::io::Result<Child> {
    let supervisor = rustix::process::getpid();
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("vmdk2kvm")
        .arg(WORKER_COMMAND)
        .arg(private)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own: Ctrl-C reaches us alone, and we ask the worker to stop, not the tools it runs.
    command.process_group(0);
    // SAFETY: only two async-signal-safe system calls are made. A worker whose supervisor is gone stops at its next safe point.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::TERM))?;
            // The supervisor may have died before the signal was asked for.
            if getppid() == Some(supervisor) { Ok(()) } else { Err(std::io::Error::from_raw_os_error(libc::ESRCH)) }
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
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    // A longer line becomes several: nobody knows what a library prints.
    while let Ok(1..) = (&mut reader).take(LOG_LINE_LIMIT).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
        line.clear();
        if let Some(found) = crash::parse(&text) {
            *crumb.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        } else if !text.trim().is_empty() {
            let target = "worker".to_owned();
            events.emit(Event::Log { level: LogLevel::Debug, target, plugin: None, message: text });
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
    if status.signal() == Some(libc::SIGKILL) {
        // Code does not die by this signal: somebody sent it, most likely the kernel.
        return PluginError::new(ErrorKind::Temporary, how + &place)
            .hint("look for an out-of-memory kill (dmesg), and run the same command again: it continues");
    }
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
        let error = death(ExitStatus::from_raw(libc::SIGKILL), None, Some(Stage::Fix));
        assert_eq!((error.kind, error.plugin), (ErrorKind::Temporary, None));
        assert_eq!(error.message, "the worker was killed by signal 9 during FIX");
        let error = death(ExitStatus::from_raw(0), None, Some(Stage::Fix));
        assert_eq!(error.message, "the worker ended with status 0 and no answer during FIX");
    }
}
