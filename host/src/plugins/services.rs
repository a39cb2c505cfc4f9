//! What a plugin gets from the host: progress and log records become events, the cancel flag and secrets are handed through.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmdk2kvm_plugin_api::{HostServices, LogRecord, Manifest, PluginError, Progress, Result, Slot};

use super::secrets::{Found, SecretStore};
use super::slots;
use crate::events::{Event, EventSink, LogLevel, Stage};
use crate::journal::create_private_folder;

/// Where the kernel gives random bytes (random(4)).
const RANDOM: &str = "/dev/urandom";

/// Plugins, by their names, that are treated unlike the others.
#[derive(Default)]
struct Apart {
    /// They are to stop.
    stopped: BTreeSet<String>,
    /// Nobody is told of their progress.
    silent: BTreeSet<String>,
}

/// Plugins that can be stopped although the run goes on. Once it is dropped they are as all others.
pub struct Leash {
    services: Services,
    plugins: Vec<String>,
}

impl Leash {
    /// Has them stop what they do.
    pub fn stop(&self) {
        self.services.apart().stopped.extend(self.plugins.iter().cloned());
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.services.apart().stopped.retain(|name| !self.plugins.contains(name));
    }
}

/// The services of one run; clones share everything.
#[derive(Clone)]
pub struct Services {
    events: EventSink,
    cancel: Arc<AtomicBool>,
    /// Plugins are not told of the flag.
    unheard: Arc<AtomicBool>,
    /// Plugins that are treated unlike the others.
    apart: Arc<Mutex<Apart>>,
    secrets: Arc<SecretStore>,
    level: LogLevel,
    stage: Arc<AtomicU8>,
    warnings: Arc<Mutex<Vec<String>>>,
    disks: Arc<Mutex<Vec<String>>>,
    /// Secrets that a plugin lent to the others, by the names they were given.
    lent: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Where plugins have folders of their own.
    folders: Arc<Mutex<Option<PathBuf>>>,
}

impl Services {
    /// Services that send to `events` and stop when `cancel` is set.
    pub fn new(events: EventSink, cancel: Arc<AtomicBool>, secrets: SecretStore, level: LogLevel) -> Self {
        Self {
            events,
            cancel,
            unheard: Arc::default(),
            apart: Arc::default(),
            secrets: Arc::new(secrets),
            level,
            stage: Arc::default(),
            warnings: Arc::default(),
            disks: Arc::default(),
            lent: Arc::default(),
            folders: Arc::default(),
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

    /// Does what must also be done when the run is stopped: plugins do not hear of that meanwhile.
    pub fn undisturbed<T>(&self, work: impl FnOnce() -> T) -> T {
        self.unheard.store(true, Ordering::Relaxed);
        let done = work();
        self.unheard.store(false, Ordering::Relaxed);
        done
    }

    /// Whether plugins are to stop.
    fn stops_plugins(&self) -> bool {
        self.cancel.load(Ordering::Relaxed) && !self.unheard.load(Ordering::Relaxed)
    }

    /// Lets plugins, by their names, be stopped although the run goes on.
    pub fn leash(&self, plugins: Vec<String>) -> Leash {
        Leash { services: self.clone(), plugins }
    }

    /// Does what nobody is told the progress of as far as this plugin does it.
    pub fn in_silence<T>(&self, plugin: &str, work: impl FnOnce() -> T) -> T {
        /// Ends it, however the work ends.
        struct Silence<'a>(&'a Services, &'a str);
        impl Drop for Silence<'_> {
            fn drop(&mut self) {
                self.0.apart().silent.remove(self.1);
            }
        }
        self.apart().silent.insert(plugin.to_owned());
        let _silence = Silence(self, plugin);
        work()
    }

    fn apart(&self) -> MutexGuard<'_, Apart> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one of so many places of this name, which all runs of this user on this machine share. It is given back when this is dropped.
    pub fn place(&self, name: &str, limit: u32) -> Result<Slot> {
        let stop = || self.cancel.load(Ordering::Relaxed);
        slots::take(&slots::slots_folder()?, name, limit, &stop).map(Slot::new)
    }

    /// Says which stage is in the foreground: what plugins report as progress belongs to it.
    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Names the VM's disks, by which plugins call them in their progress.
    pub fn set_disks(&self, names: Vec<String>) {
        *self.disks.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Says where plugins have folders of their own.
    pub fn set_folders(&self, base: &Path) {
        *self.folders.lock().unwrap_or_else(PoisonError::into_inner) = Some(base.to_owned());
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
    pub fn for_plugin(&self, manifest: &Manifest) -> Arc<dyn HostServices> {
        Arc::new(ForPlugin { services: self.clone(), manifest: manifest.clone() })
    }
}

/// A number that nobody can guess.
fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    let read = std::fs::File::open(RANDOM).and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|error| PluginError::from_io(RANDOM, &error))?;
    Ok(u128::from_ne_bytes(bytes))
}

struct ForPlugin {
    services: Services,
    manifest: Manifest,
}

impl HostServices for ForPlugin {
    fn progress(&self, progress: &Progress<'_>) {
        if !self.services.apart().silent.contains(&self.manifest.name) {
            self.services.progress(progress);
        }
    }

