//! What the plugin boundary costs: one disk is read through the plugin's own types, and through the loaded library, in turns.
//!
//! Arguments: the folder with the built plugins, a VMDK. Prints the seconds of each and their ratio.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports to whoever runs it")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vmdk2kvm::plugins::{Loaded, discover, search_folders};
use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, Flattener, Host, HostServices, PluginError, Result, Transport};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

/// As the copy engine reads.
const REQUEST: u64 = 1 << 20;
/// Rounds of each. Each request counts at its best, since everything else on the machine only adds: a whole pass without a disturbance is rare.
const ROUNDS: usize = 20;

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
    let request = FlattenDisk::new(disk.to_owned(), "vmdk".to_owned());
    flattener.flatten(&request, Arc::new(Files)).unwrap().source
}

/// The requests that read all data, in order.
fn requests(source: &dyn BlockSource) -> Vec<(u64, usize)> {
    let mut requests = Vec::new();
    for extent in source.extents(0, source.size()).unwrap() {
        if extent.kind == ExtentKind::Data {
            let end = extent.offset + extent.length;
            let starts = (extent.offset..end).step_by(REQUEST as usize);
            requests.extend(starts.map(|at| (at, REQUEST.min(end - at) as usize)));
        }
    }
    requests
}

/// Reads one request in full.
fn read(source: &dyn BlockSource, at: u64, buffer: &mut [u8]) -> Duration {
    let (began, mut done) = (Instant::now(), 0);
    while done < buffer.len() {
        done += source.read_at(at + done as u64, &mut buffer[done..]).unwrap();
    }
    began.elapsed()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [folder, disk] = arguments.as_slice() else {
        println!("usage: boundary PLUGIN-FOLDER VMDK (tests/bench/boundary gives both)");
        return;
    };
    let services: Arc<dyn HostServices> = FakeHost::new().services();
    let candidates = discover(&search_folders(&[PathBuf::from(folder)], &mut |_| {})).unwrap();
    let is_it = |name: &str| name == "vmdk-flatten";
    let candidate = candidates.iter().find(|one| one.manifest.as_ref().is_some_and(|manifest| is_it(&manifest.name)));
    let loaded = Loaded::load(candidate.unwrap(), Arc::clone(&services), &serde_json::Value::Null).unwrap();
    let through = loaded.flattener().unwrap().unwrap();
    let direct = VmdkFlattener::new(Host::new(services, serde_json::Value::Null));

    let requests = requests(&*open(&direct, disk));
    let mut buffer = vec![0; REQUEST as usize];
    let mut best = vec![[Duration::MAX; 2]; requests.len()];
    for round in 0..ROUNDS {
        let sources = [open(&direct, disk), open(&*through, disk)];
        for (&(at, length), best) in requests.iter().zip(&mut best) {
            // Who reads second finds the bytes in the processor's cache: in turns.
            for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                best[side] = best[side].min(read(&*sources[side], at, &mut buffer[..length]));
            }
        }
    }
    let [direct, through] = [0, 1].map(|side| best.iter().map(|best| best[side]).sum::<Duration>().as_secs_f64());
    let bytes: usize = requests.iter().map(|&(_, length)| length).sum();
    println!("{disk}: {} MiB in requests of {} KiB, each at its best of {ROUNDS}", bytes >> 20, REQUEST >> 10);
    println!("direct   {direct:.4} s");
    println!("boundary {through:.4} s");
    println!("ratio    {:.4}", through / direct);
}
