//! FETCH of `nbd://` and `nbd+unix://`: the host's own, as NBD is the protocol of its own export. It knows no format: a disk is what the server
//! gives. No server describes a machine, so that all but the disks is guessed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{
    Controller, Cpus, Disk, Firmware, Link, Nic, NicKind, SourceRef, VmSpec, VmSummary, Way,
};
use vmdk2kvm_plugin_api::{BlockSource, Catalog, ErrorKind, Extent, Fetcher, Hints, PluginError, Result, Transport};

use super::{Address, Options, RemoteDisk};

/// Memory of a machine that nothing is known about: enough for any current distribution to boot.
const GUESSED_MEMORY: u64 = 2 << 30;

/// Bytes at both ends of a disk that its fingerprint is made from.
const ENDS: u64 = 1 << 20;

/// How many further places of a disk its fingerprint is made from, and the bytes at each.
const PLACES: u64 = 16;
const PLACE: u64 = 4096;

/// The scheme of ways to such a disk.
const SCHEME: &str = "nbd";

/// Disks of NBD servers. Clones share the disks that are open: a server may take only one client, or end when its first one leaves.
#[derive(Clone)]
pub struct NbdFetcher {
    cancel: Arc<AtomicBool>,
    open: Arc<Mutex<BTreeMap<String, Arc<Place>>>>,
}

/// Where a disk is kept once it is open.
type Place = Mutex<Option<Arc<RemoteDisk>>>;

impl NbdFetcher {
    /// A fetcher for a run, which stops when `cancel` is set.
    pub fn new(cancel: Arc<AtomicBool>) -> Self {
        Self { cancel, open: Arc::default() }
    }

    /// Whether a source is one of these.
    pub fn knows(source: &SourceRef) -> bool {
        Address::is_one(&source.uri)
    }

    /// Whether a way leads to one of these.
    pub fn is_way(way: &Way) -> bool {
        way.scheme == SCHEME
    }

    fn disk(&self, address: &Address) -> Result<Arc<RemoteDisk>> {
        let place = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry(address.to_string()).or_default())
        };
        // Connecting takes its time: only those wait that want the same disk.
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = &*place {
            return Ok(Arc::clone(disk));
        }
        let cancel = Arc::clone(&self.cancel);
        let cancelled = Arc::new(move || cancel.load(Ordering::Relaxed));
        let options = Options { cancelled, ..Options::default() };
        let disk = Arc::new(RemoteDisk::open(address.clone(), options)?);
        *place = Some(Arc::clone(&disk));
        Ok(disk)
    }
}

impl Fetcher for NbdFetcher {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if Self::knows(source) { 100 } else { 0 })
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if Self::is_way(way) { 100 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        let parse = |uri: &String| {
            if Address::is_one(uri) {
                return Address::parse(uri);
            }
            Err(PluginError::new(
                ErrorKind::Usage,
                format!("{uri}: the disks beside an NBD disk must be NBD disks, too"),
            )
            .hint("serve it, too, read-only, and name it by its address"))
        };
        let addresses = std::iter::once(&source.uri).chain(&source.extra_disks).map(parse).collect::<Result<_>>()?;
        Ok(Box::new(Server { fetcher: self.clone(), addresses }))
    }

    fn transport(&self, _: &Link) -> Result<Box<dyn Transport>> {
        Ok(Box::new(self.clone()))
    }
}

/// The disks that a source names.
struct Server {
    fetcher: NbdFetcher,
    addresses: Vec<Address>,
}

impl Catalog for Server {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(vec![VmSummary::new(self.describe()?)])
    }

    fn describe(&self) -> Result<VmSpec> {
        let mut disks = Vec::new();
        for (unit, address) in (0..).zip(&self.addresses) {
            let mut disk = Disk::new(name_of(address), Controller::Scsi, 0, unit);
            disk.capacity_bytes = self.fetcher.disk(address)?.size();
            disk.ways.push(Way::new(SCHEME, address.to_string(), "raw"));
            disks.push(disk);
        }
        let mut guessed: Vec<String> =
            ["name", "firmware", "secure_boot", "tpm", "cpus", "memory_bytes", "nics"].map(String::from).to_vec();
        guessed.extend((0..disks.len()).map(|index| format!("disks[{index}].controller")));
        let name = self.addresses.first().map_or_else(|| "disk".to_owned(), name_of);
        Ok(VmSpec::new(name, Firmware::Bios, Cpus::new(2, 2), GUESSED_MEMORY).with(|vm| {
            vm.disks = disks;
            vm.nics = vec![Nic::new(NicKind::Network)];
            vm.guessed = guessed;
        }))
    }
}

/// A name for people: the last part of the export's.
fn name_of(address: &Address) -> String {
    let last = address.export.rsplit('/').find(|part| !part.is_empty());
    last.unwrap_or("disk").to_owned()
}

impl Transport for NbdFetcher {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        Ok(Box::new(Shared(self.disk(&Address::parse(object)?)?)))
    }

    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{name}: an NBD disk refers to no other file"))
            .hint("serve the disk as the guest sees it, not the file of an image"))
    }

    /// No server tells when its disk changed: its size, its ends and some places between have to do.
    fn fingerprint(&self, object: &str) -> Result<String> {
        let disk = self.disk(&Address::parse(object)?)?;
        let size = disk.size();
        let mut digest = Sha256::new();
        let mut bytes = vec![0; ENDS as usize];
        let places = (1..=PLACES).map(|place| (size / (PLACES + 1) * place, PLACE));
        for (at, length) in [(0, ENDS), (size.saturating_sub(ENDS), ENDS)].into_iter().chain(places) {
            let bytes = &mut bytes[..length.min(size - at) as usize];
            vmdk2kvm_plugin_api::read_exact_at(&*disk, at, bytes)?;
            digest.update(bytes);
        }
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{size} {digest}"))
    }
}

/// A disk that is open for others, too.
struct Shared(Arc<RemoteDisk>);

impl BlockSource for Shared {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.0.extents(offset, length)
    }

    fn hints(&self) -> Hints {
        self.0.hints()
    }
}
