//! A way and no catalog: it reads what another plugin describes, the `file` ways of the stock plugin `local`, at a pace that busy storage can spare.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Link, SourceRef, Way};
use vmdk2kvm_plugin_api::{BlockSource, Fetcher, Host, Plugin, PluginError, Result, Transport, export_plugin};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    mib_per_second: u64,
}

/// The plugin, its one fetcher, its transports and their files: all share the pace.
#[derive(Clone)]
struct Gentle {
    mib_per_second: u64,
    free_at: Arc<Mutex<Instant>>,
}

impl Plugin for Gentle {
    fn new(host: Host) -> Result<Self> {
        let Settings { mib_per_second } = host.settings()?;
        Ok(Self { mib_per_second, free_at: Arc::new(Mutex::new(Instant::now())) })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for Gentle {
    fn accepts(&self, _: &SourceRef) -> Result<u32> {
        Ok(0) // It describes nothing.
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        // Above `local`, which says 1; only whole files, not members of archives; only when the job asks for a pace.
        let ours = way.scheme == "file" && !way.stream && Path::new(&way.object).is_file();
        Ok(if ours && self.mib_per_second > 0 { 2 } else { 0 })
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        let folder = Path::new(&link.way.object).parent().map(Path::to_owned);
        Ok(Box::new(Beside { folder: folder.unwrap_or_default(), pace: self.clone() }))
    }
}

/// The files beside the disk, and no others.
struct Beside {
    folder: PathBuf,
    pace: Gentle,
}

impl Transport for Beside {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let file = File::open(object).map_err(|error| PluginError::from_io(object, &error))?;
        let size = file.metadata().map_err(|error| PluginError::from_io(object, &error))?.len();
        Ok(Box::new(Paced { file, size, pace: self.pace.clone() }))
    }

    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        // A name is hostile: one that is a path, or a link, may lead anywhere.
        let plain = !name.contains('/') && path.symlink_metadata().is_ok_and(|found| found.is_file());
        let refused = || PluginError::unusable(format!("the name {name:?} is refused: no such file beside the disk"));
        path.to_str().filter(|_| plain).map(str::to_owned).ok_or_else(refused)
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        let found = std::fs::metadata(object).map_err(|error| PluginError::from_io(object, &error))?;
        Ok(format!("{} {} {} {}.{}", found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
    }
}

struct Paced {
    file: File,
    size: u64,
    pace: Gentle,
}

impl BlockSource for Paced {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let lasts = Duration::from_secs_f64(buffer.len() as f64 / (self.pace.mib_per_second << 20) as f64);
        let mut free_at = self.pace.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = (*free_at).max(Instant::now());
        *free_at = begins + lasts;
        drop(free_at); // Others may queue while this one waits.
        std::thread::sleep((begins + lasts).saturating_duration_since(Instant::now()));
        self.file.read_at(buffer, offset).map_err(|error| PluginError::from_io("the disk", &error))
    }
}

export_plugin! {
    plugin: Gentle,
    name: "gentle",
    summary: "Reads local disks no faster than their storage can spare",
    kinds: ["fetcher"],
    capabilities: ["file"],
    settings: [("mib_per_second", "integer", "0", "how fast disks are read in all; 0: it reads none")],
}

#[cfg(test)]
mod tests;
