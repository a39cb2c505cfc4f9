//! A host that records what a plugin tells it, and can cancel.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use vmdk2kvm_conformance::CancelSwitch;
use vmdk2kvm_plugin_api::{Host, HostServices, LogRecord, PluginError, Progress, Result, Slot};

/// A host for tests. Clones are the same host.
///
/// ```
/// use vmdk2kvm_plugin_testing::FakeHost;
///
/// let fake = FakeHost::new().with_secret("key:all", "opensesame");
/// let host = fake.host(serde_json::json!({"threads": 2})); // what `Plugin::new` gets
/// host.progress("copy", 512, 1024);
/// assert_eq!(fake.progress()[0].done, 512);
/// fake.cancel();
/// assert!(host.check_cancelled().is_err());
/// ```
#[derive(Clone, Default)]
pub struct FakeHost(Arc<State>);

#[derive(Default)]
struct State {
    cancelled: AtomicBool,
    /// Progress of so many bytes cancels; 0 never does.
    cancel_at: AtomicU64,
    /// From then on it is cancelled.
    deadline: Mutex<Option<Instant>>,
    progress: Mutex<Vec<Reported>>,
    logs: Mutex<Vec<LogRecord>>,
    secrets: Mutex<BTreeMap<String, Vec<u8>>>,
    warnings: Mutex<Vec<String>>,
    folder: Mutex<Option<String>>,
    places: Mutex<BTreeMap<String, u32>>,
    freed: Condvar,
}

/// A report of progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// The task's name.
    pub task: String,
    /// The disk that it works on.
    pub disk: Option<String>,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; 0: not known.
    pub total: u64,
}

impl FakeHost {
    /// A host that has said and heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same host with a secret.
    #[must_use]
    pub fn with_secret(self, name: &str, value: &str) -> Self {
        lock(&self.0.secrets).insert(name.to_owned(), value.as_bytes().to_vec());
        self
    }

    /// What a plugin is made with: this host, and its settings as the job's table `[plugin.NAME]` would have them.
    pub fn host(&self, settings: Value) -> Host {
        Host::new(self.services(), settings)
    }

    /// What a plugin is made with when the job has no table for it.
    pub fn without_settings(&self) -> Host {
        self.host(Value::Object(Map::new()))
    }

    /// The services alone.
    pub fn services(&self) -> Arc<dyn HostServices> {
        Arc::new(self.clone())
    }

    /// Asks the plugin to stop, from now on.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Asks the plugin to stop when it reports that so many bytes are done.
    pub fn cancel_at(&self, done: u64) {
        self.0.cancel_at.store(done, Ordering::Relaxed);
    }

    /// Asks the plugin to stop when this time has passed.
    pub fn cancel_after(&self, time: Duration) {
        *lock(&self.0.deadline) = Some(Instant::now() + time);
    }

    /// Forgets that the plugin was asked to stop.
    pub fn resume(&self) {
        self.0.cancel_at.store(0, Ordering::Relaxed);
        *lock(&self.0.deadline) = None;
        self.0.cancelled.store(false, Ordering::Relaxed);
    }

    /// Every report of progress so far.
    pub fn progress(&self) -> Vec<Reported> {
        lock(&self.0.progress).clone()
    }

    /// The same host with a folder for the plugin's own files.
    #[must_use]
    pub fn with_folder(self, folder: &std::path::Path) -> Self {
        *lock(&self.0.folder) = Some(folder.to_string_lossy().into_owned());
        self
    }

    /// Every warning so far.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.0.warnings).clone()
    }

    /// Every log record so far.
    pub fn logs(&self) -> Vec<LogRecord> {
        lock(&self.0.logs).clone()
    }
}

impl HostServices for FakeHost {
    fn progress(&self, progress: &Progress<'_>) {
        let Progress { task, disk, done, total, .. } = *progress;
        let reported = Reported { task: task.to_owned(), disk: disk.map(str::to_owned), done, total };
        lock(&self.0.progress).push(reported);
        let limit = self.0.cancel_at.load(Ordering::Relaxed);
        if limit > 0 && done >= limit {
            self.cancel();
        }
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed) || lock(&self.0.deadline).is_some_and(|at| Instant::now() >= at)
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(lock(&self.0.secrets).get(name).cloned())
    }

    fn log(&self, record: &LogRecord) {
        lock(&self.0.logs).push(record.clone());
    }

    fn log_level(&self) -> u8 {
        5
    }

    fn lend_secret(&self, value: &[u8]) -> Result<String> {
        let mut secrets = lock(&self.0.secrets);
        let name = format!("lent-{}", secrets.len());
        secrets.insert(name.clone(), value.to_vec());
        Ok(name)
    }

    fn warn(&self, message: &str) {
        lock(&self.0.warnings).push(message.to_owned());
    }

    fn folder(&self) -> Result<String> {
        lock(&self.0.folder).clone().ok_or_else(|| PluginError::output("this host was made without a folder"))
    }

    fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        let mut places = lock(&self.0.places);
        while places.get(name).copied().unwrap_or(0) >= limit.max(1) {
            places = self.0.freed.wait(places).unwrap_or_else(PoisonError::into_inner);
        }
        *places.entry(name.to_owned()).or_default() += 1;
        Ok(Slot::new(Place { host: self.clone(), name: name.to_owned() }))
    }
}

/// A place that is taken.
struct Place {
    host: FakeHost,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(taken) = lock(&self.host.0.places).get_mut(&self.name) {
            *taken -= 1;
        }
        self.host.0.freed.notify_all();
    }
}

impl CancelSwitch for FakeHost {
    fn cancel(&self) {
        Self::cancel(self);
    }

    fn resume(&self) {
        Self::resume(self);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancels_when_so_much_is_done() {
        let fake = FakeHost::new();
        let host = fake.without_settings();
        fake.cancel_at(100);
        host.progress("copy", 99, 0);
        assert!(!host.cancelled());
        host.progress("copy", 100, 0);
        assert!(host.cancelled());
        fake.resume();
        assert!(!host.cancelled());
        assert_eq!(fake.progress().len(), 2);
    }
}
