//! Events as plain lines: on stderr when there is no terminal, and in the log file.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::beside::Beside;
use super::show::{bytes, duration, line, task};
use super::{Event, LogLevel, Reporter, Stage, escape};

/// Plain lines. Progress is said at most every few seconds for each task, and not at all for tasks that end before.
pub struct Lines<W> {
    writer: W,
    interval: Duration,
    logs: bool,
    beside: Beside,
    tasks: HashMap<(Stage, String, Option<u32>), Task>,
}

struct Task {
    started: Instant,
    first_bytes: u64,
    said: Instant,
    is_full: bool,
}

impl<W: Write> Lines<W> {
    /// Writes to `writer`; says progress every `interval`. Log lines are left out unless `logs`: they may go to a file
    /// instead.
    pub fn new(writer: W, interval: Duration, logs: bool) -> Self {
        Self { writer, interval, logs, beside: Beside::default(), tasks: HashMap::new() }
    }

    fn progress(&mut self, stage: Stage, name: &str, disk: Option<u32>, done: u64, total: u64) -> Option<String> {
        if done == 0 && total == 0 {
            return None;
        }
        let now = Instant::now();
        let task_state = self.tasks.entry((stage, name.to_owned(), disk)).or_insert(Task {
            started: now,
            first_bytes: done,
            said: now,
            is_full: false,
        });
        let is_full = total > 0 && done >= total;
        if std::mem::replace(&mut task_state.is_full, is_full) != is_full && is_full {
            return self.full(stage, name, disk, done);
        }
        if now.duration_since(task_state.said) < self.interval {
            return None;
        }
        task_state.said = now;
        let seconds = now.duration_since(task_state.started).as_secs_f64();
        let rate = done.saturating_sub(task_state.first_bytes) as f64 / seconds.max(0.001);
        let mut text = format!("{stage:<8} {}: {}", task(name, disk), bytes(done));
        if total > 0 {
            text.push_str(&format!(" of {}", bytes(total)));
        }
        if rate >= 1.0 {
            text.push_str(&format!(", {}/s", bytes(rate as u64)));
            if total > done {
                text.push_str(&format!(", {} left", duration((total - done) as f64 / rate)));
            }
        }
        Some(text)
    }

    /// A task that has all its bytes, when its stage has nothing more to do and waits.
    fn full(&self, stage: Stage, name: &str, disk: Option<u32>, done: u64) -> Option<String> {
        let goes_on = self.tasks.iter().any(|((of, _, _), task)| *of == stage && !task.is_full);
        let waits = self.beside.waits_for(stage).filter(|_| !goes_on)?;
        Some(format!("{stage:<8} {}: {} done; {waits}", task(name, disk), bytes(done)))
    }
}

impl<W: Write + Send> Reporter for Lines<W> {
    fn event(&mut self, event: &Event) {
        let beside = self.beside.take(event);
        let text = match event {
            Event::StageStarted { .. } => line(event).map(|text| text + &beside),
            Event::Progress { stage, task, disk, done_bytes, total_bytes } => {
                self.progress(*stage, task, *disk, *done_bytes, *total_bytes)
            }
            Event::Log { .. } if !self.logs => None,
            Event::StageFinished { stage, .. } => {
                self.tasks.retain(|(of, _, _), _| of != stage);
                line(event)
            }
            event => line(event),
        };
        if let Some(text) = text {
            // A closed stderr is no reason to stop.
            let _ = writeln!(self.writer, "{text}");
        }
    }
}

/// The log file: every event but progress, with its time.
pub struct LogFile {
    file: File,
    started: Instant,
}

impl LogFile {
    /// Appends to the file at `path`; makes it, for its owner only, when it is not there.
    pub fn open(path: &Path, started: Instant) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file, started })
    }
}

