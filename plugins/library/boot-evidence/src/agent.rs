//! A client of the QEMU guest agent, as small as a boot test needs it: is it there, which system does it speak for, and what did the first
//! start after a migration leave.
//!
//! One JSON object a line, each way (qemu's docs/interop/qemu-ga). The guest on the other side is not trusted: what it says is bounded.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::first_start::FirstStart;

/// An agent that is not there yet is asked again after this time: a restart may have taken the question away.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// A command that is not answered is given up, and the agent greeted anew.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks for the result of a first start.
const PAUSE: Duration = Duration::from_secs(5);
/// A longer line is no answer.
const LONGEST_LINE: usize = 256 << 10;
/// More of a result is not read, in bytes.
const LARGEST_RESULT: usize = 64 << 10;
/// Begins the answer to a greeting.
const SENTINEL: u8 = 0xff;

/// The result of a first start, and a file that is there until it is over.
const RESULT: &str = r"C:\ProgramData\vmdk2kvm\result.json";
const RUNNING: &str = r"C:\Windows\vmdk2kvm\firstboot.cmd";

/// A connection to an agent's channel.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    heard: Vec<u8>,
    unsent: Vec<u8>,
    number: u64,
    /// The first greeting since the guest began.
    first: u64,
    step: Step,
    asked: Instant,
    system: Option<String>,
    first_start: Option<FirstStart>,
    /// The result was not there, and nothing runs: the next time that is the answer.
    missed: bool,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    System,
    OpenResult,
    ReadResult(i64),
    OpenRunning,
    /// Closing a file; then whether the first start still runs.
    Close(bool),
    Pause,
    Done,
}

impl Agent {
    /// `stream`: the host's end of the channel `org.qemu.guest_agent.0`.
    pub fn new(stream: UnixStream, now: Instant) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        let mut agent = Self {
            stream,
            heard: Vec::new(),
            unsent: Vec::new(),
            number: 0,
            first: 1,
            step: Step::Greeting,
            asked: now,
            system: None,
            first_start: None,
            missed: false,
        };
        agent.greet(now);
        Ok(agent)
    }

    /// The system that the agent speaks for, once it has answered.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// What the first start left, once that was read.
    pub fn first_start(&self) -> Option<&FirstStart> {
        self.first_start.as_ref()
    }

    /// Nothing more is to be learned.
    pub fn is_done(&self) -> bool {
        self.step == Step::Done
    }

    /// The guest began anew: what it said before does not count.
    pub fn restarted(&mut self, now: Instant) {
        (self.system, self.first_start, self.missed) = (None, None, false);
        self.first = self.number + 1;
        self.heard.clear();
        self.greet(now);
    }

    /// Hears and asks, without waiting.
    pub fn poll(&mut self, now: Instant) {
        if self.is_done() {
            return;
        }
        self.hear(now);
        let waited = now.duration_since(self.asked);
        match self.step {
            Step::Greeting if waited >= ASK_AGAIN => self.greet(now),
            Step::Greeting | Step::Done => {}
            Step::Pause if waited >= PAUSE => self.open(RESULT, Step::OpenResult, now),
            Step::Pause => {}
            _ if waited >= PATIENCE => self.greet(now),
            _ => {}
        }
        self.send();
    }

    fn greet(&mut self, now: Instant) {
        self.number += 1;
        self.step = Step::Greeting;
        self.asked = now;
        // Whoever reads it drops what came before.
        self.unsent.push(SENTINEL);
        self.say(&json!({ "execute": "guest-sync-delimited", "arguments": { "id": self.number } }));
    }

    fn ask(&mut self, step: Step, command: &str, arguments: &Value, now: Instant) {
        (self.step, self.asked) = (step, now);
        self.say(&json!({ "execute": command, "arguments": arguments }));
    }

    fn open(&mut self, path: &str, step: Step, now: Instant) {
        self.ask(step, "guest-file-open", &json!({ "path": path, "mode": "r" }), now);
    }

    fn say(&mut self, command: &Value) {
        // A guest that reads nothing is not told more and more.
        if self.unsent.len() < LONGEST_LINE {
            self.unsent.extend(command.to_string().into_bytes());
            self.unsent.push(b'\n');
        }
        self.send();
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent @ 1..) => _ = self.unsent.drain(..sent),
                // The end of the machine is noticed by others.
                _ => return,
            }
        }
    }

    fn hear(&mut self, now: Instant) {
        let mut buffer = [0; 16 << 10];
        // Not more at a time, however fast it speaks.
        for _ in 0..16 {
            match self.stream.read(&mut buffer) {
                Ok(read @ 1..) => self.heard.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
            while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                self.line(&line, now);
            }
            if self.heard.len() > LONGEST_LINE {
                self.heard.clear();
            }
        }
    }

    fn line(&mut self, line: &[u8], now: Instant) {
        let greeted = line.iter().rposition(|byte| *byte == SENTINEL);
        let Ok(answer) = serde_json::from_slice::<Value>(&line[greeted.map_or(0, |at| at + 1)..]) else { return };
        match (self.step, greeted) {
            (Step::Greeting, Some(_)) => {
                let number = answer["return"].as_u64().unwrap_or_default();
                if (self.first..=self.number).contains(&number) {
                    self.ask(Step::System, "guest-get-osinfo", &json!({}), now);
                }
            }
            // An answer to an earlier greeting.
            (Step::Greeting, None) | (_, Some(_)) => {}
            (step, None) if answer.get("return").is_some() || answer.get("error").is_some() => {
                self.answer(step, answer.get("return"), now);
            }
            _ => {}
        }
    }

    /// Takes the answer to a command; `None`: it was refused.
    fn answer(&mut self, step: Step, answer: Option<&Value>, now: Instant) {
        match (step, answer) {
            (Step::System, answer) => {
                // Older agents do not know the command, and are there all the same.
                let name = answer.and_then(|answer| answer["pretty-name"].as_str().or_else(|| answer["name"].as_str()));
                self.system = Some(name.unwrap_or("a system that it does not name").to_owned());
                self.open(RESULT, Step::OpenResult, now);
            }
            (Step::OpenResult, Some(handle)) => {
                let handle = handle.as_i64().unwrap_or_default();
                let arguments = json!({ "handle": handle, "count": LARGEST_RESULT });
                self.ask(Step::ReadResult(handle), "guest-file-read", &arguments, now);
            }
            (Step::OpenResult, None) if self.missed => self.step = Step::Done,
            (Step::OpenResult, None) => self.open(RUNNING, Step::OpenRunning, now),
            (Step::ReadResult(handle), answer) => {
                let bytes = answer.and_then(|answer| STANDARD.decode(answer["buf-b64"].as_str()?).ok());
                self.first_start = Some(FirstStart::parse(&bytes.unwrap_or_default()));
                self.ask(Step::Close(false), "guest-file-close", &json!({ "handle": handle }), now);
            }
            (Step::OpenRunning, Some(handle)) => {
                self.ask(Step::Close(true), "guest-file-close", &json!({ "handle": handle }), now);
            }
            // It may have ended between the two questions.
            (Step::OpenRunning, None) => {
                self.missed = true;
                self.open(RESULT, Step::OpenResult, now);
            }
            (Step::Close(true), _) => (self.step, self.asked) = (Step::Pause, now),
            (Step::Close(false), _) => self.step = Step::Done,
            (Step::Greeting | Step::Pause | Step::Done, _) => {}
        }
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
