//! A transport over a folder, as strict as the host's: plain relative names below it, no links followed, regular files only.

use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags, SeekFrom, openat2, seek};
use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, PluginError, Result, Transport};

/// What a test wants to know about the reads that were made.
#[derive(Default)]
pub struct Counters {
    pub reads: AtomicU64,
    pub bytes: AtomicU64,
    pub open: AtomicUsize,
    pub most_open: AtomicUsize,
}

pub struct Folder {
    root: PathBuf,
    pub counters: Arc<Counters>,
}

impl Folder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), counters: Arc::default() }
    }
}

impl Transport for Folder {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let failed = |error: std::io::Error| PluginError::from_io(object, &error);
        let root = std::fs::File::open(&self.root).map_err(failed)?;
        let file = openat2(&root, object, flags, Mode::empty(), resolve).map_err(|error| failed(error.into()))?;
        let file = std::fs::File::from(file);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(PluginError::unusable(format!("{object}: it is not a regular file")));
        }
        let size = metadata.len();
        let open = self.counters.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.counters.most_open.fetch_max(open, Ordering::Relaxed);
        Ok(Box::new(FileSource { file, size, counters: Arc::clone(&self.counters) }))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || name.is_empty() {
            return Err(PluginError::unusable(format!("{name}: leads outside of the source's folder")));
        }
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        Ok(folder
            .join(name)
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect::<PathBuf>()
            .display()
            .to_string())
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        Ok(object.to_owned())
    }
}

struct FileSource {
    file: std::fs::File,
    size: u64,
    counters: Arc<Counters>,
}

impl Drop for FileSource {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BlockSource for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        assert!(offset + buffer.len() as u64 <= self.size, "a read past the end of the file");
        self.counters.reads.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.file.read_exact_at(buffer, offset).map_err(|error| PluginError::from_io("file", &error))?;
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let mut answer = Vec::new();
        let mut next = offset;
        for (start, count) in data_ranges(&self.file, offset, length) {
            if start > next {
                answer.push(Extent::new(next, start - next, ExtentKind::Hole));
            }
            answer.push(Extent::new(start, count, ExtentKind::Data));
            next = start + count;
        }
        if next < offset + length {
            answer.push(Extent::new(next, offset + length - next, ExtentKind::Hole));
        }
        Ok(answer)
    }
}

/// The ranges of a file that are not holes.
pub fn data_ranges(file: &std::fs::File, offset: u64, length: u64) -> Vec<(u64, u64)> {
    let end = offset + length;
    let mut ranges = Vec::new();
    let mut at = offset;
    while at < end {
        let Ok(start) = seek(file, SeekFrom::Data(at)) else { break };
        if start >= end {
            break;
        }
        let stop = seek(file, SeekFrom::Hole(start)).unwrap().min(end);
        ranges.push((start, stop - start));
        at = stop;
    }
    ranges
}
