//! The fetcher of a plugin in a process of its own, as the pipeline has it: each method is a call of that process.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{
    Changed, Delivered, Hold, HoldWish, Link, PowerState, PowerWish, Release, SourceRef, StatedDigest, VmSpec,
    VmSummary, Way,
};
use vmdk2kvm_plugin_api::{BlockSource, Catalog, Extent, Fetcher, Hints, Result, Transport};

use super::message::{Call, Object, OpenedSource};
use super::process::Process;

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
        let (size, hints) = (opened.size, opened.hints());
        Ok(Box::new(FarSource { held: FarObject { process: Arc::clone(&self.process), id: opened.id }, size, hints }))
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

/// A disk in the process.
struct FarSource {
    held: FarObject,
    size: u64,
    hints: Hints,
}

impl BlockSource for FarSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() { Ok(0) } else { self.held.process.read(self.held.id, offset, buffer) }
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        if length == 0 { Ok(Vec::new()) } else { self.held.process.extents(self.held.id, offset, length) }
    }

    fn hints(&self) -> Hints {
        self.hints
    }
}
