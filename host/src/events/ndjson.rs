//! Events as NDJSON: the format that [`Event`] documents, written and read.
//!
//! The same lines go to `--events` and from the worker to its supervisor.

use std::io::Write;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Event, Reporter, is_unsafe};

/// Writes each event as one line. When its writer fails it falls silent: a full disk under the event log must not end a
/// migration.
pub struct Ndjson<W> {
    writer: Option<W>,
    started: Instant,
}

impl<W: Write> Ndjson<W> {
    /// Writes to `writer`; times count from `started`.
    pub fn new(writer: W, started: Instant) -> Self {
        Self { writer: Some(writer), started }
    }
}

impl<W: Write + Send> Reporter for Ndjson<W> {
    fn event(&mut self, event: &Event) {
        let Some(writer) = &mut self.writer else { return };
        let line = to_line(event, self.started.elapsed().as_secs_f64());
        if writer.write_all(line.as_bytes()).and_then(|()| writer.flush()).is_err() {
            self.writer = None;
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    #[serde(flatten)]
    event: &'a Event,
}

/// The line of an event, with its line feed.
pub(super) fn to_line(event: &Event, seconds: f64) -> String {
    let time = (seconds * 1000.0).round() / 1000.0;
    let mut line = serde_json::to_string(&Line { time, event }).map(|line| safe_json(&line)).unwrap_or_default();
    line.push('\n');
    line
}

/// The event of a line.
pub fn from_line(line: &str) -> Result<Event, serde_json::Error> {
    #[derive(Deserialize)]
    struct Read {
        #[serde(flatten)]
        event: Event,
    }
    serde_json::from_str::<Read>(line).map(|read| read.event)
}

/// JSON text that is safe to show on a terminal and means the same: inside of strings, the control characters that JSON
/// would let through (DEL, C1, bidirectional controls) become `\u` escapes.
pub fn safe_json(json: &str) -> String {
    let unsafe_here = |letter: char| is_unsafe(letter) && letter != '\n';
    if !json.contains(unsafe_here) {
        return json.to_owned();
    }
    let mut safe = String::with_capacity(json.len() + 32);
    for letter in json.chars() {
        if unsafe_here(letter) {
            safe.push_str(&format!("\\u{:04x}", letter as u32));
        } else {
            safe.push(letter);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Stage;

    #[test]
    fn lines_are_whole_and_come_back() {
        let event = Event::Warning { message: "a\n\u{202e}b\x7f\u{9b}\u{2028}ä".into() };
        let line = to_line(&event, 1.23456);
        assert_eq!(line, "{\"time\":1.235,\"event\":\"warning\",\"message\":\"a\\n\\u202eb\\u007f\\u009b\\u2028ä\"}\n");
        assert_eq!(from_line(&line).unwrap(), event);
        let event = Event::Progress {
            stage: Stage::Fix,
            task: "t".into(),
            disk: None,
            done_bytes: u64::MAX,
            total_bytes: u64::MAX,
        };
        assert_eq!(from_line(&to_line(&event, 0.0)).unwrap(), event);
        from_line("{").unwrap_err();
    }

    #[test]
    fn a_writer_that_fails_is_left_alone() {
        struct Full(usize);
        impl Write for &mut Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                self.0 += 1;
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut full = Full(0);
        let mut reporter = Ndjson::new(&mut full, Instant::now());
        for _ in 0..3 {
            reporter.event(&Event::Warning { message: "x".into() });
        }
        assert_eq!(full.0, 1);
    }
}
