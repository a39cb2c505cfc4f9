//! Fetches a machine from `my-plugin:/path/to/disk.raw`: one raw disk in a file, about which nothing else is known.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use vmdk2kvm_plugin_api::model::{Controller, Cpus, Disk, Firmware, Link, Origin, SourceRef, VmSpec, VmSummary, Way};
use vmdk2kvm_plugin_api::{
    BlockSource, Catalog, Fetcher, Host, Plugin, PluginError, Result, Transport, export_plugin,
};

const SCHEME: &str = "my-plugin:";

struct MyPlugin;

impl Fetcher for MyPlugin {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if source.uri.starts_with(SCHEME) { 100 } else { 0 })
    }
    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if way.scheme == "my-plugin" { 100 } else { 0 })
    }
    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(Store::open(source)?))
    }
    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        Ok(Box::new(Store::open(&link.source)?))
    }
}

/// The store that a source names. Here it is a file; yours has a server.
struct Store {
    path: String,
}

impl Store {
    fn open(source: &SourceRef) -> Result<Self> {
        match source.uri.strip_prefix(SCHEME) {
            Some(path) if path.starts_with('/') => Ok(Self { path: path.to_owned() }),
            _ => Err(PluginError::unusable(format!("{} is not {SCHEME}/path", source.uri))),
        }
    }

    fn file(&self) -> Result<(File, u64)> {
        let file = File::open(&self.path).and_then(|file| file.metadata().map(|found| (file, found)));
        let (file, found) = file.map_err(|error| PluginError::from_io(&self.path, &error))?;
        match found.is_file() {
            true => Ok((file, found.len())),
            false => Err(PluginError::unusable(format!("{} is not a file", self.path))),
        }
    }
}

/// The control plane: what there is.
impl Catalog for Store {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(vec![VmSummary::new(self.describe()?)])
    }
    fn describe(&self) -> Result<VmSpec> {
        let (_, size) = self.file()?;
        let name = Path::new(&self.path).file_stem().map(|name| name.to_string_lossy().into_owned());
        let vm = VmSpec::new(name.unwrap_or_default(), Firmware::Bios, Cpus::new(1, 1), 1 << 30);
        Ok(vm.with(|vm| {
            // The way to its bytes, which `carries` and `transport` are given.
            let way = Way::new("my-plugin", &self.path, "raw");
            vm.disks.push(Disk::new(&self.path, Controller::Scsi, 0, 0).with(|disk| {
                disk.capacity_bytes = size;
                disk.ways.push(way);
            }));
            // Nothing said so: the user is told.
            vm.guessed = ["firmware", "cpus", "memory_bytes"].map(str::to_owned).into();
            vm.origin = Some(Origin::new("my-plugin", format!("{SCHEME}{}", self.path)));
        }))
    }
}

/// The data plane: bytes. Names that it is asked for may be hostile, and there is only one that is right.
impl Transport for Store {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        if object != self.path {
            return Err(PluginError::unusable(format!("{object:?} is not in this source")));
        }
        let (file, size) = self.file()?;
        Ok(Box::new(Bytes { file, size, path: self.path.clone() }))
    }
    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{from}: the name {name:?} leads out of this source")))
    }
    fn fingerprint(&self, object: &str) -> Result<String> {
        let found = std::fs::metadata(object).map_err(|error| PluginError::from_io(object, &error))?;
        Ok(format!("{} {} {} {}", found.dev(), found.ino(), found.len(), found.mtime_nsec()))
    }
}

struct Bytes {
    file: File,
    size: u64,
    path: String,
}

impl BlockSource for Bytes {
    fn size(&self) -> u64 {
        self.size
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(PluginError::unusable(format!("{}: a read past its end", self.path)));
        }
        self.file.read_exact_at(buffer, offset).map_err(|error| PluginError::from_io(&self.path, &error))?;
        Ok(buffer.len())
    }
}

impl Plugin for MyPlugin {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }
    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(Self))
    }
}

export_plugin! {
    plugin: MyPlugin,
    name: "my-plugin",
    summary: "A raw disk in a file, as my-plugin:/path",
    kinds: ["fetcher"],
    capabilities: ["my-plugin"],
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::{FakeHost, conformance, sample};

    use super::*;

    #[test]
    fn keeps_the_promises_of_a_fetcher() {
        let path = std::env::temp_dir().join(format!("my-plugin-{}.raw", std::process::id()));
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let source = sample::source(&format!("{SCHEME}{}", path.display()));
        let report = conformance::fetcher(&MyPlugin, &FakeHost::new(), Some(&source));
        std::fs::remove_file(&path).unwrap();
        report.assert();
        assert_eq!(report.skipped().count(), 0);
    }

    #[test]
    fn a_relative_path_is_refused() {
        let error = MyPlugin.catalog(&sample::source("my-plugin:disk")).err().unwrap();
        assert_eq!(error.message, "my-plugin:disk is not my-plugin:/path");
    }
}
