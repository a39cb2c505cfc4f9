//! The source `slow:/path`: one machine with one raw disk, whose second half is slow.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use vmdk2kvm_plugin_api::model::{Controller, Cpus, Disk, Firmware, SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{BlockSource, Catalog, PluginError, Result, Transport};

use crate::SlowStages;

/// Both faces of a source.
pub(crate) struct SlowSource {
    slow: SlowStages,
    path: String,
}

impl SlowSource {
    pub(crate) fn new(slow: &SlowStages, source: &SourceRef) -> Self {
        Self { slow: slow.clone(), path: source.uri.trim_start_matches("slow:").to_owned() }
    }
}

impl Catalog for SlowSource {
    fn inventory(&self) -> Result<Vec<VmSpec>> {
        Ok(vec![self.describe()?])
    }

    fn describe(&self) -> Result<VmSpec> {
        self.slow.stop_in("fetch")?;
        Ok(VmSpec {
            schema: 1,
            name: "slow".into(),
            uuid: None,
            genid: None,
            guest_id: None,
            firmware: Firmware::Bios,
            secure_boot: false,
            tpm: false,
            cpus: Cpus { count: 1, sockets: 1, cores_per_socket: 1 },
            memory_bytes: 1 << 30,
            disks: vec![Disk {
                name: "disk".into(),
                controller: Controller::Scsi,
                bus: 0,
                unit: 0,
                capacity_bytes: 0,
                format: "raw".into(),
                path: Some(self.path.clone()),
            }],
            removable: Vec::new(),
            nics: Vec::new(),
            guessed: Vec::new(),
            origin: None,
        })
    }
}

impl Transport for SlowSource {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let file = File::open(object).map_err(|error| PluginError::from_io(object, &error))?;
        let size = file.metadata().unwrap().len();
        Ok(Box::new(SlowDisk { slow: self.slow.clone(), file, size }))
    }

    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{name}: a raw disk refers to nothing")))
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        let found = std::fs::metadata(object).map_err(|error| PluginError::from_io(object, &error))?;
        Ok(format!("{} {} {} {}", found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
    }
}

struct SlowDisk {
    slow: SlowStages,
    file: File,
    size: u64,
}

impl BlockSource for SlowDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset >= self.size / 2 {
            self.slow.stop_in("flatten")?;
        }
        self.file.read_at(buffer, offset).map_err(|error| PluginError::from_io("the disk", &error))
    }
}
