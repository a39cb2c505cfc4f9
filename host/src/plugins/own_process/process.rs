//! The process of a plugin as the host has it: calls under way, questions that are answered, and its end.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vmdk2kvm_plugin_api::{Extent, HostServices, Manifest, PluginError, Progress, Result, Slot};

use super::channel::{Channel, is_too_long, too_long_to_send};
use super::death;
use super::environment::variables;
use super::lanes::{Lanes, Lost};
use super::message::{Call, FromPlugin, News, Object, Question, Start, ToPlugin};
use super::start::{End, start};
use crate::copy::PATIENCE;
use crate::plugins::discovery::Candidate;

/// How often it is asked whether the run is to stop.
const TICK: Duration = Duration::from_millis(100);

/// How long the process may take to end when its work is over: what it drops may say goodbye to a server far away.
const GOODBYES: Duration = Duration::from_secs(10);

/// How long the end of a process that is gone may take to be known.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running process with one plugin.
pub(super) struct Process {
    /// `name version` of the plugin.
    pub label: String,
    has_fetcher: bool,
    pid: u32,
    link: Arc<Link>,
    lanes: Lanes,
    end: Mutex<Ending>,
}

/// What the thread that listens shares with those that call.
struct Link {
    channel: Channel,
    services: Arc<dyn HostServices>,
    state: Mutex<State>,
    next: AtomicU64,
    /// What the process was last told of it.
    told_to_stop: Mutex<bool>,
}

#[derive(Default)]
struct State {
    /// Who waits for which answer.
    waiting: BTreeMap<u64, Sender<Result<Value>>>,
    /// Places that it holds, by the numbers of its questions.
    slots: BTreeMap<u64, Slot>,
    /// Nothing more will be said. With the reason, when that is not the process's end.
    over: Option<Option<String>>,
}

impl Process {
    pub(super) fn start(
        candidate: &Candidate,
        manifest: &Manifest,
        services: Arc<dyn HostServices>,
        settings: &Value,
    ) -> Result<Arc<Self>> {
        let failed = |error: std::io::Error| PluginError::io(format!("its process cannot be started: {error}"));
        let variables = variables(manifest, settings)?;
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let (door, their_door) = UnixStream::pair().map_err(failed)?;
        let (pid, end) = start(&manifest.name, variables, theirs, their_door)?;
        let first = Start {
            path: candidate.path.clone(),
            kind: candidate.kind,
            digest: candidate.digest.clone(),
            manifest: manifest.clone(),
            settings: settings.clone(),
            log_level: services.log_level(),
        };
        let link = Arc::new(Link {
            channel: Channel::new(ours),
            services,
            state: Mutex::default(),
            next: AtomicU64::new(1),
            told_to_stop: Mutex::default(),
        });
        let mut process = Self {
            label: format!("{} {}", manifest.name, manifest.version),
            has_fetcher: false,
            pid,
            link: Arc::clone(&link),
            lanes: Lanes::new(door, PATIENCE),
            end: Mutex::new(Ending { coming: end, known: None }),
        };
        let (started, has_started) = channel();
        let listener = Arc::clone(&link);
        std::thread::Builder::new()
            .name("plugin-answers".to_owned())
            .spawn(move || listener.listen(&started))
            .map_err(failed)?;
        let sent = link.channel.send(&ToPlugin::Start(Box::new(first)));
        process.has_fetcher = match sent.ok().and_then(|()| process.wait(&has_started)) {
            Some(answer) => answer?,
            None => return Err(process.death("loading")),
        };
        Ok(Arc::new(process))
    }

    pub(super) fn has_fetcher(&self) -> bool {
        self.has_fetcher
    }

    /// Whether the run is to stop. The plugin is told, too.
    fn cancelled(&self) -> bool {
        self.pass_cancel_on();
        self.link.services.cancelled()
    }

