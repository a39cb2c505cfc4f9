//! The source `slow:/path`: one machine with one raw disk, whose second half is slow.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use vmdk2kvm_plugin_api::model::{
    Changed, Controller, Cpus, Delivered, Disk, Finding, Firmware, Hold, HoldWish, Link, PowerState, PowerWish,
    Release, Severity, SourceRef, VmSpec, VmSummary, Way,
};
use vmdk2kvm_plugin_api::{BlockSource, Catalog, PluginError, Result, Transport};

use crate::{SlowStages, holds, rate, rounds};

/// Both faces of a source.
pub(crate) struct SlowSource {
    slow: SlowStages,
    path: String,
    /// What is read in place of the disk.
    frozen: Option<String>,
}

impl SlowSource {
    pub(crate) fn new(slow: &SlowStages, source: &SourceRef) -> Self {
        Self { slow: slow.clone(), path: source.uri.trim_start_matches("slow:").to_owned(), frozen: None }
    }

    pub(crate) fn of_link(slow: &SlowStages, link: &Link) -> Self {
        let is_first = link.vm.disks[link.disk as usize].id == rounds::DISK;
        let frozen = rounds::frozen(&link.hold).filter(|_| is_first);
        Self { frozen, ..Self::new(slow, &link.source) }
    }
}

impl Catalog for SlowSource {
    fn hold(&self, wish: &HoldWish) -> Result<Hold> {
        match rounds::folder(&self.path) {
            Some(live) => rounds::hold(&self.slow, &live, &self.path, wish),
            None => holds::hold(&self.slow, wish),
        }
    }

    fn release(&self, hold: &Hold, why: Release) -> Result<()> {
        match rounds::folder(&self.path) {
            Some(live) => rounds::release(&self.slow, &live, hold, why),
            None => holds::release(&self.slow, hold, why),
        }
    }

    fn changed(&self, hold: &Hold, disk: &str, since: &str, from: u64) -> Result<Changed> {
        assert_eq!(disk, rounds::DISK, "the word of the other one never changes");
        rounds::changed(&self.slow, &rounds::folder(&self.path).unwrap(), hold, since, from)
    }

    fn power(&self, wish: PowerWish) -> Result<PowerState> {
        let live = rounds::folder(&self.path).ok_or_else(|| PluginError::cannot("switching power"))?;
        rounds::power(&live, wish)
    }

    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(vec![VmSummary::new(self.describe()?)])
    }

    fn describe(&self) -> Result<VmSpec> {
        self.slow.stop_in("fetch")?;
        let mut disk = Disk::new("disk", Controller::Scsi, 0, 0);
        disk.id = rounds::DISK.to_owned();
        let live = rounds::folder(&self.path);
        disk.uuid = live.as_deref().map(rounds::uuid);
        // A better way that nobody carries, and one that can only be streamed.
        if std::env::var_os("SLOW_STREAM").is_some() {
            disk.ways.push(Way::new("slow-lane", &self.path, "raw"));
            disk.ways.push(Way::new("slow-stream", &self.path, "raw").with(|way| way.stream = true));
        } else {
            disk.ways.push(Way::new("slow", &self.path, "raw"));
        }
        Ok(VmSpec::new("slow", Firmware::Bios, Cpus::new(1, 1), 1 << 30).with(|vm| {
            vm.disks = vec![disk];
            vm.disks.extend(live.as_deref().and_then(rounds::second));
            let blocks = std::env::var("SLOW_VM_BLOCKS").ok();
            vm.findings.extend(blocks.map(|why| Finding::new("slow-block", Severity::Block, why)));
        }))
    }
}

/// Brings the whole disk, and says in the folder `SLOW_STREAM` how often it did.
pub(crate) fn deliver(slow: &SlowStages, link: &Link, folder: &str) -> Result<Delivered> {
    let begun = std::env::var_os("SLOW_STREAM").map(std::path::PathBuf::from).unwrap();
    let number = std::fs::read_dir(&begun).unwrap().count() + 1;
    std::fs::write(begun.join(format!("{number}")), &link.hold.id).unwrap();
    slow.stop_in("deliver")?;
    let bytes = std::fs::copy(&link.way.object, std::path::Path::new(folder).join("disk.raw")).unwrap();
    Ok(Delivered::new("disk.raw", "raw", bytes))
}

impl Transport for SlowSource {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let object = self.frozen.as_deref().unwrap_or(object);
        let file = File::open(object).map_err(|error| PluginError::from_io(object, &error))?;
        let size = file.metadata().unwrap().len();
        Ok(Box::new(SlowDisk { slow: self.slow.clone(), file, size, path: object.into() }))
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
    path: std::path::PathBuf,
}

impl BlockSource for SlowDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset >= self.size / 2 {
            self.slow.stop_in("flatten")?;
        }
        rate::serve(&self.path, buffer.len());
        self.file.read_at(buffer, offset).map_err(|error| PluginError::from_io("the disk", &error))
    }
}
