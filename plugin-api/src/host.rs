//! What the host offers to a plugin: progress, cancellation, secrets, settings, and where its log goes.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::{PluginError, Result};

/// The host's side of the services. Authors use [`Host`]; test support and the host implement this.
pub trait HostServices: Send + Sync {
    /// Reports progress of a task: `done` of `total` bytes (0: not known). A task without bytes is reported once, with 0 of 0, when it begins.
    fn progress(&self, task: &str, done: u64, total: u64);

    /// Whether the run was asked to stop. Costs nanoseconds: ask at least once per MiB or per 100 ms of work.
    fn cancelled(&self) -> bool;

    /// The secret of this name, or `None`. Secrets never come through settings.
    fn secret(&self, name: &str) -> Result<Option<String>>;

    /// Takes a log record of the plugin.
    fn log(&self, record: &LogRecord);

    /// The most verbose level anybody listens to: 0 off, 1 error, ... 5 trace.
    fn log_level(&self) -> u8;
}

/// A log record of a plugin, made from a `tracing` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    /// The event's target (a module path).
    pub target: String,
    /// The message with its fields as `key=value`, and the spans it is in.
    pub message: String,
}

/// A plugin's handle on the host. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Host {
    services: Arc<dyn HostServices>,
    settings: Arc<serde_json::Value>,
}

impl Host {
    /// A handle on these services with the plugin's own settings (the table `[plugin.<name>]` of the job).
    pub fn new(services: Arc<dyn HostServices>, settings: serde_json::Value) -> Self {
        Self { services, settings: Arc::new(settings) }
    }

    /// The plugin's settings. Unknown members are refused when the type says `deny_unknown_fields`.
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value((*self.settings).clone())
            .map_err(|error| PluginError::config(format!("the plugin's settings: {error}")))
    }

    /// Reports progress of a task: `done` of `total` bytes (0: not known). A task without bytes is reported once, with 0 of 0, when it begins.
    /// What a stage reports is in the run's report as its phases: each lasts until it has all its bytes, another task reports, or the stage ends.
    pub fn progress(&self, task: &str, done: u64, total: u64) {
        self.services.progress(task, done, total);
    }

    /// Whether the run was asked to stop.
    pub fn cancelled(&self) -> bool {
        self.services.cancelled()
    }

    /// `Err(interrupted)` when the run was asked to stop.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancelled() { Err(PluginError::interrupted()) } else { Ok(()) }
    }

    /// The secret of this name, or `None`.
    pub fn secret(&self, name: &str) -> Result<Option<String>> {
        self.services.secret(name)
    }
}
