//! Measures the reader against `qemu-img convert` on the same file in the same run.
//!
//! `cargo run --release -p vmdk2kvm-plugin-vmdk-flatten --example measure -- DISK.vmdk [FOLDER]`. Prints how long it takes to open the
//! disk and read its map, to read all of its data, and to write it to a sparse raw file in FOLDER (the system's temporary folder by
//! default); and the ratio of the last to qemu-img's time for the same. Warm the page cache by a first run.

#[path = "../tests/vmdk/exercise.rs"]
#[expect(dead_code, reason = "only its host is used")]
mod exercise;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{SeekFrom, seek};
use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Flattener, PluginError, Result, Transport, read_exact_at};
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

/// The files of the folder of the disk that was given; it is the user's own, so that nothing is checked.
struct Beside(PathBuf);

struct Plain {
    file: File,
    size: u64,
}

impl Transport for Beside {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let failed = |error: std::io::Error| PluginError::from_io(object, &error);
        let file = File::open(self.0.join(object)).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(Box::new(Plain { file, size }))
    }

    fn resolve(&self, _from: &str, name: &str) -> Result<String> {
        Ok(name.to_owned())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        Ok(object.to_owned())
    }
}

impl BlockSource for Plain {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_exact_at(buffer, offset).map_err(|error| PluginError::from_io("file", &error))?;
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let (mut answer, mut at, end) = (Vec::new(), offset, offset + length);
        while at < end {
            let data = seek(&self.file, SeekFrom::Data(at)).map_or(end, |data| data.min(end));
            let hole =
                if data < end { seek(&self.file, SeekFrom::Hole(data)).map_or(end, |hole| hole.min(end)) } else { end };
            for (offset, stop, kind) in [(at, data, ExtentKind::Hole), (data, hole, ExtentKind::Data)] {
                if stop > offset {
                    answer.push(Extent::new(offset, stop - offset, kind));
                }
            }
            at = hole;
        }
        Ok(answer)
    }
}

/// The map, in windows as the host asks for it.
fn map(source: &dyn BlockSource) -> Result<Vec<Extent>> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < source.size() {
        let length = (64 << 30).min(source.size() - at);
        all.extend(source.extents(at, length)?);
        at += length;
    }
    Ok(all)
}

/// Reads all data on as many threads as there are processors, and hands each piece to `take`.
fn pull(source: &dyn BlockSource, map: &[Extent], take: impl Fn(u64, &[u8]) + Sync) {
    let request = u64::from(source.hints().request);
    let pieces: Vec<(u64, u64)> = (map.iter().filter(|extent| extent.kind == ExtentKind::Data))
        .flat_map(|extent| {
            let end = extent.offset + extent.length;
            let next = move |at: &u64| Some((at / request + 1) * request).filter(|at| *at < end);
            std::iter::successors(Some(extent.offset), next)
                .map(move |at| (at, ((at / request + 1) * request).min(end) - at))
        })
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                let mut buffer = vec![0; request as usize];
                while let Some((at, length)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let part = &mut buffer[..*length as usize];
                    read_exact_at(source, *at, part).expect("the disk can be read");
                    take(*at, part);
                }
            });
        }
    });
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let disk = arguments.next().expect("give a disk");
    let folder = arguments.next().unwrap_or_else(std::env::temp_dir);
    let name = disk.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8").to_owned();
    let beside = disk.parent().unwrap_or(Path::new("")).to_owned();

    let begin = Instant::now();
    let given = FlattenDisk::new(name.clone(), "vmdk".to_owned());
    let flat = VmdkFlattener::new(exercise::host()).flatten(&given, Arc::new(Beside(beside))).expect("a VMDK");
    let opened = begin.elapsed();
    let extents = map(&*flat.source).expect("the map can be read");
    let mapped = begin.elapsed() - opened;
    let begin = Instant::now();
    pull(&*flat.source, &extents, |_, _| ());
    let read = begin.elapsed();

    let ours = folder.join(format!("{}.ours.raw", std::process::id()));
    let begin = Instant::now();
    let file = File::create(&ours)?;
    file.set_len(flat.source.size())?;
    let extents_again = map(&*flat.source).expect("the map can be read");
    pull(&*flat.source, &extents_again, |at, part| file.write_all_at(part, at).expect("the file can be written"));
    let written = begin.elapsed() + opened;
    std::fs::remove_file(&ours)?;

    let theirs = folder.join(format!("{}.theirs.raw", std::process::id()));
    let begin = Instant::now();
    let convert = ["convert", "-f", "vmdk", "-O", "raw", "-W", "-m", "8"];
    let status = Command::new("qemu-img").args(convert).arg(&disk).arg(&theirs).status()?;
    let qemu = begin.elapsed();
    assert!(status.success(), "qemu-img failed");
    std::fs::remove_file(&theirs)?;

    let data: u64 = extents.iter().filter(|extent| extent.kind == ExtentKind::Data).map(|extent| extent.length).sum();
    let rate = |time: Duration| data as f64 / 1e6 / time.as_secs_f64();
    writeln!(
        std::io::stdout(),
        "{name}: {} MiB of data in {} extents; open {opened:.3?}, map {mapped:.3?}, read {read:.3?} ({:.0} MB/s), to raw {written:.3?}; \
         qemu-img {qemu:.3?}; ratio {:.2}; memory {} MiB",
        data >> 20,
        extents.len(),
        rate(read),
        written.as_secs_f64() / qemu.as_secs_f64(),
        peak_memory(),
    )
}

/// The most memory that this process had, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() >> 10
}
