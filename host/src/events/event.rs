//! `Event`: what happens during a run, as data.
//!
//! Owns the format of the event stream. Says nothing about how events are shown: reporters do that.

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::Finding;

use super::Stage;

/// Something that happened during a run.
///
/// # The event stream
///
/// `--events FILE` writes the stream as NDJSON: UTF-8, one event a line, each line a JSON object that ends with a line
/// feed and is written whole. Every line has `event`, the kind, and `time`, the seconds since the program started on
/// the monotonic clock. The other members depend on the kind and are those of the variants below. Amounts are bytes,
/// never percentages; a `total_bytes` of 0 means that the total is not known. An optional member that has no value is
/// left out.
///
/// The first event of a run is `run_started` and bears the schema number; the last is `run_finished`, also after an
/// error or an interrupt, and also when the worker process died. A reader must ignore kinds and members it does not
/// know: new ones do not raise the schema number, a change in the meaning of an existing one does.
///
/// ```text
/// {"time":0.001,"event":"run_started","schema":1,"source":"web.vmx"}
/// {"time":0.004,"event":"stage_started","stage":"fetch","plugin":"local"}
/// {"time":2.410,"event":"progress","stage":"convert","task":"copy","disk":0,"done_bytes":1048576,"total_bytes":4294967296}
/// {"time":9.870,"event":"run_finished","exit_code":0,"seconds":9.87}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// Schema number of the stream: [`SCHEMA`].
        schema: u32,
        /// The source as the user named it, without a password.
        source: String,
        /// Name of the virtual machine, when it is known already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vm: Option<String>,
    },
    /// A stage begins.
    StageStarted {
        /// Which.
        stage: Stage,
        /// The plugin that does it; none for what the host does itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plugin: Option<String>,
    },
    /// A task within a stage advanced. One without bytes is reported once, with 0 of 0, when it begins.
    Progress {
        /// Which stage.
        stage: Stage,
        /// What is being done, e.g. `copy`.
        task: String,
        /// Index into the virtual machine's disks, when the task is about one of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disk: Option<u32>,
        /// Bytes done so far.
        done_bytes: u64,
        /// Bytes in all; 0 when not known.
        total_bytes: u64,
    },
    /// A stage ended.
    StageFinished {
        /// Which.
        stage: Stage,
        /// The plugin that did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plugin: Option<String>,
        /// How it ended.
        status: StageStatus,
        /// Wall time in seconds.
        seconds: f64,
        /// Bytes it read or wrote, whichever the stage is about; 0 when it is about none.
        bytes: u64,
        /// The round of a warm migration that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        round: Option<u32>,
    },
    /// A round of a warm migration is durable.
    RoundFinished {
        /// Its number, from 0.
        round: u32,
        /// Bytes that the source called changed; of a disk that was copied in full, its data.
        changed_bytes: u64,
        /// Bytes that were read of the source.
        moved_bytes: u64,
        /// Wall time in seconds.
        seconds: f64,
    },
    /// An inspector or a fixer noticed something. Its members are `code`, `severity`, `message` and `hint`.
    Finding(Finding),
    /// A log line of the host or of a plugin.
    Log {
        /// How important.
        level: LogLevel,
        /// The module that wrote it.
        target: String,
        /// The plugin it comes from; none for the host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plugin: Option<String>,
        /// The text, its fields as `key=value`.
        message: String,
    },
    /// Something the user should know although the run goes on; ends up in the report.
    Warning {
        /// One sentence.
        message: String,
    },
    /// The run ended.
    RunFinished {
        /// Exit code of the program.
        exit_code: u8,
        /// Wall time in seconds.
        seconds: f64,
        /// What went wrong, when the exit code is not 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorDocument>,
    },
}

/// Schema number of the event stream.
pub const SCHEMA: u32 = 1;

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// It did its work.
    Done,
    /// The job does not ask for it.
    Skipped,
    /// It failed.
    Failed,
    /// A former run had done it, or there was nothing to do.
    Unchanged,
}

impl StageStatus {
    /// The word in JSON and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// How important a log line is. As a limit: nothing less important than this is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing at all; only a limit, no line has this level.
    Off,
    /// Something failed.
    Error,
    /// Something is odd.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// The word in JSON and in arguments.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The number of the plugin contract: 0 off, 1 error, ... 5 trace.
    pub const fn as_number(self) -> u8 {
        self as u8
    }

    /// From the number of the plugin contract; what is above 5 is a trace.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Off,
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            _ => Self::Trace,
        }
    }
}

/// An error as `--json` prints it and as reports and events carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDocument {
    /// Exit code of the program.
    pub code: u8,
    /// Kind, one word.
    pub kind: String,
    /// One sentence: what is wrong with which thing.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
    /// The stage that failed.
    pub stage: Option<Stage>,
    /// `name version` of the plugin that failed.
    pub plugin: Option<String>,
}

impl ErrorDocument {
    /// The document of an error in `stage`.
    pub fn new(error: &vmdk2kvm_plugin_api::PluginError, stage: Option<Stage>) -> Self {
        Self {
            code: error.kind.exit_code(),
            kind: error.kind.as_str().to_owned(),
            message: error.message.clone(),
            hint: error.hint.clone(),
            stage,
            plugin: error.plugin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmdk2kvm_plugin_api::PluginError;
    use vmdk2kvm_plugin_api::model::Severity;

    use super::*;

    #[test]
    fn the_format_is_what_the_documentation_says() {
        let cases = [
            (
                Event::RunStarted { schema: SCHEMA, source: "web.vmx".into(), vm: None },
                json!({"event": "run_started", "schema": 1, "source": "web.vmx"}),
            ),
            (
                Event::Progress {
                    stage: Stage::Convert,
                    task: "copy".into(),
                    disk: Some(0),
                    done_bytes: 1,
                    total_bytes: 2,
                },
                json!({"event": "progress", "stage": "convert", "task": "copy", "disk": 0, "done_bytes": 1, "total_bytes": 2}),
            ),
            (
                Event::Finding(Finding::new("no-virtio", Severity::Block, "text")),
                json!({"event": "finding", "code": "no-virtio", "severity": "block", "message": "text", "hint": ""}),
            ),
            (
                Event::StageFinished {
                    stage: Stage::Fix,
                    plugin: None,
                    status: StageStatus::Unchanged,
                    seconds: 0.5,
                    bytes: 0,
                    round: None,
                },
                json!({"event": "stage_finished", "stage": "fix", "status": "unchanged", "seconds": 0.5, "bytes": 0}),
            ),
            (
                Event::RoundFinished { round: 2, changed_bytes: 3, moved_bytes: 4, seconds: 0.5 },
                json!({"event": "round_finished", "round": 2, "changed_bytes": 3, "moved_bytes": 4, "seconds": 0.5}),
            ),
            (
                Event::RunFinished {
                    exit_code: 65,
                    seconds: 1.0,
                    error: Some(ErrorDocument::new(&PluginError::unusable("bad"), Some(Stage::Flatten))),
                },
                json!({"event": "run_finished", "exit_code": 65, "seconds": 1.0, "error": {
                    "code": 65, "kind": "unusable", "message": "bad", "hint": null, "stage": "flatten", "plugin": null}}),
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(serde_json::to_value(&event).unwrap(), expected);
            assert_eq!(serde_json::from_value::<Event>(expected).unwrap(), event);
        }
    }

    #[test]
    fn levels_keep_their_numbers() {
        for number in 0..=5 {
            assert_eq!(LogLevel::from_number(number).as_number(), number);
        }
        assert!(LogLevel::Error < LogLevel::Trace);
    }
}
