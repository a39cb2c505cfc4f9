//! The fetcher of a plugin in a process of its own, as the pipeline has it: each method is a call of that process, a disk is read by NBD.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{
    Changed, Delivered, Hold, HoldWish, Link, PowerState, PowerWish, Release, SourceRef, StatedDigest, VmSpec,
    VmSummary, Way,
};
use vmdk2kvm_plugin_api::{BlockSource, Catalog, ErrorKind, Extent, Fetcher, Hints, PluginError, Result, Transport};

use super::death::CONTINUES;
use super::error_text;
use super::message::{Call, Object, OpenedSource};
use super::process::Process;
use crate::copy::PATIENCE;
use crate::nbd::{Address, Limits, Options, RemoteDisk};

/// Connections to a disk. The socket is near: each has a core to itself at best.
const CONNECTIONS: usize = 4;

pub(super) struct FarFetcher {
    process: Arc<Process>,
}

impl FarFetcher {
    pub(super) fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    fn object(&self, id: Object) -> FarObject {
        FarObject { process: Arc::clone(&self.process), id }
    }
}

impl Fetcher for FarFetcher {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        self.process.call(Call::Accepts(source.clone()))
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        self.process.call(Call::Carries(way.clone()))
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        let id = self.process.call(Call::Catalog(source.clone()))?;
        Ok(Box::new(self.object(id)))
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        let id = self.process.call(Call::Transport(Box::new(link.clone())))?;
        Ok(Box::new(self.object(id)))
    }

    fn deliver(&self, link: &Link, folder: &str) -> Result<Delivered> {
        self.process.call(Call::Deliver { link: Box::new(link.clone()), folder: folder.to_owned() })
    }
}

/// An object in the process. Dropping it drops that one.
struct FarObject {
    process: Arc<Process>,
    id: Object,
}

impl Drop for FarObject {
    fn drop(&mut self) {
        self.process.forget(self.id);
    }
}

impl Catalog for FarObject {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        self.process.call(Call::Inventory(self.id))
    }

    fn describe(&self) -> Result<VmSpec> {
        self.process.call(Call::Describe(self.id))
    }

    fn hold(&self, wish: &HoldWish) -> Result<Hold> {
        self.process.call(Call::Hold(self.id, wish.clone()))
    }

    fn changed(&self, hold: &Hold, disk: &str, since: &str, from: u64) -> Result<Changed> {
        let (disk, since) = (disk.to_owned(), since.to_owned());
        self.process.call(Call::Changed { catalog: self.id, hold: hold.clone(), disk, since, from })
    }

    fn power(&self, wish: PowerWish) -> Result<PowerState> {
        self.process.call(Call::Power(self.id, wish))
    }

    fn release(&self, hold: &Hold, why: Release) -> Result<()> {
        self.process.call(Call::Release(self.id, hold.clone(), why))
    }
}

impl Transport for FarObject {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let opened: OpenedSource = self.process.call(Call::Open(self.id, object.to_owned()))?;
        let held = FarObject { process: Arc::clone(&self.process), id: opened.id };
        let asking = Arc::clone(&self.process);
        let options = Options {
            connections: CONNECTIONS,
            // The same process is not there a second time.
            retries: 0,
            limits: Limits { silence: PATIENCE, answer: PATIENCE, ..Limits::default() },
            cancelled: Arc::new(move || asking.cancelled()),
            explain: Some(error_text::unwrap),
            hints: Some(opened.hints()),
        };
        let disk = RemoteDisk::open(Address::unix(&opened.socket), options);
        let disk = disk.map_err(|error| blame(&self.process, error, "Transport::open"))?;
        Ok(Box::new(FarSource { disk, held }))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        self.process.call(Call::Resolve { transport: self.id, from: from.to_owned(), name: name.to_owned() })
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        self.process.call(Call::Fingerprint(self.id, object.to_owned()))
    }

    fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        self.process.call(Call::StatedDigests(self.id, object.to_owned()))
    }
}

/// A disk that the process serves.
struct FarSource {
    disk: RemoteDisk,
    held: FarObject,
}

impl FarSource {
    fn blame(&self, error: PluginError, method: &'static str) -> PluginError {
        blame(&self.held.process, error, method)
    }
}

/// The error as the plugin's. When its process is gone, that is what happened.
fn blame(process: &Process, mut error: PluginError, method: &'static str) -> PluginError {
    if error.plugin.is_some() || error == PluginError::interrupted() {
        return error;
    }
    // A connection that breaks off is mostly known before the end of the process behind it.
    let death = match error.kind {
        ErrorKind::Io => process.death_if_ending(method),
        _ => process.death_if_over(method),
    };
    if let Some(death) = death {
        return death;
    }
    // What a disk itself says has the plugin's name.
    if error.kind == ErrorKind::Temporary {
        error.message = format!("the process of the plugin {} does not answer in {method}", process.label);
        error.hint = Some(format!("look at the storage and the network that it reads from, and {CONTINUES}"));
    }
    error.blamed_on(&process.label)
}

impl BlockSource for FarSource {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.disk.read_at(offset, buffer).map_err(|error| self.blame(error, "BlockSource::read_at"))
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.disk.extents(offset, length).map_err(|error| self.blame(error, "BlockSource::extents"))
    }

    fn hints(&self) -> Hints {
        self.disk.hints()
    }
}
