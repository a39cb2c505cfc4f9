//! A run in the background: its events as they come, its processes, signals to them, and what it leaves when it has ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;

use crate::{Outcome, alone};

/// How often something is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// How long processes may outlive the run: libguestfs looks for orphans every two seconds.
const ORPHANS: Duration = Duration::from_secs(60);
/// Environment variable by which the processes of a run are known.
const MARK: &str = "VMDK2KVM_TEST_RUN";

/// A run of the program with `--json` and `--events`. One that is dropped before its end is killed.
pub struct Running {
    child: Child,
    mark: String,
    notes: tempfile::TempDir,
    /// Takes what the run has in temporary folders; empty at its end.
    temporary: PathBuf,
}

impl Running {
    /// Starts it.
    pub fn start(command: Command) -> Self {
        Self::start_in(command, None)
    }

    /// Starts one that shares with others what goes when the machine starts again, such as budgets.
    pub fn start_sharing(command: Command, runtime: &Path) -> Self {
        Self::start_in(command, Some(runtime))
    }

    fn start_in(mut command: Command, runtime: Option<&Path>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let notes = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(notes.path().join(name)).unwrap();
        let temporary = notes.path().join("t");
        std::fs::create_dir(&temporary).unwrap();
        alone(&mut command)
            .args(["--json", "--events"])
            .arg(notes.path().join("events"))
            .env(MARK, &mark)
            .env("XDG_RUNTIME_DIR", runtime.unwrap_or(&temporary))
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        let child = command.spawn().unwrap();
        Self { child, mark, notes, temporary }
    }

    /// Waits until the condition holds; panics when the run ends before.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        while !holds(self) {
            assert!(
                !self.has_ended(),
                "the run ended before {what}:\n{}\n{}",
                self.note("stderr"),
                self.note("stdout")
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for an event.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        self.wait_until(what, |run| run.events().iter().any(&is_it));
    }

    /// Waits until a stage begins.
    #[track_caller]
    pub fn wait_for_stage(&mut self, stage: &str) {
        self.wait_for(stage, |event| event["event"] == "stage_started" && event["stage"] == stage);
    }

    /// The events so far; a last line that is not whole yet is left out.
    pub fn events(&self) -> Vec<Value> {
        let text = self.note("events");
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Signals the process that the user started.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Every process of this run.
    pub fn pids(&self) -> Vec<u32> {
        self.processes().into_iter().map(|(pid, _)| pid).collect()
    }

    /// The one process of this run with this word among its arguments.
    #[track_caller]
    pub fn process(&self, word: &str) -> Option<u32> {
        let found = self.processes().into_iter().find(|(_, arguments)| arguments.contains(word));
        found.map(|(pid, _)| pid)
    }

    /// Kills the process of this run that has this word among its arguments.
    #[track_caller]
    pub fn kill(&self, word: &str) {
        self.signal_to(word, Signal::KILL);
    }

    /// Makes that process stand still.
    #[track_caller]
    pub fn stop(&self, word: &str) {
        self.signal_to(word, Signal::STOP);
    }

    /// Signals that process.
    #[track_caller]
    pub fn signal_to(&self, word: &str, signal: Signal) {
        let pid = self.process(word);
        send(pid.unwrap_or_else(|| panic!("no {word} among {:#?}", self.processes())), signal);
    }

    /// Whether the process that the user started has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until the process that the user started has ended, whatever is left of the run.
    pub fn wait_for_end(&mut self) {
        self.child.wait().unwrap();
    }

    /// Every process that descends from this run, by the mark in its environment, with its arguments.
    fn processes(&self) -> Vec<(u32, String)> {
        processes(&format!("{MARK}={}", self.mark))
    }

    /// What it has said to people so far.
    pub fn said(&self) -> String {
        self.note("stderr")
    }

    fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.notes.path().join(name)).unwrap_or_default()
    }

    /// Waits for the end, and checks that no process, socket or temporary file of the run is left.
    #[track_caller]
    pub fn end(mut self) -> Outcome {
        let status = self.child.wait().unwrap();
        let began = Instant::now();
        loop {
            let left = (self.processes(), left_in(&self.temporary));
            if left.0.is_empty() && left.1.is_empty() {
                break;
            }
            assert!(began.elapsed() < ORPHANS, "left behind: {left:#?}");
            std::thread::sleep(LOOK);
        }
        Outcome {
            code: status.code().unwrap_or(-1),
            json: serde_json::from_str(&self.note("stdout")).unwrap_or(Value::Null),
            stderr: self.note("stderr"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            send(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Every process with this variable, `NAME=VALUE`, in its environment, with its arguments.
pub fn processes(variable: &str) -> Vec<(u32, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            environment.split(|byte| *byte == 0).find(|known| *known == variable.as_bytes())?;
            let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
            Some((pid, String::from_utf8_lossy(&arguments).replace('\0', " ")))
        })
        .collect()
}

/// Signals a process.
pub fn send(pid: u32, signal: Signal) {
    // One that has just ended needs no signal.
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
}

/// Every path below the folder for temporary files, but what plugins remember until the machine starts again.
fn left_in(temporary: &Path) -> Vec<PathBuf> {
    let own = temporary.join("vmdk2kvm");
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_private =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmdk2kvm-"));
    entries(temporary).filter(|path| *path != own).chain(entries(&own).filter(is_private)).collect()
}
