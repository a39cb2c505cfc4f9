//! What a plugin gets from the host: progress and log records become events, the cancel flag and secrets are handed through.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{HostServices, LogRecord, PluginError, Result};

use crate::config::KeySource;
use crate::events::{Event, EventSink, LogLevel, Stage};

/// No secret is longer than this, in bytes.
const SECRET_LIMIT: u64 = 1 << 20;

/// Where secrets are, by name. The values are read when they are asked for and are never kept.
#[derive(Debug, Clone, Default)]
pub struct SecretStore {
    files: BTreeMap<String, PathBuf>,
}

impl SecretStore {
    /// The keys of encrypted volumes: each under `key:SELECTOR`.
    pub fn from_keys(keys: &[KeySource]) -> Self {
        Self { files: keys.iter().map(|key| (Self::key_name(&key.selector), key.file.clone())).collect() }
    }

    /// The name of the secret for a selector.
    pub fn key_name(selector: &str) -> String {
        format!("key:{selector}")
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        use std::io::Read;
        let Some(path) = self.files.get(name) else { return Ok(None) };
        let failed = |error| PluginError::from_io(format_args!("the secret file {}", path.display()), &error);
        let mut text = String::new();
        std::fs::File::open(path).map_err(failed)?.take(SECRET_LIMIT).read_to_string(&mut text).map_err(failed)?;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(Some(text))
    }
}

/// The services of one run; clones share everything.
#[derive(Clone)]
pub struct Services {
    events: EventSink,
    cancel: Arc<AtomicBool>,
    secrets: Arc<SecretStore>,
    level: LogLevel,
    stage: Arc<AtomicU8>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Services {
    /// Services that send to `events` and stop when `cancel` is set.
    pub fn new(events: EventSink, cancel: Arc<AtomicBool>, secrets: SecretStore, level: LogLevel) -> Self {
        Self { events, cancel, secrets: Arc::new(secrets), level, stage: Arc::default(), warnings: Arc::default() }
    }

    /// Where events go.
    pub fn events(&self) -> &EventSink {
        &self.events
    }

    /// Tells the user something although the run goes on, once; it ends up in the report, too.
    pub fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&message) {
            warnings.push(message.clone());
            drop(warnings);
            self.events.warn(message);
        }
    }

    /// The warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cancel flag.
    pub fn cancel(&self) -> &Arc<AtomicBool> {
        &self.cancel
    }

    /// Says which stage is in the foreground: what plugins report as progress belongs to it.
    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Says what the stage in the foreground does from now on, where no bytes are counted.
    pub fn step(&self, name: &str) {
        self.progress(name, 0, 0);
    }

    fn progress(&self, task: &str, done_bytes: u64, total_bytes: u64) {
        let (stage, task) = (self.stage(), task.chars().take(100).collect());
        self.events.emit(Event::Progress { stage, task, disk: None, done_bytes, total_bytes });
    }

    fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Relaxed)).min(Stage::ALL.len() - 1)]
    }

    /// The services as one plugin sees them.
    pub fn for_plugin(&self, name: &str) -> Arc<dyn HostServices> {
        Arc::new(ForPlugin { services: self.clone(), plugin: name.to_owned() })
    }
}

struct ForPlugin {
    services: Services,
    plugin: String,
}

impl HostServices for ForPlugin {
    fn progress(&self, task: &str, done: u64, total: u64) {
        self.services.progress(task, done, total);
    }

    fn cancelled(&self) -> bool {
        self.services.cancel.load(Ordering::Relaxed)
    }

    fn secret(&self, name: &str) -> Result<Option<String>> {
        self.services.secrets.read(name)
    }

    fn log(&self, record: &LogRecord) {
        let level = LogLevel::from_number(record.level);
        if level <= self.services.level {
            self.services.events.emit(Event::Log {
                level,
                target: record.target.clone(),
                plugin: Some(self.plugin.clone()),
                message: record.message.clone(),
            });
        }
    }

    fn log_level(&self) -> u8 {
        self.services.level.as_number()
    }
}
