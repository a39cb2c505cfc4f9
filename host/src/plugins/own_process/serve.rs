//! In the plugin's process: loads the plugin, answers calls, serves its disks, and ends when the host does.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;
use serde_json::{Value, json};
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, Fetcher, HostServices, PluginError, Result, Transport};

use super::channel::Channel;
use super::error_text::Documented;
use super::far_host::FarHost;
use super::message::{Call, FromPlugin, Object, OpenedSource, Start, ToPlugin};
use crate::nbd::Export;
use crate::plugins::Loaded;
use crate::plugins::discovery::examine_as;
use crate::worker::{crash, signals};

/// Is the home of one plugin, for as long as the host on standard input wants it. Returns the exit code.
pub fn serve() -> u8 {
    crash::install();
    signals::leave_to_parent();
    let Ok(channel) = take_stdin().map(|stream| Arc::new(Channel::new(stream))) else {
        return ErrorKind::Defect.exit_code();
    };
    let Ok(Some(ToPlugin::Start(start))) = channel.receive() else { return ErrorKind::Usage.exit_code() };
    let host = Arc::new(FarHost::new(Arc::clone(&channel), start.log_level));
    let folder = start.folder.clone();
    // Loading may ask the host, whose answers are taken below.
    let (loading_channel, loading_host) = (Arc::clone(&channel), Arc::clone(&host));
    let home = Arc::new(Home { fetcher: Mutex::default(), objects: Objects::default(), folder });
    let loading_home = Arc::clone(&home);
    std::thread::spawn(move || {
        let loaded = load(&start, loading_host).map(|fetcher| {
            let has_one = fetcher.is_some();
            *loading_home.fetcher.lock().unwrap_or_else(PoisonError::into_inner) = fetcher;
            has_one
        });
        // A host that is gone ends this process.
        let _ = loading_channel.send(&FromPlugin::Started(loaded));
    });
    while let Ok(Some(said)) = channel.receive() {
        match said {
            ToPlugin::Call(id, call) => answer(&channel, &home, id, call),
            ToPlugin::Told(id, answer) => host.told(id, answer),
            ToPlugin::Cancel(cancelled) => host.set_cancelled(cancelled),
            ToPlugin::Drop(object) => home.objects.forget(object),
            ToPlugin::Start(_) => break,
        }
    }
    // Calls that are under way have nobody to answer to.
    host.set_cancelled(true);
    home.objects.wait_for_the_dropped();
    0
}

/// Keeps the channel; what else reads standard input finds nothing, and what is printed goes to standard error, which is the log.
fn take_stdin() -> std::io::Result<UnixStream> {
    rustix::stdio::dup2_stdout(std::io::stderr().as_fd())?;
    let channel = rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 3)?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(nothing.as_fd())?;
    Ok(channel.into())
}

fn load(start: &Start, host: Arc<FarHost>) -> Result<Option<Arc<dyn Fetcher>>> {
    let candidate = examine_as(start.path.clone(), start.kind, start.digest.clone(), start.manifest.clone())
        .ok_or_else(|| PluginError::missing("it changed while it was being loaded"))?;
    let loaded = Loaded::load_here(&candidate, host as Arc<dyn HostServices>, &start.settings)?;
    let fetcher = loaded.fetcher()?.map(Arc::from);
    // Never unloaded: its threads live until the process ends.
    std::mem::forget(loaded);
    Ok(fetcher)
}

/// The plugin and what came from it.
struct Home {
    fetcher: Mutex<Option<Arc<dyn Fetcher>>>,
    objects: Objects,
    folder: PathBuf,
}

#[derive(Default)]
struct Objects {
    next: AtomicU64,
    all: Mutex<BTreeMap<Object, Held>>,
    /// Those that drop what is needed no more.
    dropping: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
enum Held {
    Catalog(Arc<dyn Catalog>),
    Transport(Arc<dyn Transport>),
    Served { _export: Arc<Export> },
}

impl Objects {
    fn next(&self) -> Object {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn keep(&self, held: Held) -> Object {
        let id = self.next();
        self.put(id, held);
        id
    }

    fn put(&self, id: Object, held: Held) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).insert(id, held);
    }

    fn forget(&self, id: Object) {
        let held = self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // Dropping may wait: for a request under way, or for a server far away.
        let dropper = std::thread::spawn(move || drop(held));
        let mut dropping = self.dropping.lock().unwrap_or_else(PoisonError::into_inner);
        dropping.retain(|dropper| !dropper.is_finished());
        dropping.push(dropper);
    }

