//! In the plugin's process: the plugin, what came from it, and the calls that these answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;
use serde_json::{Value, json};
use vmdk2kvm_plugin_api::{BlockSource, Catalog, Fetcher, PluginError, Result, Transport};

use super::message::{Call, Object, OpenedSource};

/// The plugin and what came from it.
#[derive(Default)]
pub(super) struct Home {
    fetcher: Mutex<Option<Arc<dyn Fetcher>>>,
    pub(super) objects: Objects,
}

/// What came from the plugin, by the numbers that the host knows it by.
#[derive(Default)]
pub(super) struct Objects {
    next: AtomicU64,
    all: Mutex<BTreeMap<Object, Held>>,
    /// Those that drop what is needed no more.
    dropping: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
enum Held {
    Catalog(Arc<dyn Catalog>),
    Transport(Arc<dyn Transport>),
    Source(Arc<dyn BlockSource>),
}

impl Objects {
    fn keep(&self, held: Held) -> Object {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.all.lock().unwrap_or_else(PoisonError::into_inner).insert(id, held);
        id
    }

    pub(super) fn forget(&self, id: Object) {
        let held = self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // Dropping may wait: for a request under way, or for a server far away.
        let dropper = std::thread::spawn(move || drop(held));
        let mut dropping = self.dropping.lock().unwrap_or_else(PoisonError::into_inner);
        dropping.retain(|dropper| !dropper.is_finished());
        dropping.push(dropper);
    }

    /// A server far away is to hear the goodbye before this process ends.
    pub(super) fn wait_for_the_dropped(&self) {
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

impl Home {
    /// The plugin is loaded.
    pub(super) fn set_fetcher(&self, fetcher: Option<Arc<dyn Fetcher>>) {
        *self.fetcher.lock().unwrap_or_else(PoisonError::into_inner) = fetcher;
    }

    pub(super) fn call(&self, call: Call) -> Result<Value> {
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
        let (size, hints) = (source.size(), source.hints());
        Ok(OpenedSource {
            id: self.objects.keep(Held::Source(Arc::from(source))),
            size,
            alignment: hints.alignment,
            request: hints.request,
            parallelism: hints.parallelism,
        })
    }

    /// A source that was opened, for a request on a lane.
    pub(super) fn source(&self, id: Object) -> Result<Arc<dyn BlockSource>> {
        match self.objects.get(id) {
            Some(Held::Source(source)) => Ok(source),
            _ => Err(PluginError::defect(format!("there is no source {id}"))),
        }
    }
}

fn value(answer: impl Serialize) -> Result<Value> {
    Ok(json!(answer))
}
