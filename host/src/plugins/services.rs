//! What a plugin gets from the host: progress and log records become events, the cancel flag and secrets are handed through.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{HostServices, LogRecord, PluginError, Progress, Result, Slot};

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

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        use std::io::Read;
        let Some(path) = self.files.get(name) else { return Ok(None) };
        let failed = |error| PluginError::from_io(format_args!("the secret file {}", path.display()), &error);
        let mut bytes = Vec::new();
        std::fs::File::open(path).map_err(failed)?.take(SECRET_LIMIT).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.ends_with(b"\n") {
            bytes.pop();
        }
        Ok(Some(bytes))
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
    disks: Arc<Mutex<Vec<String>>>,
    /// Secrets that a plugin lent to the others, by the names they were given.
    lent: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Services {
    /// Services that send to `events` and stop when `cancel` is set.
    pub fn new(events: EventSink, cancel: Arc<AtomicBool>, secrets: SecretStore, level: LogLevel) -> Self {
        Self {
            events,
            cancel,
            secrets: Arc::new(secrets),
            level,
            stage: Arc::default(),
            warnings: Arc::default(),
            disks: Arc::default(),
            lent: Arc::default(),
        }
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

    /// Names the VM's disks, by which plugins call them in their progress.
    pub fn set_disks(&self, names: Vec<String>) {
        *self.disks.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Says what the stage in the foreground does from now on, where no bytes are counted.
    pub fn step(&self, name: &str) {
        self.progress(&Progress::new(name, None, 0, 0));
    }

    fn progress(&self, progress: &Progress<'_>) {
        let (stage, task) = (self.stage(), progress.task.chars().take(100).collect());
        let disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        let index = progress.disk.and_then(|name| disks.iter().position(|known| known == name));
        let disk = index.and_then(|index| u32::try_from(index).ok());
        drop(disks);
        let (done_bytes, total_bytes) = (progress.done, progress.total);
        self.events.emit(Event::Progress { stage, task, disk, done_bytes, total_bytes });
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
    fn progress(&self, progress: &Progress<'_>) {
        self.services.progress(progress);
    }

    fn cancelled(&self) -> bool {
        self.services.cancel.load(Ordering::Relaxed)
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let lent = self.services.lent.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if lent.is_some() { Ok(lent) } else { self.services.secrets.read(name) }
    }

    fn lend_secret(&self, value: &[u8]) -> Result<String> {
        let mut lent = self.services.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("lent-{}", lent.len() + 1);
        lent.insert(name.clone(), value.to_vec());
        Ok(name)
    }

    fn warn(&self, message: &str) {
        self.services.warn(message);
    }

    fn folder(&self) -> Result<String> {
        Err(PluginError::cannot("giving a folder"))
    }

    fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        let _ = (name, limit);
        Err(PluginError::cannot("giving a place"))
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
