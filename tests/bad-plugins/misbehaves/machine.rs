//! A virtual machine in memory, found at `bad:vm`: one disk of a made-up format, and a guest with two files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use vmdk2kvm_plugin_api::model::{
    Action, Applied, AppliedStatus, ChainLink, ChainReport, Change, Cpus, Firmware, FlattenDisk, Inspection, Link,
    OpenGuest, SourceRef, VmSpec, VmSummary, Way,
};
use vmdk2kvm_plugin_api::{
    BlockSource, Catalog, Entry, Extent, ExtentKind, Fetcher, FileKind, Flat, Flattener, Guest, Hints, Inspector,
    Opened, PluginError, Result, Stat, Transport,
};

use crate::fault::{Fault, How};
use crate::result::LINK;

/// Size of the disk in bytes.
const SIZE: u64 = 1 << 20;

#[derive(Clone)]
pub struct Machine {
    fault: Arc<Fault>,
}

impl Machine {
    pub fn new(fault: &Arc<Fault>) -> Self {
        Self { fault: Arc::clone(fault) }
    }
}

impl Fetcher for Machine {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        self.fault.at("Fetcher::accepts");
        Ok(if source.uri.starts_with("bad:") { 100 } else { 0 })
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        self.fault.at("Fetcher::carries");
        Ok(u32::from(way.scheme == "bad"))
    }

    fn catalog(&self, _: &SourceRef) -> Result<Box<dyn Catalog>> {
        self.fault.at("Fetcher::catalog");
        Ok(Box::new(self.clone()))
    }

    fn transport(&self, _: &Link) -> Result<Box<dyn Transport>> {
        self.fault.at("Fetcher::transport");
        Ok(Box::new(self.clone()))
    }
}

impl Catalog for Machine {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        self.fault.at("Catalog::inventory");
        Ok(vec![VmSummary::new(self.vm("Catalog::inventory"))])
    }

    fn describe(&self) -> Result<VmSpec> {
        self.fault.at("Catalog::describe");
        Ok(self.vm("Catalog::describe"))
    }
}

impl Machine {
    fn vm(&self, method: &str) -> VmSpec {
        let disk = json!({"name": "disk1", "controller": "scsi", "bus": 0, "unit": 0,
            "ways": [{"scheme": "bad", "object": "object", "format": "bad"}]});
        let mut vm = VmSpec::new(self.fault.text(method, "bad-vm"), Firmware::Bios, Cpus::new(1, 1), 1 << 30);
        vm.disks.push(serde_json::from_value(disk).unwrap());
        vm.schema = self.fault.schema(method);
        vm
    }
}

impl Transport for Machine {
    fn open(&self, _: &str) -> Result<Box<dyn BlockSource>> {
        self.fault.at("Transport::open");
        Ok(Box::new(self.clone()))
    }

    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        self.fault.at("Transport::resolve");
        Ok(name.to_owned())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        self.fault.at("Transport::fingerprint");
        Ok(format!("{object} as ever"))
    }
}

impl BlockSource for Machine {
    fn size(&self) -> u64 {
        self.fault.at("BlockSource::size");
        if self.fault.is("BlockSource::size", How::Lie) { SIZE / 2 } else { SIZE }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.fault.at("BlockSource::read_at");
        if offset + buffer.len() as u64 > SIZE {
            return Err(PluginError::unusable("a read past the end"));
        }
        buffer.fill(0x5a);
        let lie = self.fault.is("BlockSource::read_at", How::Lie);
        let nothing = self.fault.is("BlockSource::read_at", How::Nothing);
        Ok(if lie {
            buffer.len() + 1
        } else if nothing {
            0
        } else {
            buffer.len()
        })
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.fault.at("BlockSource::extents");
        let lie = self.fault.is("BlockSource::extents", How::Lie);
        Ok(vec![Extent::new(offset, if lie { length * 2 } else { length }, ExtentKind::Data)])
    }

    fn hints(&self) -> Hints {
        self.fault.at("BlockSource::hints");
        Hints::default()
    }
}

impl Flattener for Machine {
    fn formats(&self) -> Vec<String> {
        self.fault.at("Flattener::formats");
        vec!["bad".to_owned()]
    }

    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        self.fault.at("Flattener::flatten");
        let object = files.resolve(&disk.object, &disk.object)?;
        let link = ChainLink::new(object.clone(), disk.format.clone(), vec![object.clone()]);
        let schema = self.fault.schema("Flattener::flatten");
        let report = ChainReport::new(SIZE, vec![link]).with(|report| report.schema = schema);
        let mut flat = Flat::new(self.clone(), report);
        flat.source = files.open(&object)?;
        Ok(flat)
    }
}

impl Inspector for Machine {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        self.fault.at("Inspector::accepts_disks");
        Ok(if request.source.uri.starts_with("bad:") { 1000 } else { 0 })
    }

    fn open(&self, _: &OpenGuest) -> Result<Opened> {
        self.fault.at("Inspector::open");
        let mut inspection: Inspection =
            serde_json::from_value(json!({"schema": 1, "os": {"family": "linux"}})).unwrap();
        inspection.schema = self.fault.schema("Inspector::open");
        let files = [("/etc/motd", "as ever\n"), ("/etc/hostname", "bad\n")];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let guest = InMemory { fault: Arc::clone(&self.fault), files: Mutex::new(BTreeMap::from(files)) };
        Ok(Opened::new(guest, inspection))
    }
}

/// A guest of regular files in `/etc`, and a symlink.
struct InMemory {
    fault: Arc<Fault>,
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Guest for InMemory {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.fault.at("Guest::stat");
        // The host resolves paths part by part.
        if ["/", "/etc"].contains(&path) {
            return Ok(Some(Stat::new(FileKind::Dir, 0, 0o755)));
        }
        if path == LINK {
            return Ok(Some(Stat::new(FileKind::Symlink, 0, 0o777)));
        }
        let stat = |file: &Vec<u8>| Stat::new(FileKind::File, file.len() as u64, 0o644);
        Ok(self.files.lock().unwrap().get(path).map(stat))
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>> {
        self.fault.at("Guest::read");
        Ok(self.files.lock().unwrap().get(path).cloned())
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        self.fault.at("Guest::list");
        let files = self.files.lock().unwrap();
        let names = files.keys().filter_map(|file| file.strip_prefix(&format!("{path}/")));
        Ok(Some(names.map(|name| Entry::new(name.to_owned(), FileKind::File)).collect()))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.fault.at("Guest::read_link");
        match path {
            LINK => Ok("motd".to_owned()),
            _ => Err(PluginError::unusable(format!("{path} is no link"))),
        }
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        self.fault.at("Guest::apply");
        if let Action::WriteFile { content, .. } = &change.action {
            self.files.lock().unwrap().insert(change.target.clone(), content.to_bytes()?);
        }
        Ok(Applied::new(AppliedStatus::Done))
    }

    fn discard_unused(&self) -> Result<()> {
        self.fault.at("Guest::discard_unused");
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.fault.at("Guest::close");
        Ok(())
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.fault.at("Guest::drop");
    }
}
