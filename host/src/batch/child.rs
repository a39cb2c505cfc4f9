//! The child's end: this program run again for one VM. Reads a job, runs it as a command of its own would, says what happens and how it ended.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vmdk2kvm_plugin_api::model::Finding;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::record::Image;
use crate::config::Job;
use crate::events::{self, ErrorDocument, Event, EventSink, Reporter};
use crate::worker::{self, signals};

/// The hidden word on the command line that makes a process the run of one VM of a batch.
pub const CHILD_COMMAND: &str = "batch-process";

/// A line from a child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// Something happened.
    Event(Event),
    /// The run is over; nothing follows.
    End(Box<Ending>),
}

/// How a run ended: what the batch needs of it, since a whole report with its diffs is long.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ending {
    pub error: Option<ErrorDocument>,
    pub images: Vec<Image>,
    pub findings: Vec<Finding>,
    pub changes: usize,
    /// Bytes that the copy moved, and the seconds that it took.
    pub copied: (u64, f64),
}

impl Ending {
    fn of(result: Option<&Value>, error: Option<ErrorDocument>) -> Self {
        let member = |name: &str| result.and_then(|result| result.get(name)).cloned().unwrap_or_default();
        let image = |image: &Value| {
            Some(Image { path: image["path"].as_str()?.into(), file_bytes: image["file_bytes"].as_u64() })
        };
        let stages = member("stages");
        // Several in rounds.
        let copies = stages.as_array().into_iter().flatten().filter(|stage| stage["name"] == "flatten");
        let copied = copies.fold((0, 0.0), |(bytes, seconds), stage| {
            (bytes + stage["bytes"].as_u64().unwrap_or(0), seconds + stage["seconds"].as_f64().unwrap_or(0.0))
        });
        Self {
            error,
            images: member("images").as_array().into_iter().flatten().filter_map(image).collect(),
            findings: serde_json::from_value(member("findings")).unwrap_or_default(),
            changes: member("changes").as_array().map_or(0, Vec::len),
            copied,
        }
    }

    /// The exit code of the run.
    pub fn code(&self) -> u8 {
        self.error.as_ref().map_or(0, |error| error.code)
    }
}

struct ToParent(Arc<Mutex<std::io::Stdout>>);

impl Reporter for ToParent {
    fn event(&mut self, event: &Event) {
        say(&self.0, &Said::Event(event.clone()));
    }
}

fn say(out: &Mutex<std::io::Stdout>, said: &Said) {
    let Ok(mut line) = serde_json::to_vec(said) else { return };
    line.push(b'\n');
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    // A parent that is gone cannot be told anything; its end has asked us to stop already.
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// Runs the job that stands on standard input. Returns the exit code.
pub fn serve() -> u8 {
    let started = Instant::now();
    signals::take_as_one();
    let out = Arc::new(Mutex::new(std::io::stdout()));
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text).map_err(|error| PluginError::from_io("the job", &error));
    let job: Result<Job, PluginError> = read.and_then(|_| {
        serde_json::from_str(&text).map_err(|error| PluginError::defect(format!("the job cannot be read: {error}")))
    });
    let job = match job {
        Ok(job) => job,
        Err(error) => {
            say(&out, &Said::End(Box::new(Ending::of(None, Some(ErrorDocument::new(&error, None))))));
            return ErrorKind::Defect.exit_code();
        }
    };
    let sink = EventSink::new(vec![Box::new(ToParent(Arc::clone(&out)))]);
    sink.emit(Event::RunStarted { schema: events::SCHEMA, source: job.label(), vm: job.settings.name.clone() });
    let answer = worker::run(&job, &sink);
    let ending = Ending::of(answer.result.as_ref(), answer.error);
    let seconds = started.elapsed().as_secs_f64();
    sink.emit(Event::RunFinished { exit_code: ending.code(), seconds, error: ending.error.clone() });
    let code = ending.code();
    say(&out, &Said::End(Box::new(ending)));
    code
}
