//! The merged event stream: the events of all VMs in one, each with the `job` that it is of, and the batch's own.
//!
//! Lines are those of [`Event`], with a member `job`, the VM's name. Of the batch itself there are `run_started` and `run_finished` without a
//! `job`, and for each VM `job_started` (`attempt`, counted from 1, `keys`, `limited_by`) and `job_ended` (`exit_code`, `next`: `done`, `ready`
//! after rounds, `again`, `failed`, and with `again` the `after_seconds`). Times are seconds since the batch's program started.

use std::io::Write;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::events::{Event, safe_json};

/// Writes the stream. When its writer fails it falls silent.
pub(super) struct Stream {
    writer: Option<Box<dyn Write + Send>>,
    started: Instant,
}

impl Stream {
    /// A stream into `writer`.
    pub fn new(writer: Option<Box<dyn Write + Send>>, started: Instant) -> Self {
        Self { writer, started }
    }

    /// An event of a VM, or of the batch.
    pub fn event(&mut self, job: Option<&str>, event: &Event) {
        if self.writer.is_none() {
            return;
        }
        if let Ok(Value::Object(members)) = serde_json::to_value(event) {
            self.line(job, members);
        }
    }

    /// The run of a VM begins.
    pub fn job_started(&mut self, job: &str, attempt: usize, keys: &[String], limited_by: Option<&str>) {
        self.own(job, json!({"event": "job_started", "attempt": attempt, "keys": keys, "limited_by": limited_by}));
    }

    /// The run of a VM has ended.
    pub fn job_ended(&mut self, job: &str, exit_code: u8, next: &str, after: Option<f64>) {
        self.own(job, json!({"event": "job_ended", "exit_code": exit_code, "next": next, "after_seconds": after}));
    }

    fn own(&mut self, job: &str, members: Value) {
        if let Value::Object(mut members) = members {
            members.retain(|_, value| !value.is_null());
            self.line(Some(job), members);
        }
    }

    fn line(&mut self, job: Option<&str>, mut members: Map<String, Value>) {
        let Some(writer) = &mut self.writer else { return };
        let time = (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        members.insert("time".to_owned(), json!(time));
        if let Some(job) = job {
            members.insert("job".to_owned(), json!(job));
        }
        let line = safe_json(&Value::Object(members).to_string()) + "\n";
        if writer.write_all(line.as_bytes()).and_then(|()| writer.flush()).is_err() {
            self.writer = None;
        }
    }
}
