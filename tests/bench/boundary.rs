//! What the plugin boundary costs: one disk is read through the plugin's own types, and through the loaded library, in turns.
//!
//! Arguments: the folder with the built plugins, a VMDK. Prints the best seconds of each and their ratio.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports to whoever runs it")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vmdk2kvm::plugins::{Loaded, discover, search_folders};
use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{
    BlockSource, ExtentKind, Flattener, Host, HostServices, LogRecord, PluginError, Result, Transport,
};
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

/// As the copy engine reads.
const REQUEST: u64 = 1 << 20;
/// Rounds of each; the best counts, since everything else on the machine only adds.
const ROUNDS: usize = 15;

struct Quiet;

impl HostServices for Quiet {
    fn progress(&self, _: &str, _: u64, _: u64) {}
    fn cancelled(&self) -> bool {
        false
    }
    fn secret(&self, _: &str) -> Result<Option<String>> {
        Ok(None)
    }
    fn log(&self, _: &LogRecord) {}
    fn log_level(&self) -> u8 {
        0
    }
}

/// Files by their paths. The benchmark's own input is trusted, unlike a user's.
struct Files;

impl Transport for Files {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let file = File::open(object).map_err(|error| PluginError::from_io(object, &error))?;
        let size = file.metadata().map_err(|error| PluginError::from_io(object, &error))?.len();
        Ok(Box::new(OpenFile { file, size }))
    }
    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        Ok(Path::new(from).with_file_name(name).to_str().unwrap().to_owned())
    }
    fn fingerprint(&self, object: &str) -> Result<String> {
        Ok(object.to_owned())
    }
}

struct OpenFile {
    file: File,
    size: u64,
}

impl BlockSource for OpenFile {
    fn size(&self) -> u64 {
        self.size
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_at(buffer, offset).map_err(|error| PluginError::from_io("the disk", &error))
    }
}

/// Opens the disk; every round anew, so that no reader has the other's warm tables.
fn open(flattener: &dyn Flattener, disk: &str) -> Box<dyn BlockSource> {
    let request = FlattenDisk { object: disk.to_owned(), format: "vmdk".to_owned() };
    flattener.flatten(&request, Arc::new(Files)).unwrap().source
}

/// Reads all data, and says how long that took and how much it was.
fn read_all(source: &dyn BlockSource, buffer: &mut [u8]) -> (Duration, u64) {
    let (began, mut bytes) = (Instant::now(), 0);
    for extent in source.extents(0, source.size()).unwrap() {
        if extent.kind != ExtentKind::Data {
            continue;
        }
        let mut at = extent.offset;
        while at < extent.offset + extent.length {
            let length = REQUEST.min(extent.offset + extent.length - at) as usize;
            let read = source.read_at(at, &mut buffer[..length]).unwrap() as u64;
            at += read;
            bytes += read;
        }
    }
    (began.elapsed(), bytes)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [folder, disk] = arguments.as_slice() else {
        println!("usage: boundary PLUGIN-FOLDER VMDK (tests/bench/boundary gives both)");
        return;
    };
    let services: Arc<dyn HostServices> = Arc::new(Quiet);
    let candidates = discover(&search_folders(&[PathBuf::from(folder)], &mut |_| {})).unwrap();
    let is_it = |name: &str| name == "vmdk-flatten";
    let candidate = candidates.iter().find(|one| one.manifest.as_ref().is_some_and(|manifest| is_it(&manifest.name)));
    let loaded = Loaded::load(candidate.unwrap(), Arc::clone(&services), &serde_json::Value::Null).unwrap();
    let through = loaded.flattener().unwrap();
    let direct = VmdkFlattener::new(Host::new(services, serde_json::Value::Null));

    let mut buffer = vec![0; REQUEST as usize];
    let (mut best_direct, mut best_through, mut bytes) = (Duration::MAX, Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let (seconds, read) = read_all(&*open(&direct, disk), &mut buffer);
        best_direct = best_direct.min(seconds);
        bytes = read;
        best_through = best_through.min(read_all(&*open(&*through, disk), &mut buffer).0);
    }
    let (direct, through) = (best_direct.as_secs_f64(), best_through.as_secs_f64());
    println!("{disk}: {} MiB in requests of {} KiB, best of {ROUNDS}", bytes >> 20, REQUEST >> 10);
    println!("direct   {direct:.4} s");
    println!("boundary {through:.4} s");
    println!("ratio    {:.4}", through / direct);
}