    /// Calls the plugin.
    pub(super) fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let method = call.method();
        // What holds for this call is known before it.
        self.pass_cancel_on();
        let id = self.link.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = channel();
        {
            let mut state = self.link.lock();
            if state.over.is_some() {
                drop(state);
                return Err(self.death(method));
            }
            state.waiting.insert(id, sender);
        }
        if let Err(error) = self.link.channel.send(&ToPlugin::Call(id, call)) {
            self.link.lock().waiting.remove(&id);
            if is_too_long(&error) {
                return Err(too_long_to_send(&format!("the question of {method}")));
            }
            tracing::debug!("a call of {method} cannot be sent: {error}");
            return Err(self.death(method));
        }
        let Some(answer) = self.wait(&answer) else { return Err(self.death(method)) };
        let answer = answer.map_err(|mut error| {
            error.plugin.get_or_insert_with(|| self.label.clone());
            error
        })?;
        serde_json::from_value(answer).map_err(|error| {
            let message = format!("{method} gave an answer that cannot be read: {error}");
            PluginError::defect(message).blamed_on(&self.label)
        })
    }

    /// Waits for something from the listening thread; `None` when it is over. Passes a wish to stop on: the plugin decides what that means.
    fn wait<T>(&self, from: &Receiver<T>) -> Option<T> {
        loop {
            match from.recv_timeout(TICK) {
                Ok(value) => return Some(value),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => self.pass_cancel_on(),
            }
        }
    }

    /// Tells the process that the run is to stop, and when that is taken back.
    fn pass_cancel_on(&self) {
        let link = &self.link;
        // Under the lock, so that what is told last is what was asked last.
        let mut told = link.told_to_stop.lock().unwrap_or_else(PoisonError::into_inner);
        let cancelled = link.services.cancelled();
        if cancelled != *told {
            *told = cancelled;
            // A process that is gone has stopped.
            let _ = link.channel.send(&ToPlugin::Cancel(cancelled));
        }
    }

    /// An object is needed no more.
    pub(super) fn forget(&self, object: Object) {
        // A process that is gone has no objects.
        let _ = self.link.channel.send(&ToPlugin::Drop(object));
    }

    /// Reads a part of a source.
    pub(super) fn read(&self, source: Object, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = self.lanes.read(source, offset, buffer, &|| self.cancelled());
        read.map_err(|lost| self.lost(lost, "BlockSource::read_at"))
    }

    /// What a part of a source holds.
    pub(super) fn extents(&self, source: Object, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let extents = self.lanes.extents(source, offset, length, &|| self.cancelled());
        extents.map_err(|lost| self.lost(lost, "BlockSource::extents"))
    }

    /// The error for what was asked on a lane.
    fn lost(&self, lost: Lost, method: &'static str) -> PluginError {
        match lost {
            Lost::Said(mut error) => {
                error.plugin.get_or_insert_with(|| self.label.clone());
                error
            }
            Lost::Cancelled => PluginError::interrupted(),
            Lost::Late(_) => death::silent(&self.label, method),
            Lost::Closed => self.death(method),
            Lost::Broken(why) => death::error(&self.label, method, Some(&why), None),
            Lost::Failed(why) => {
                PluginError::io(format!("no memory can be shared with the process of the plugin {}: {why}", self.label))
            }
        }
    }

    /// The error for a call of a process that is gone, or that is made to go because it does not speak sense.
    fn death(&self, method: &'static str) -> PluginError {
        // The socket may be known to be closed before the listening thread knows.
        self.link.channel.close();
        let why = self.link.lock().over.clone().flatten();
        if why.is_some() {
            self.kill();
        }
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).within(LAST_WORDS);
        death::error(&self.label, method, why.as_deref(), end.as_ref())
    }

    fn kill(&self) {
        let mut ending = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        // A process whose end is known has no number any more; until the thread that waits for it says so, it has.
        if ending.within(Duration::ZERO).is_none() {
            if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                // One that is gone needs no killing.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process ends when nobody speaks to it any more.
        self.link.channel.close();
        let ended = self.end.lock().unwrap_or_else(PoisonError::into_inner).within(GOODBYES).is_some();
        if !ended {
            self.kill();
        }
    }
}

/// The end of the process, as soon as it is known.
struct Ending {
    coming: Receiver<End>,
    known: Option<End>,
}

impl Ending {
    fn within(&mut self, time: Duration) -> Option<End> {
        if self.known.is_none() {
            self.known = self.coming.recv_timeout(time).ok();
        }
        self.known.clone()
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the process says, until it says no more.
    fn listen(self: Arc<Self>, started: &Sender<Result<bool>>) {
        let why = loop {
            match self.channel.receive() {
                Ok(Some(said)) => self.take(said, started),
                Ok(None) => break None,
                // Cut off by the process's death.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        let mut state = self.lock();
        state.over = Some(why);
        // Dropping who waits for an answer tells them.
        state.waiting.clear();
        state.slots.clear();
    }

    fn take(self: &Arc<Self>, said: FromPlugin, started: &Sender<Result<bool>>) {
        match said {
            // Nobody waits any more when the start was given up.
            FromPlugin::Started(answer) => drop(started.send(answer)),
            FromPlugin::Answer(id, answer) => {
                let waiting = self.lock().waiting.remove(&id);
                // An answer that nobody waits for is of a call that was given up.
                waiting.map(|waiting| waiting.send(answer));
            }
            FromPlugin::Tell(news) => self.hear(news),
            FromPlugin::Ask(id, question) => {
                // Not here: an answer may take its time.
                let link = Arc::clone(self);
                let answering = std::thread::Builder::new().name("plugin-question".to_owned());
                // Without a thread the answer is due all the same.
                if answering.spawn(move || link.tell(id, &question)).is_err() {
                    let error = PluginError::io("no thread could be started to answer the plugin");
                    let _ = self.channel.send(&ToPlugin::Told(id, Err(error)));
                }
            }
        }
    }

    fn hear(&self, news: News) {
        match news {
            News::Progress { task, disk, done, total } => {
                self.services.progress(&Progress::new(&task, disk.as_deref(), done, total));
            }
            News::Log(record) => self.services.log(&record),
            News::Warn(message) => self.services.warn(&message),
            News::SlotBack(id) => drop(self.lock().slots.remove(&id)),
        }
    }

    fn tell(&self, id: u64, question: &Question) {
        let answer = match question {
            Question::Secret(name) => self.services.secret(name).map(|secret| json!(secret)),
            Question::LendSecret(value) => self.services.lend_secret(value).map(|name| json!(name)),
            Question::Folder => self.services.folder().map(|folder| json!(folder)),
            Question::Slot(name, limit) => self.services.slot(name, *limit).map(|slot| {
                let mut state = self.lock();
                // A process that is gone gives no place back.
                if state.over.is_none() {
                    state.slots.insert(id, slot);
                }
                Value::Null
            }),
        };
        // A process that is gone needs no answer.
        let _ = self.channel.send_answer("the host's answer", answer, |answer| ToPlugin::Told(id, answer));
    }
}
