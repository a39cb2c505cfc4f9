//! The host as a plugin in a process of its own has it: news are sent, questions are answered from the other side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;
use vmdk2kvm_plugin_api::{HostServices, LogRecord, PluginError, Progress, Result, Slot};

use super::channel::{Channel, is_too_long, too_long_to_send};
use super::message::{FromPlugin, News, Question};

pub(super) struct FarHost {
    channel: Arc<Channel>,
    log_level: u8,
    cancelled: AtomicBool,
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Sender<Result<Value>>>>,
}

impl FarHost {
    pub(super) fn new(channel: Arc<Channel>, log_level: u8) -> Self {
        Self {
            channel,
            log_level,
            cancelled: AtomicBool::new(false),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        }
    }

    /// Whether the run is to stop.
    pub(super) fn set_cancelled(&self, cancelled: bool) {
        self.cancelled.store(cancelled, Ordering::Relaxed);
    }

    /// An answer has come.
    pub(super) fn told(&self, id: u64, answer: Result<Value>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // Who asked may be gone.
        waiting.map(|waiting| waiting.send(answer));
    }

    fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<T> {
        self.ask_as(self.next.fetch_add(1, Ordering::Relaxed), question)
    }

    fn ask_as<T: DeserializeOwned>(&self, id: u64, question: Question) -> Result<T> {
        let (sender, answer) = channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        if let Err(error) = self.channel.send(&FromPlugin::Ask(id, question)) {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let is_too_long = is_too_long(&error);
            return Err(if is_too_long {
                too_long_to_send("a question to the host")
            } else {
                PluginError::interrupted()
            });
        }
        let answer = answer.recv().map_err(|_| PluginError::interrupted())??;
        serde_json::from_value(answer)
            .map_err(|error| PluginError::defect(format!("the host's answer cannot be read: {error}")))
    }

    fn tell(&self, news: News) {
        // A host that is gone ends this process.
        let _ = self.channel.send(&FromPlugin::Tell(news));
    }
}

impl HostServices for FarHost {
    fn progress(&self, progress: &Progress<'_>) {
        self.tell(News::Progress {
            task: progress.task.to_owned(),
            disk: progress.disk.map(str::to_owned),
            done: progress.done,
            total: progress.total,
        });
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.ask(Question::Secret(name.to_owned()))
    }

    fn lend_secret(&self, value: &[u8]) -> Result<String> {
        self.ask(Question::LendSecret(value.to_vec()))
    }

    fn warn(&self, message: &str) {
        self.tell(News::Warn(message.to_owned()));
    }

    fn folder(&self) -> Result<String> {
        self.ask(Question::Folder)
    }

    fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.ask_as::<()>(id, Question::Slot(name.to_owned(), limit))?;
        Ok(Slot::new(HeldSlot { channel: Arc::clone(&self.channel), id }))
    }

    fn log(&self, record: &LogRecord) {
        self.tell(News::Log(record.clone()));
    }

    fn log_level(&self) -> u8 {
        self.log_level
    }
}

/// A place that the host holds for this process.
struct HeldSlot {
    channel: Arc<Channel>,
    id: u64,
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        // A host that is gone holds nothing.
        let _ = self.channel.send(&FromPlugin::Tell(News::SlotBack(self.id)));
    }
}
