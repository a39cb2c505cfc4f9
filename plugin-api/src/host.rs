//! What the host offers to a plugin: progress, cancellation, secrets, settings, and where its log goes.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{PluginError, Result};

/// The host's side of the services. Authors use [`Host`]; test support and the host implement this.
pub trait HostServices: Send + Sync {
    /// Takes progress of a task.
    fn progress(&self, progress: &Progress<'_>);

    /// Whether the run was asked to stop. Costs nanoseconds: ask at least once per MiB or per 100 ms of work.
    fn cancelled(&self) -> bool;

    /// The bytes of the secret of this name, or `None`. Secrets never come through settings, and a plugin gets only those that its manifest
    /// names or that it was lent.
    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Lends a secret, such as a session, to the other plugins of this run, and returns the name by which they get it. It is kept in memory
    /// alone, for as long as the run lasts.
    fn lend_secret(&self, value: &[u8]) -> Result<String>;

    /// Takes a warning for the report.
    fn warn(&self, message: &str);

    /// A folder of this plugin's own on the file system of the output: absolute path, mode 0700. A later run of the same job finds it as it
    /// was; it goes when the run has come to its end.
    fn folder(&self) -> Result<String>;

    /// Waits for one of `limit` places by this name, which all processes of this machine share, and holds it until the answer is dropped.
    fn slot(&self, name: &str, limit: u32) -> Result<Slot>;

    /// Takes a log record of the plugin.
    fn log(&self, record: &LogRecord);

    /// The most verbose level anybody listens to: 0 off, 1 error, ... 5 trace.
    fn log_level(&self) -> u8;
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The task: one word or two.
    pub task: &'a str,
    /// Name of the disk that it works on; `None`: no disk, or all of them.
    pub disk: Option<&'a str>,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; 0: not known. A task without bytes is reported once, with 0 of 0, when it begins.
    pub total: u64,
}

impl<'a> Progress<'a> {
    /// `done` of `total` bytes.
    pub const fn new(task: &'a str, disk: Option<&'a str>, done: u64, total: u64) -> Self {
        Self { task, disk, done, total }
    }
}

/// A place that is held until this is dropped.
pub struct Slot {
    _held: Box<dyn std::any::Any + Send + Sync>,
}

impl Slot {
    /// A place that `held` stands for: dropping it gives the place back.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// A log record of a plugin, made from a `tracing` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogRecord {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    /// The event's target (a module path).
    pub target: String,
    /// The message with its fields as `key=value`, and the spans it is in.
    pub message: String,
}

impl LogRecord {
    /// A record.
    pub fn new(level: u8, target: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level, target: target.into(), message: message.into() }
    }
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
        self.services.progress(&Progress::new(task, None, done, total));
    }

    /// Reports progress of a task that works on one disk.
    pub fn progress_on(&self, disk: &str, task: &str, done: u64, total: u64) {
        self.services.progress(&Progress::new(task, Some(disk), done, total));
    }

    /// Whether the run was asked to stop.
    pub fn cancelled(&self) -> bool {
        self.services.cancelled()
    }

    /// `Err(interrupted)` when the run was asked to stop.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancelled() { Err(PluginError::interrupted()) } else { Ok(()) }
    }

    /// The text of the secret of this name, or `None`. Only those are given that the manifest names, or that were lent.
    pub fn secret(&self, name: &str) -> Result<Option<String>> {
        let not_text = |_| PluginError::config(format!("the secret {name} is not UTF-8 text"));
        self.services.secret(name)?.map(String::from_utf8).transpose().map_err(not_text)
    }

    /// The bytes of the secret of this name, or `None`.
    pub fn secret_bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.services.secret(name)
    }

    /// Lends a secret, such as a session, to the other plugins of this run, and returns the name by which they get it.
    pub fn lend_secret(&self, value: &[u8]) -> Result<String> {
        self.services.lend_secret(value)
    }

    /// A warning for the user, which stands in the report, too.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.services.warn(message.as_ref());
    }

    /// A folder of this plugin's own on the file system of the output: absolute path, mode 0700. A later run of the same job finds it as it
    /// was; it goes when the run has come to its end.
    pub fn folder(&self) -> Result<String> {
        self.services.folder()
    }

    /// Waits for one of `limit` places by this name, which the processes of this user on this machine share, as far as they have the same
    /// `$XDG_RUNTIME_DIR`: `esx:NAME`, `datastore:NAME`. Held until the answer is dropped.
    pub fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        self.services.slot(name, limit)
    }
}
