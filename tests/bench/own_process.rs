//! What it costs that a plugin runs in a process of its own: one disk is read through a plugin in this process, and through the same plugin in
//! one of its own, in turns, as the copy engine reads.
//!
//! Arguments: the folder with the plugins `near_disk` and `far_disk`, a raw disk. Prints the seconds of each and their ratio.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports to whoever runs it")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::json;
use vmdk2kvm::plugins::{self, Loaded, discover, search_folders};
use vmdk2kvm_plugin_api::model::{Link, SourceRef};
use vmdk2kvm_plugin_api::{BlockSource, read_exact_at};
use vmdk2kvm_plugin_testing::FakeHost;

/// As the copy engine reads.
const REQUEST: u64 = 1 << 20;
/// The most that it may cost where having the bytes costs anything.
const GOAL: f64 = 1.15;
/// Rounds of each; the best counts, since everything else on the machine only adds.
const ROUNDS: usize = 7;

fn open(folder: &Path, name: &str, cost: &str, disk: &str) -> Box<dyn BlockSource> {
    let candidates = discover(&search_folders(&[folder.to_owned()], &mut |_| {})).unwrap();
    let candidate =
        candidates.iter().find(|one| one.manifest.as_ref().is_some_and(|manifest| manifest.name == name)).unwrap();
    let loaded = Loaded::load(candidate, FakeHost::new().services(), &json!({ "cost": cost })).unwrap();
    let source = SourceRef::new(format!("far:{disk}"));
    let fetcher = loaded.fetcher().unwrap().unwrap();
    let vm = fetcher.catalog(&source).unwrap().describe().unwrap();
    let way = vm.disks[0].ways[0].clone();
    let transport = fetcher.transport(&Link::new(source, vm, 0, way)).unwrap();
    // Sources outlive what they came from.
    std::mem::forget(loaded);
    transport.open(disk).unwrap()
}

/// The seconds that so many threads need to read all of it.
fn read(source: &dyn BlockSource, threads: usize) -> f64 {
    let (began, next, size) = (Instant::now(), AtomicU64::new(0), source.size());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut buffer = vec![0; REQUEST as usize];
                loop {
                    let at = next.fetch_add(REQUEST, Ordering::Relaxed);
                    if at >= size {
                        break;
                    }
                    let length = REQUEST.min(size - at) as usize;
                    read_exact_at(source, at, &mut buffer[..length]).unwrap();
                }
            });
        }
    });
    began.elapsed().as_secs_f64()
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    // The plugin's process is this program, started again.
    if arguments.first().is_some_and(|word| word == plugins::PLUGIN_COMMAND) {
        return plugins::serve_plugin().into();
    }
    let [folder, disk] = arguments.as_slice() else {
        println!("usage: own_process PLUGIN-FOLDER RAW-DISK (tests/bench/own-process gives both)");
        return std::process::ExitCode::SUCCESS;
    };
    let folder = PathBuf::from(folder);
    let mut is_missed = false;
    for cost in ["wire", "digest", ""] {
        let sources = ["near-disk", "far-disk"].map(|name| open(&folder, name, cost, disk));
        for threads in [1, 2, 4, 8] {
            let mut best = [f64::MAX; 2];
            for round in 0..ROUNDS {
                // Who reads second finds the machine as the first left it: in turns.
                for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                    best[side] = best[side].min(read(&*sources[side], threads));
                }
            }
            let gib = sources[0].size() as f64 / (1 << 30) as f64;
            let [near, far] = best;
            is_missed |= !cost.is_empty() && far / near > GOAL;
            let cost = if cost.is_empty() { "memory" } else { cost };
            println!(
                "{cost:<7} {threads} threads  worker {near:.4} s ({:.2} GiB/s)  own {far:.4} s ({:.2} GiB/s)  ratio {:.3}",
                gib / near,
                gib / far,
                far / near
            );
        }
    }
    u8::from(is_missed).into()
}