    fn cancelled(&self) -> bool {
        self.services.stops_plugins() || self.services.apart().stopped.contains(&self.manifest.name)
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        // Whoever knows the name of a lent one was told it.
        if let Some(lent) = self.services.lent.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Some(lent.clone()));
        }
        if !self.manifest.may_ask_for(name) {
            return Ok(None);
        }
        let Some(Found { bytes, warning }) = self.services.secrets.read(name)? else { return Ok(None) };
        if let Some(warning) = warning {
            self.services.warn(warning);
        }
        Ok(Some(bytes))
    }

    fn lend_secret(&self, value: &[u8]) -> Result<String> {
        // No job can name a secret like this, and no plugin can guess it: who knows the name was told it.
        let name = format!("lent:{:032x}", random()?);
        self.services.lent.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), value.to_vec());
        Ok(name)
    }

    fn warn(&self, message: &str) {
        self.services.warn(message);
    }

    fn folder(&self) -> Result<String> {
        let base = self.services.folders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let base = base.ok_or_else(|| PluginError::cannot("giving a folder"))?;
        let folder = base.join(&self.manifest.name);
        create_private_folder(&folder)?;
        let text = folder.to_str().map(str::to_owned);
        text.ok_or_else(|| PluginError::output(format!("{}: the name is not UTF-8", folder.display())))
    }

    fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        slots::take(&slots::slots_folder()?, name, limit, &|| self.cancelled()).map(Slot::new)
    }

    fn log(&self, record: &LogRecord) {
        let level = LogLevel::from_number(record.level);
        if level <= self.services.level {
            self.services.events.emit(Event::Log {
                level,
                target: record.target.clone(),
                plugin: Some(self.manifest.name.clone()),
                message: record.message.clone(),
            });
        }
    }

    fn log_level(&self) -> u8 {
        self.services.level.as_number()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::events::Phases;

    fn services(folder: &Path) -> Services {
        let events = EventSink::default();
        let store = SecretStore::of_files([("password", folder.join("p")), ("key:all", folder.join("k"))]);
        Services::new(events, Arc::default(), store, LogLevel::Off)
    }

    fn manifest(name: &str, secrets: &str) -> Manifest {
        let text = format!(
            r#"{{"schema":1,"name":"{name}","version":"1.0.0","api":"1.0.0","summary":"x","license":"MIT","kinds":[],"secrets":{secrets}}}"#
        );
        Manifest::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_plugin_gets_the_secrets_that_its_manifest_names_and_those_it_was_lent() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p"), "one").unwrap();
        std::fs::write(folder.path().join("k"), "two").unwrap();
        let services = services(folder.path());
        let nosy = services.for_plugin(&manifest("nosy", "[]"));
        let keys = services.for_plugin(&manifest("keys", r#"["key:*"]"#));
        let client = services.for_plugin(&manifest("client", r#"["password"]"#));
        for (plugin, password, key) in [(&nosy, None, None), (&keys, None, Some("two")), (&client, Some("one"), None)] {
            let secret = |name| plugin.secret(name).unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!((secret("password").as_deref(), secret("key:all").as_deref()), (password, key));
        }
        let name = client.lend_secret(b"session").unwrap();
        assert_eq!(nosy.secret(&name).unwrap().as_deref(), Some(&b"session"[..]));
        assert_ne!(client.lend_secret(b"session").unwrap(), name);
        for guess in ["lent:", "lent:1", "lent:2", &name[..name.len() - 1]] {
            assert_eq!(nosy.secret(guess).unwrap(), None);
        }
        // It stands in no warning, and thus in no event and no report.
        let told = format!("{:?}", services.warnings());
        assert!(!["one", "two", "session"].iter().any(|secret| told.contains(secret)), "{told}");
    }

    #[test]
    fn a_plugin_on_a_leash_is_stopped_alone_and_not_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let services = services(folder.path());
        let (one, two) = (services.for_plugin(&manifest("one", "[]")), services.for_plugin(&manifest("two", "[]")));
        let leash = services.leash(vec!["one".to_owned()]);
        assert!(!one.cancelled());
        leash.stop();
        assert_eq!((one.cancelled(), two.cancelled()), (true, false));
        drop(leash);
        assert!(!one.cancelled());
    }

    #[test]
    fn nobody_is_told_what_is_done_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        let services = services(folder.path());
        let told = Phases::default();
        services.events().add(Box::new(told.clone()));
        let (one, two) = (services.for_plugin(&manifest("one", "[]")), services.for_plugin(&manifest("two", "[]")));
        services.set_stage(Stage::Inspect);
        services.in_silence("one", || {
            one.progress(&Progress::new("mount", None, 0, 0));
            two.progress(&Progress::new("start", None, 0, 0));
        });
        let panics = || services.in_silence("one", || panic!("as a look may"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        one.progress(&Progress::new("inspect", None, 0, 0));
        let names = told.end(Stage::Inspect, Instant::now()).into_iter().map(|phase| phase.name).collect::<Vec<_>>();
        assert_eq!(names, ["start", "inspect"]);
    }

    #[test]
    fn each_plugin_has_a_folder_of_its_own_that_nobody_else_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let services = services(base.path());
        let (one, two) = (services.for_plugin(&manifest("one", "[]")), services.for_plugin(&manifest("two", "[]")));
        assert_eq!(one.folder().unwrap_err().kind, vmdk2kvm_plugin_api::ErrorKind::Cannot);
        services.set_folders(base.path());
        let folder = one.folder().unwrap();
        assert_eq!(Path::new(&folder), base.path().join("one"));
        assert_ne!(folder, two.folder().unwrap());
        std::fs::write(Path::new(&folder).join("kept"), "").unwrap();
        assert_eq!(one.folder().unwrap(), folder);
        assert!(Path::new(&folder).join("kept").exists());
        assert_eq!(Path::new(&folder).metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
