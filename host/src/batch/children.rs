//! The parent's end: starts a process for a VM, passes on what it says, and asks it to stop.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::child::{CHILD_COMMAND, Ending, Said};
use crate::config::Job;
use crate::events::{ErrorDocument, Event};
use crate::worker::again::again;

/// No line of a child is longer, in bytes.
const LINE_LIMIT: u64 = 64 << 20;

/// What the children say, by the index of their VM.
pub(super) enum News {
    /// Something happened.
    Event(usize, Event),
    /// The child has ended.
    Ended(usize, Box<Ending>),
}

enum Heard {
    Said(usize, Said),
    Closed(usize),
}

/// All children that run. Each is told to stop when this thread ends, however that happens, so it must live as long as they do.
pub(super) struct Children {
    running: HashMap<usize, Running>,
    tell: Sender<Heard>,
    heard: Receiver<Heard>,
}

struct Running {
    child: Child,
    ending: Option<Box<Ending>>,
}

impl Children {
    /// None yet.
    pub fn new() -> Self {
        let (tell, heard) = channel();
        Self { running: HashMap::new(), tell, heard }
    }

    /// Starts the run of a VM.
    pub fn start(&mut self, index: usize, job: &Job) -> Result<()> {
        let text = serde_json::to_vec(job).map_err(|error| PluginError::defect(error.to_string()))?;
        let mut command = again(CHILD_COMMAND, Signal::TERM);
        // A group of its own: Ctrl-C reaches the parent alone, which asks each child once, however often it is asked itself.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let failed = |error| PluginError::io(format!("a process for it cannot be started: {error}"));
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A child that died already is noticed by its end.
            let _ = stdin.write_all(&text);
        }
        if let Some(stdout) = child.stdout.take() {
            let tell = self.tell.clone();
            // Small: there may be many of them.
            let reader = std::thread::Builder::new().stack_size(256 << 10);
            let started = reader.spawn(move || listen(index, stdout, &tell));
            started.map_err(|error| PluginError::io(format!("no thread can be started: {error}")))?;
        }
        self.running.insert(index, Running { child, ending: None });
        Ok(())
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// The VMs that run.
    pub fn running(&self) -> impl Iterator<Item = usize> {
        self.running.keys().copied()
    }

    /// Asks every child to stop at its next safe point.
    pub fn stop(&self) {
        for running in self.running.values() {
            // It has not been waited for: the number is still its own.
            let _ = kill_process(Pid::from_child(&running.child), Signal::TERM);
        }
    }

    /// What is said next; `None` when nothing is for so long.
    pub fn news(&mut self, patience: Duration) -> Option<News> {
        loop {
            match self.heard.recv_timeout(patience) {
                Ok(Heard::Said(index, Said::Event(event))) => return Some(News::Event(index, event)),
                Ok(Heard::Said(index, Said::End(ending))) => {
                    if let Some(running) = self.running.get_mut(&index) {
                        running.ending = Some(ending);
                    }
                }
                Ok(Heard::Closed(index)) => {
                    let Some(mut running) = self.running.remove(&index) else { continue };
                    let status = running.child.wait();
                    let ending = running.ending.unwrap_or_else(|| Box::new(silent(status.ok())));
                    return Some(News::Ended(index, ending));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

/// The ending of a child that did not say how it ended.
fn silent(status: Option<ExitStatus>) -> Ending {
    let how = match status.map(|status| (status.signal(), status.code())) {
        Some((Some(signal), _)) => format!("was killed by signal {signal}"),
        Some((None, Some(code))) => format!("ended with {code}, and did not say why"),
        _ => "ended; its exit code is unknown".to_owned(),
    };
    let error = PluginError::new(ErrorKind::Temporary, format!("the process of this VM {how}"))
        .hint("run the same command again: what was finished is not done again");
    Ending { error: Some(ErrorDocument::new(&error, None)), ..Ending::default() }
}

fn listen(index: usize, stdout: ChildStdout, tell: &Sender<Heard>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        // What is no message is a line cut short by the child's death.
        if let Ok(said) = serde_json::from_slice(&line) {
            if tell.send(Heard::Said(index, said)).is_err() {
                return;
            }
        }
    }
    // Nobody is left to tell when the parent is about to end.
    let _ = tell.send(Heard::Closed(index));
}
