//! A client of qemu's monitor protocol, as small as a boot test needs it.
//!
//! One JSON object a line, each way (qemu's docs/interop/qmp-spec). Commands are answered in order; events come at any time and
//! are kept until asked for.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// An answer or event that is longer than this is none.
const LONGEST_LINE: usize = 1 << 20;
/// A monitor that is silent for longer is stuck. The translator can hold it up for seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// More events than anybody asks for.
const MOST_EVENTS: usize = 1024;

/// A connection to a monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    pending: Vec<u8>,
    events: VecDeque<Value>,
}

impl Qmp {
    /// Takes the greeting and leaves the negotiation mode. `stop` is asked while waiting.
    pub fn open(stream: UnixStream, stop: &dyn Fn() -> bool) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut qmp = Self { stream, pending: Vec::new(), events: VecDeque::new() };
        let begin = Instant::now();
        while qmp.next(begin, stop)?.get("QMP").is_none() {}
        qmp.call("qmp_capabilities", json!({}), stop)?;
        Ok(qmp)
    }

    /// Runs a command.
    pub fn call(&mut self, command: &str, arguments: Value, stop: &dyn Fn() -> bool) -> std::io::Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes())?;
        let begin = Instant::now();
        loop {
            let mut answer = self.next(begin, stop)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let text = error["desc"].as_str().unwrap_or("no description");
                return Err(std::io::Error::other(format!("qemu refused {command}: {text}")));
            }
        }
    }

    /// The oldest event that was not asked for yet, without waiting.
    pub fn event(&mut self) -> std::io::Result<Option<Value>> {
        self.stream.set_nonblocking(true)?;
        let read = self.fill();
        self.stream.set_nonblocking(false)?;
        read?;
        while let Some(value) = self.line()? {
            self.keep(value);
        }
        Ok(self.events.pop_front())
    }

    /// Waits for the next object that is not an event.
    fn next(&mut self, begin: Instant, stop: &dyn Fn() -> bool) -> std::io::Result<Value> {
        loop {
            while let Some(value) = self.line()? {
                match self.keep(value) {
                    Some(value) => return Ok(value),
                    None => continue,
                }
            }
            if stop() {
                return Err(ErrorKind::Interrupted.into());
            }
            if begin.elapsed() > PATIENCE {
                return Err(std::io::Error::new(ErrorKind::TimedOut, "qemu's monitor does not answer"));
            }
            self.fill()?;
        }
    }

    /// Puts an event aside; gives anything else back.
    fn keep(&mut self, value: Value) -> Option<Value> {
        if value.get("event").is_none() {
            return Some(value);
        }
        if self.events.len() < MOST_EVENTS {
            self.events.push_back(value);
        }
        None
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(std::io::Error::new(ErrorKind::UnexpectedEof, "qemu closed its monitor")),
            Ok(read) => {
                self.pending.extend_from_slice(&buffer[..read]);
                Ok(())
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn line(&mut self) -> std::io::Result<Option<Value>> {
        let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') else {
            if self.pending.len() > LONGEST_LINE {
                return Err(std::io::Error::new(ErrorKind::InvalidData, "qemu's monitor sent a line without end"));
            }
            return Ok(None);
        };
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        serde_json::from_slice(&line).map(Some).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> bool {
        false
    }

    /// A monitor that says all this at once and takes what it is told.
    fn monitor(words: &'static str) -> (UnixStream, std::thread::JoinHandle<String>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            for piece in words.as_bytes().chunks(7) {
                theirs.write_all(piece).unwrap();
            }
            let mut heard = String::new();
            theirs.read_to_string(&mut heard).unwrap();
            heard
        });
        (ours, thread)
    }

    #[test]
    fn events_between_answers_are_kept_in_order() {
        let (stream, thread) = monitor(concat!(
            "{\"QMP\":{}}\r\n{\"return\":{}}\n{\"event\":\"A\"}\n{\"return\":{\"x\":1}}\n",
            "{\"error\":{\"desc\":\"no such thing\"}}\n{\"event\":\"B\"}\n"
        ));
        let mut qmp = Qmp::open(stream, &never).unwrap();
        assert_eq!(qmp.call("first", json!({}), &never).unwrap(), json!({ "x": 1 }));
        let error = qmp.call("second", json!({ "a": 1 }), &never).unwrap_err();
        assert_eq!(error.to_string(), "qemu refused second: no such thing");
        // The last one may still be on its way.
        let mut next = || std::iter::repeat_with(|| qmp.event().unwrap()).flatten().next().unwrap();
        assert_eq!(next()["event"], "A");
        assert_eq!(next()["event"], "B");
        assert_eq!(qmp.event().unwrap(), None);
        drop(qmp);
        let heard = thread.join().unwrap();
        assert_eq!(heard.lines().last(), Some("{\"arguments\":{\"a\":1},\"execute\":\"second\"}"));
    }

    #[test]
    fn an_end_and_a_stop_are_errors() {
        let (stream, other) = UnixStream::pair().unwrap();
        assert_eq!(Qmp::open(stream, &|| true).unwrap_err().kind(), ErrorKind::Interrupted);
        drop(other);
        let (stream, other) = UnixStream::pair().unwrap();
        drop(other);
        assert_eq!(Qmp::open(stream, &never).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
