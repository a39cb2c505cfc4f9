//! The source `slow:/path`: one machine with one raw disk, whose second half is slow.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use vmdk2kvm_plugin_api::model::{Controller, Cpus, Disk, Firmware, SourceRef, VmSpec, VmSummary, Way};
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
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(vec![VmSummary::new(self.describe()?)])
    }

    fn describe(&self) -> Result<VmSpec> {
        self.slow.stop_in("fetch")?;
        let mut disk = Disk::new("disk", Controller::Scsi, 0, 0);
        disk.ways.push(Way::new("slow", &self.path, "raw"));
        Ok(VmSpec::new("slow", Firmware::Bios, Cpus::new(1, 1), 1 << 30).with(|vm| vm.disks = vec![disk]))
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