impl Reporter for LogFile {
    fn event(&mut self, event: &Event) {
        let (level, text) = match event {
            Event::Log { level, target, plugin, message } => {
                let plugin = plugin.as_deref().map(|plugin| format!("{}: ", escape(plugin))).unwrap_or_default();
                (*level, format!("{plugin}{}: {}", escape(target), escape(message)))
            }
            Event::Progress { .. } => return,
            Event::RunStarted { source, .. } => (LogLevel::Info, format!("run started: {}", escape(source))),
            Event::RunFinished { exit_code, seconds, error } => match error {
                Some(error) => (LogLevel::Error, format!("exit {exit_code}: {}", escape(&error.message))),
                None => (LogLevel::Info, format!("exit {exit_code} after {}", duration(*seconds))),
            },
            Event::Warning { message } => (LogLevel::Warn, escape(message).into_owned()),
            event => (LogLevel::Info, line(event).unwrap_or_default()),
        };
        let time = self.started.elapsed().as_secs_f64();
        // One write for each line: several processes may append to the same file.
        let _ = self.file.write_all(format!("{time:10.3} {:<5} {text}\n", level.as_str()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::StageStatus;
    use crate::events::beside::tests::copied;

    fn progress(done: u64) -> Event {
        Event::Progress {
            stage: Stage::Convert,
            task: "copy".into(),
            disk: Some(0),
            done_bytes: done,
            total_bytes: 4 << 30,
        }
    }

    fn log() -> Event {
        Event::Log { level: LogLevel::Info, target: "host".into(), plugin: None, message: "x".into() }
    }

    fn shown(interval: Duration, logs: bool, events: &[Event]) -> String {
        let mut out = Vec::new();
        let mut reporter = Lines::new(&mut out, interval, logs);
        events.iter().for_each(|event| reporter.event(event));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_run_reads_as_lines() {
        let events = [
            Event::StageStarted { stage: Stage::Convert, plugin: Some("qemu-img".into()) },
            progress(0),
            log(),
            Event::StageFinished {
                stage: Stage::Convert,
                plugin: None,
                status: StageStatus::Done,
                seconds: 9.9,
                bytes: 4 << 30,
                round: None,
            },
            Event::Warning { message: "odd".into() },
        ];
        let lines = "CONVERT  qemu-img\nCONVERT  done in 9.9 s, 4.00 GiB\nwarning: odd\n";
        assert_eq!(shown(Duration::from_secs(60), false, &events), lines);
        assert!(shown(Duration::from_secs(60), true, &events).contains("info: host: x\n"));
        assert!(shown(Duration::ZERO, false, &events).contains("CONVERT  copy disk 1: 0 B of 4.00 GiB\n"));
    }

    #[test]
    fn a_stage_that_has_all_its_bytes_says_what_it_waits_for() {
        let started = |stage| Event::StageStarted { stage, plugin: Some("lab".into()) };
        let events = [
            started(Stage::Flatten),
            started(Stage::Inspect),
            copied(0, 1 << 20),
            copied(1, 1 << 20),
            copied(0, 4 << 20),
            copied(1, 4 << 20),
            copied(1, 4 << 20),
        ];
        let lines = "FLATTEN  lab\nINSPECT  lab, beside FLATTEN\nFLATTEN  copy disk 2: 4.00 MiB done; waiting for the guest's fixes\n";
        assert_eq!(shown(Duration::from_secs(60), false, &events), lines);
    }

    #[test]
    fn progress_is_said_at_most_every_interval() {
        let step = Event::Progress { stage: Stage::Fix, task: "x".into(), disk: None, done_bytes: 0, total_bytes: 0 };
        assert_eq!(shown(Duration::ZERO, false, &[step]), "");
        let many: Vec<Event> = (0..1000).map(|n| progress(n << 20)).collect();
        assert_eq!(shown(Duration::from_secs(60), false, &many), "");
        assert_eq!(shown(Duration::ZERO, false, &many).lines().count(), 1000);
    }

    #[test]
    fn the_log_file_has_times_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for _ in 0..2 {
            let mut file = LogFile::open(&path, Instant::now()).unwrap();
            file.event(&progress(1));
            file.event(&log());
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines().all(|line| line.trim_start().starts_with("0.0") && line.ends_with("info  host: x")),
            "{text}"
        );
    }
}
