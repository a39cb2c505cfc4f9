//! Changed areas of a disk onto an image that has the rest: the second and every later pass of a copy that goes on while the disk is written to.
//!
//! Only raw images: their bytes lie at their own offsets. Owns how areas become requests and that zeros stay holes where they can; which areas changed,
//! and what is noted when they are copied, is the caller's. Nothing here can be continued: whoever was interrupted copies the same areas again.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, PluginError, Result, read_exact_at};

use super::control::{Control, Progress};
use super::image_file::ImageFile;
use super::map_walk::MapWalk;
use super::output_error::create_error;
use super::zero::is_zero;
use crate::journal::{DurableFile, Fence};

/// The longest request to the source, in bytes.
const REQUEST: u64 = 2 << 20;
/// The most threads, whatever a source wishes.
const MAX_WORKERS: usize = 16;

/// Copies these areas, ascending and inside of the disk, of a source to a raw image that is there and as long as the disk, and syncs it. What the source
/// calls a hole becomes zeros. Returns the bytes that were read of the source.
pub fn copy_changed(
    source: &dyn BlockSource,
    areas: &[Range<u64>],
    image: &Path,
    fence: &Fence,
    control: &Control<'_>,
) -> Result<u64> {
    let file = DurableFile::open(image).map_err(|error| create_error(image, &error))?;
    let file = ImageFile::new(file, fence.clone());
    let total = areas.iter().map(|area| area.end - area.start).sum();
    let pass = Pass {
        source,
        file: &file,
        control,
        total,
        pieces: Mutex::new(Pieces { source, areas: areas.iter(), ready: Vec::new().into_iter() }),
        done: AtomicU64::new(0),
        moved: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        failure: Mutex::new(None),
    };
    pass.run()?;
    file.sync()?;
    Ok(pass.moved.into_inner())
}

/// What one request is about.
struct Piece {
    range: Range<u64>,
    has_data: bool,
}

/// The areas as pieces, one area's map at a time.
struct Pieces<'a> {
    source: &'a dyn BlockSource,
    areas: std::slice::Iter<'a, Range<u64>>,
    ready: std::vec::IntoIter<Piece>,
}

impl Pieces<'_> {
    fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.ready.next() {
                return Ok(Some(piece));
            }
            let Some(area) = self.areas.next() else { return Ok(None) };
            let mut walk = MapWalk::new(self.source, area.start, area.end);
            let mut pieces = Vec::new();
            while let Some(extents) = walk.next()? {
                for extent in extents {
                    let (mut at, end) = (extent.offset, extent.offset + extent.length);
                    while at < end {
                        let stop = (at - at % REQUEST + REQUEST).min(end);
                        pieces.push(Piece { range: at..stop, has_data: extent.kind == ExtentKind::Data });
                        at = stop;
                    }
                }
            }
            self.ready = pieces.into_iter();
        }
    }
}

struct Pass<'a> {
    source: &'a dyn BlockSource,
    file: &'a ImageFile,
    control: &'a Control<'a>,
    total: u64,
    pieces: Mutex<Pieces<'a>>,
    done: AtomicU64,
    moved: AtomicU64,
    stop: AtomicBool,
    failure: Mutex<Option<PluginError>>,
}

