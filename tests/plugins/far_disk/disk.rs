//! The source `far:/path`.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::{Controller, Cpus, Disk, Firmware, SourceRef, VmSpec, VmSummary, Way};
use vmdk2kvm_plugin_api::{BlockSource, Catalog, Host, PluginError, Result, Transport};

/// The scheme of its ways.
pub(crate) const SCHEME: &str = "far";

/// What each read costs beside the reading.
#[derive(Clone, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    cost: String,
}

/// Both faces of a source.
pub(crate) struct FarSource {
    host: Host,
    path: String,
}

impl FarSource {
    pub(crate) fn new(host: &Host, source: &SourceRef) -> Self {
        Self { host: host.clone(), path: source.uri.trim_start_matches("far:").to_owned() }
    }
}

/// What the process was started with, which no later change of the environment touches.
fn started_with() -> String {
    let environment = std::fs::read("/proc/self/environ").unwrap();
    let variables = environment.split(|byte| *byte == 0).map(|variable| String::from_utf8_lossy(variable).into_owned());
    let mut own: Vec<_> = variables.filter(|variable| variable.starts_with("FAR_DISK_")).collect();
    own.sort();
    own.join(" ")
}

impl Catalog for FarSource {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        let mut vm = self.describe()?;
        if self.path == "long" {
            vm.name.clear();
            let rest = serde_json::to_string(&[VmSummary::new(vm.clone())]).unwrap().len();
            vm.name = "x".repeat((64 << 20) - rest);
        }
        Ok(vec![VmSummary::new(vm)])
    }

    fn describe(&self) -> Result<VmSpec> {
        self.host.progress("asked", 0, 0);
        if self.path == "secret" {
            let lent = self.host.lend_secret(b"a session")?;
            let secret = self.host.secret(&lent)?;
            let none = self.host.secret("key:none")?;
            return Err(PluginError::config(format!("the secrets are {secret:?} and {none:?}")).hint("tell nobody"));
        }
        self.host.warn("a far disk was asked for");
        let mut disk = Disk::new("disk", Controller::Scsi, 0, 0);
        // Twice, so that `plugin check` opens it again after it had the first way asked to stop.
        disk.ways = vec![Way::new(SCHEME, &self.path, "raw"); 2];
        Ok(VmSpec::new(started_with(), Firmware::Bios, Cpus::new(1, 1), 1 << 30).with(|vm| vm.disks = vec![disk]))
    }
}

impl Transport for FarSource {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        match object {
            "crash" => std::process::abort(),
            "exit" => std::process::exit(3),
            _ => {}
        }
        self.host.check_cancelled()?;
        let file = File::open(object).map_err(|error| PluginError::from_io(object, &error).hint("look for it"))?;
        let size = file.metadata().unwrap().len();
        let cost = self.host.settings::<Settings>()?.cost;
        Ok(Box::new(FarDisk { host: self.host.clone(), file, size, cost, wire: Mutex::new(Instant::now()) }))
    }

    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        Err(PluginError::unusable(format!("{name}: a raw disk refers to nothing")))
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        if ["crash", "exit"].contains(&object) {
            return Ok(object.to_owned());
        }
        let found =
            std::fs::metadata(object).map_err(|error| PluginError::from_io(object, &error).hint("look for it"))?;
        Ok(format!("{} {} {} {}", found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
    }
}

struct FarDisk {
    host: Host,
    file: File,
    size: u64,
    cost: String,
    /// Until when the wire is busy.
    wire: Mutex<Instant>,
}

impl Drop for FarDisk {
    fn drop(&mut self) {
        if let Some(file) = std::env::var_os("FAR_GOODBYE") {
            std::thread::sleep(Duration::from_secs(1));
            std::fs::write(file, "").unwrap();
        }
    }
}

impl FarDisk {
    /// What it costs to have these bytes, beside copying them.
    fn pay(&self, bytes: &[u8]) {
        match self.cost.as_str() {
            // A processor's work, such as deciphering.
            "digest" => drop(std::hint::black_box(Sha256::digest(bytes))),
            // 10 Gbit/s, which all readers share.
            "wire" => {
                let until = {
                    let mut busy = self.wire.lock().unwrap();
                    *busy = (*busy).max(Instant::now()) + Duration::from_nanos(bytes.len() as u64 * 8 / 10);
                    *busy
                };
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            _ => {}
        }
    }
}

impl BlockSource for FarDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(PluginError::defect(format!(
                "{} bytes at {offset} lead past the end of the disk",
                buffer.len()
            )));
        }
        if let Some(go) = std::env::var_os("FAR_STOP").filter(|_| offset >= self.size / 2) {
            self.host.progress("stopped", 0, 0);
            while !Path::new(&go).exists() {
                self.host.check_cancelled()?;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if std::env::var_os("FAR_BAD").is_some() && offset >= self.size / 2 {
            return Err(PluginError::missing("the second half is not there").hint("find it"));
        }
        let read = self.file.read_at(buffer, offset).map_err(|error| PluginError::from_io("the disk", &error))?;
        self.pay(&buffer[..read]);
        Ok(read)
    }
}
