//! What a worker is told, and what it says: events while it works, and one answer at the end. One JSON document a line.

use serde::{Deserialize, Serialize};

use crate::config::Job;
use crate::events::{ErrorDocument, Event, Stage};
use crate::plugins::CheckRequest;
use vmdk2kvm_plugin_api::PluginError;

/// What a worker is told to do: one JSON document on its standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Work {
    /// Run the pipeline.
    Run(Box<Job>),
    /// Load a file as a plugin and hold it against the promises of its kinds.
    Check(CheckRequest),
}

/// A line from a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// Something happened.
    Event(Event),
    /// The work is over; nothing follows.
    Answer(Box<Answer>),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The result document of the command, also of a failed one that has something to show.
    #[serde(default)]
    pub result: Option<serde_json::Value>,
    /// What went wrong.
    #[serde(default)]
    pub error: Option<ErrorDocument>,
}

/// An error and the stage it happened in.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What went wrong.
    pub error: PluginError,
    /// Where.
    pub stage: Option<Stage>,
    /// What there is to show all the same.
    pub result: Option<serde_json::Value>,
}

impl Failure {
    /// A failure in a stage.
    pub fn new(stage: Stage, error: PluginError) -> Self {
        Self { error, stage: Some(stage), result: None }
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        Self { error, stage: None, result: None }
    }
}

impl From<Result<serde_json::Value, Failure>> for Answer {
    fn from(outcome: Result<serde_json::Value, Failure>) -> Self {
        match outcome {
            Ok(result) => Self { result: Some(result), error: None },
            Err(failure) => {
                Self { error: Some(ErrorDocument::new(&failure.error, failure.stage)), result: failure.result }
            }
        }
    }
}