impl Pass<'_> {
    fn run(&self) -> Result<()> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match self.source.hints().parallelism {
            0 => processors,
            wished => usize::from(wished),
        };
        std::thread::scope(|scope| {
            let worker = || {
                let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.work()));
                if let Err(error) = worked.unwrap_or_else(|_| Err(PluginError::defect("a copy thread panicked"))) {
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    self.stop.store(true, Ordering::Relaxed);
                }
            };
            for _ in 1..workers.clamp(1, MAX_WORKERS) {
                // One that cannot be started leaves its work to the others, of which this thread is one.
                let _ = std::thread::Builder::new().name("changes".to_owned()).spawn_scoped(scope, worker);
            }
            worker();
        });
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn work(&self) -> Result<()> {
        let mut buffer = vec![0; REQUEST as usize];
        let mut held = vec![0; REQUEST as usize];
        loop {
            if self.stop.load(Ordering::Relaxed) || (self.control.cancelled)() {
                return Err(PluginError::interrupted());
            }
            let piece = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).next()?;
            let Some(Piece { range, has_data }) = piece else { return Ok(()) };
            let length = (range.end - range.start) as usize;
            let bytes = &mut buffer[..length];
            if has_data {
                read_exact_at(self.source, range.start, bytes)?;
                self.moved.fetch_add(length as u64, Ordering::Relaxed);
            } else {
                bytes.fill(0);
            }
            self.put(range.start, bytes, &mut held[..length])?;
            let done = self.done.fetch_add(length as u64, Ordering::Relaxed) + length as u64;
            (self.control.progress)(Progress { done, data: self.total, ..Progress::default() });
        }
    }

    /// Writes a piece. Zeros go only where there are none: a hole stays one.
    fn put(&self, offset: u64, bytes: &[u8], held: &mut [u8]) -> Result<()> {
        let zeros_already = is_zero(bytes)
            && self
                .file
                .file()
                .read_exact_at(held, offset)
                .map_err(|error| self.file.failed(&error))
                .map(|()| is_zero(held))?;
        if zeros_already { Ok(()) } else { self.file.write(bytes, offset) }
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::{Extent, Hints};

    use super::*;

    /// A disk of a pattern, with a hole at 3..5 MiB, that counts what is read of it.
    struct Disk {
        read: AtomicU64,
        longest: AtomicU64,
    }

    const SIZE: u64 = 8 << 20;
    const HOLE: Range<u64> = 3 << 20..5 << 20;

    fn byte(at: u64) -> u8 {
        if HOLE.contains(&at) { 0 } else { (at / 512 % 255) as u8 + 1 }
    }

    impl BlockSource for Disk {
        fn size(&self) -> u64 {
            SIZE
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.longest.fetch_max(buffer.len() as u64, Ordering::Relaxed);
            buffer.iter_mut().zip(offset..).for_each(|(to, at)| *to = byte(at));
            Ok(buffer.len())
        }

        fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
            let mut extents = Vec::new();
            for (range, kind) in
                [(0..HOLE.start, ExtentKind::Data), (HOLE, ExtentKind::Hole), (HOLE.end..SIZE, ExtentKind::Data)]
            {
                let (from, to) = (range.start.max(offset), range.end.min(offset + length));
                if from < to {
                    extents.push(Extent::new(from, to - from, kind));
                }
            }
            Ok(extents)
        }

        fn hints(&self) -> Hints {
            Hints::default()
        }
    }

    fn image(fill: u8) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, vec![fill; SIZE as usize]).unwrap();
        (folder, path)
    }

    #[test]
    fn only_the_areas_are_copied_and_holes_become_zeros() {
        let (_folder, path) = image(0xee);
        let disk = Disk { read: AtomicU64::new(0), longest: AtomicU64::new(0) };
        let areas = [512..1024, (1 << 20) + 7 * 512..(4 << 20), (7 << 20)..SIZE];
        let moved = copy_changed(&disk, &areas, &path, &Fence::default(), &Control::unattended()).unwrap();
        let inside = |at: u64| areas.iter().any(|area| area.contains(&at));
        let expected: Vec<u8> = (0..SIZE).map(|at| if inside(at) { byte(at) } else { 0xee }).collect();
        assert!(std::fs::read(&path).unwrap() == expected, "another byte was written, or one was not");
        assert_eq!(moved, 512 + (2 << 20) - 7 * 512 + (1 << 20), "the hole is not read");
        assert_eq!(moved, disk.read.into_inner());
        assert!(disk.longest.into_inner() <= REQUEST);
    }

    #[test]
    fn zeros_that_are_there_already_make_no_data() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
        let disk = Disk { read: AtomicU64::new(0), longest: AtomicU64::new(0) };
        copy_changed(&disk, &[HOLE], &path, &Fence::default(), &Control::unattended()).unwrap();
        assert_eq!(path.metadata().unwrap().blocks(), 0);
    }

    #[test]
    fn a_cancelled_pass_says_so() {
        let (_folder, path) = image(1);
        let disk = Disk { read: AtomicU64::new(0), longest: AtomicU64::new(0) };
        let control = Control { cancelled: &|| true, progress: &|_| () };
        let error = copy_changed(&disk, &[HOLE], &path, &Fence::default(), &control).unwrap_err();
        assert_eq!(error.kind, vmdk2kvm_plugin_api::ErrorKind::Interrupted);
    }
}