    /// A server far away is to hear the goodbye before this process ends.
    fn wait_for_the_dropped(&self) {
        for dropper in std::mem::take(&mut *self.dropping.lock().unwrap_or_else(PoisonError::into_inner)) {
            // The log has the panic of one that did.
            let _ = dropper.join();
        }
    }

    fn get(&self, id: Object) -> Option<Held> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn catalog(&self, id: Object) -> Result<Arc<dyn Catalog>> {
        match self.get(id) {
            Some(Held::Catalog(catalog)) => Ok(catalog),
            _ => Err(PluginError::defect(format!("there is no catalog {id}"))),
        }
    }

    fn transport(&self, id: Object) -> Result<Arc<dyn Transport>> {
        match self.get(id) {
            Some(Held::Transport(transport)) => Ok(transport),
            _ => Err(PluginError::defect(format!("there is no transport {id}"))),
        }
    }
}

/// Answers a call on a thread of its own, so that calls go side by side, as they would in the host's process.
fn answer(channel: &Arc<Channel>, home: &Arc<Home>, id: u64, call: Call) {
    let (answering, at_home) = (Arc::clone(channel), Arc::clone(home));
    let what = format!("the answer of {}", call.method());
    let thread = std::thread::Builder::new().name("plugin-call".to_owned()).spawn(move || {
        let answer = at_home.call(call);
        // A host that is gone ends this process.
        let _ = answering.send_answer(&what, answer, |answer| FromPlugin::Answer(id, answer));
    });
    if let Err(error) = thread {
        let error = PluginError::io(format!("no thread could be started in the plugin's process: {error}"));
        let _ = channel.send(&FromPlugin::Answer(id, Err(error)));
    }
}

impl Home {
    fn call(&self, call: Call) -> Result<Value> {
        match call {
            Call::Accepts(source) => value(self.fetcher()?.accepts(&source)?),
            Call::Carries(way) => value(self.fetcher()?.carries(&way)?),
            Call::Catalog(source) => {
                let catalog = self.fetcher()?.catalog(&source)?;
                value(self.objects.keep(Held::Catalog(Arc::from(catalog))))
            }
            Call::Transport(link) => {
                let transport = self.fetcher()?.transport(&link)?;
                value(self.objects.keep(Held::Transport(Arc::from(transport))))
            }
            Call::Deliver { link, folder } => value(self.fetcher()?.deliver(&link, &folder)?),
            Call::Inventory(catalog) => value(self.objects.catalog(catalog)?.inventory()?),
            Call::Describe(catalog) => value(self.objects.catalog(catalog)?.describe()?),
            Call::Hold(catalog, wish) => value(self.objects.catalog(catalog)?.hold(&wish)?),
            Call::Changed { catalog, hold, disk, since, from } => {
                value(self.objects.catalog(catalog)?.changed(&hold, &disk, &since, from)?)
            }
            Call::Power(catalog, wish) => value(self.objects.catalog(catalog)?.power(wish)?),
            Call::Release(catalog, hold, why) => value(self.objects.catalog(catalog)?.release(&hold, why)?),
            Call::Open(transport, object) => value(self.open(transport, &object)?),
            Call::Resolve { transport, from, name } => value(self.objects.transport(transport)?.resolve(&from, &name)?),
            Call::Fingerprint(transport, object) => value(self.objects.transport(transport)?.fingerprint(&object)?),
            Call::StatedDigests(transport, object) => {
                value(self.objects.transport(transport)?.stated_digests(&object)?)
            }
        }
    }

    fn fetcher(&self) -> Result<Arc<dyn Fetcher>> {
        let fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner).clone();
        fetcher.ok_or_else(|| PluginError::defect("the plugin has no fetcher"))
    }

    fn open(&self, transport: Object, object: &str) -> Result<OpenedSource> {
        let source = self.objects.transport(transport)?.open(object)?;
        let hints = source.hints();
        let id = self.objects.next();
        let socket = self.folder.join(id.to_string());
        let export = Export::start(Arc::new(Documented(source)), &socket)?;
        self.objects.put(id, Held::Served { _export: Arc::new(export) });
        Ok(OpenedSource {
            id,
            socket,
            alignment: hints.alignment,
            request: hints.request,
            parallelism: hints.parallelism,
        })
    }
}

fn value(answer: impl Serialize) -> Result<Value> {
    Ok(json!(answer))
}
