//! One pass over a source: workers that read, look for zeros, digest and store.
//!
//! Owns the threads, the size of requests, cancellation, and which error is returned. Does not know formats (see
//! [`super::sink`]) nor order (see [`super::settle`]).
//!
//! Memory: at most [`MAX_WORKERS`] buffers of 4 MiB, one window of the map (48 MiB at the very worst), and what waits to be settled
//! (about 1 MiB): below 256 MiB for a disk of any size.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::commit::Committer;
use super::content_digest::{ChunkDigest, virtual_size};
use super::control::Control;
use super::settle::{Done, Passed, Settle};
use super::sink::Sink;
use super::span::Filled;
use super::tasks::{CHUNK, CLUSTER, MAX_SPAN, Task, Tasks};
use super::zero::is_zero;

/// The most threads, whatever a source wishes.
const MAX_WORKERS: usize = 32;

/// Requests are never smaller than this, whatever a source wishes (unless the data is).
const MIN_REQUEST: u64 = 64 << 10;

/// The shortest span.
const MIN_SPAN: usize = CHUNK;

/// How long a worker waits before it looks again whether to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a pass needs.
pub(super) struct Pass<'a> {
    pub source: &'a dyn BlockSource,
    pub sink: &'a dyn Sink,
    pub control: &'a Control<'a>,
    /// Where a former run stopped, or the beginning.
    pub settle: Settle,
    /// `None` where there is nothing to continue.
    pub committer: Option<Committer<'a>>,
    /// Number of threads; `None` for what suits the source.
    pub workers: Option<usize>,
}

impl Pass<'_> {
    /// Reads all data of the source that is not settled, each byte once, and stores it in the sink.
    pub(super) fn run(self) -> Result<Passed> {
        let hints = self.source.hints();
        let request = request_size(hints.request, hints.alignment);
        let span = span_size(request);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // A source that is read one request at a time still gains from digesting and writing beside it.
        let one_reader = hints.parallelism == 1;
        let suitable = if one_reader || hints.parallelism == 0 { processors } else { usize::from(hints.parallelism) };
        // One of them may be waiting for a commit.
        let workers = self.workers.unwrap_or(suitable + usize::from(self.committer.is_some()));
        let engine = Engine {
            source: self.source,
            sink: self.sink,
            control: self.control,
            committer: self.committer,
            request,
            span,
            one_reader,
            virtual_size: virtual_size(self.source.size()),
            tasks: Mutex::new(Tasks::new(self.source, span, self.settle.progress())),
            known_data: AtomicU64::new(0),
            settle: Mutex::new(self.settle),
            settled: Condvar::new(),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        };
        engine.run(workers.clamp(1, MAX_WORKERS))
    }
}

/// The length of the spans that a source is copied in, in bytes: at least a whole request.
pub(super) fn span_of(source: &dyn BlockSource) -> usize {
    let hints = source.hints();
    span_size(request_size(hints.request, hints.alignment))
}

fn span_size(request: u64) -> usize {
    (request as usize).next_power_of_two().clamp(MIN_SPAN, MAX_SPAN)
}

/// The length of a request in bytes: what the source likes, within bounds, and a multiple of its alignment where that fits.
fn request_size(request: u32, alignment: u32) -> u64 {
    let request = u64::from(request).clamp(MIN_REQUEST, MAX_SPAN as u64);
    let alignment = u64::from(alignment.max(1));
    if alignment > MAX_SPAN as u64 {
        return MAX_SPAN as u64;
    }
    (request - request % alignment).max(alignment)
}

struct Engine<'a> {
    source: &'a dyn BlockSource,
    sink: &'a dyn Sink,
    control: &'a Control<'a>,
    committer: Option<Committer<'a>>,
    request: u64,
    span: usize,
    one_reader: bool,
    virtual_size: u64,
    tasks: Mutex<Tasks<'a>>,
    known_data: AtomicU64,
    settle: Mutex<Settle>,
    settled: Condvar,
    stop: AtomicBool,
    failure: Mutex<Option<PluginError>>,
}

impl Engine<'_> {
    fn run(self, workers: usize) -> Result<Passed> {
        std::thread::scope(|scope| {
            let started: Vec<_> = (0..workers)
                .map(|number| {
                    let worker = std::thread::Builder::new().name(format!("copy-{number}"));
                    worker.spawn_scoped(scope, || {
                        // A panic must not leave the other workers waiting for a task that never settles.
                        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.work()));
                        let panicked = Err(PluginError::defect("a copy thread panicked"));
                        if let Err(error) = result.unwrap_or(panicked) {
                            self.fail(error);
                        }
                    })
                })
                .collect();
            if started.iter().all(Result::is_err) {
                self.fail(PluginError::io("no thread could be started to copy the disk"));
            }
        });
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(self.settle.into_inner().unwrap_or_else(PoisonError::into_inner).finish(self.control)),
        }
    }

    /// Only the first error counts: the others follow from it.
    fn fail(&self, error: PluginError) {
        lock(&self.failure).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
        self.settled.notify_all();
    }

    fn poll(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) || (self.control.cancelled)() {
            return Err(PluginError::interrupted());
        }
        Ok(())
    }

    fn work(&self) -> Result<()> {
        let mut buffer = vec![0; self.span];
        while let Some((task, due)) = self.take(&mut buffer)? {
            if let (Some(record), Some(committer)) = (due, &self.committer) {
                committer.commit(&record)?;
            }
            self.wait_for_turn(task.sequence)?;
            // The disk ends on a sector; the span's buffer is zero beyond the source's end.
            let end = (task.start + self.span as u64).min(self.virtual_size);
            let span = &buffer[..(end - task.start) as usize];
            let filled = filled(&task, span);
            let chunks = self.digest(&task, span, filled)?;
            self.poll()?;
            let placed = self.sink.store(task.start, span, filled)?;
            let done = Done { placed, end: task.start + task.length as u64, data: task.data, chunks };
            let known_data = self.known_data.load(Ordering::Relaxed);
            lock(&self.settle).add(task.sequence, done, known_data, self.sink, self.control)?;
            self.settled.notify_all();
        }
        Ok(())
    }

    /// The next task with its data read into `buffer`, and the record of a commit that is due.
    fn take(&self, buffer: &mut [u8]) -> Result<Option<(Task, Option<Vec<u8>>)>> {
        self.poll()?;
        let mut tasks = lock(&self.tasks);
        let due = self.due(tasks.handed_out())?;
        let Some(task) = tasks.next()? else { return Ok(None) };
        self.known_data.store(tasks.known_data(), Ordering::Relaxed);
        // One reader: the lock is held while reading, so that requests come one after the other and in ascending order.
        let held = self.one_reader.then_some(tasks);
        // Without this a source that says it read more than it wrote would put another span's bytes here.
        clear(&task, buffer);
        for range in &task.ranges {
            self.read(task.start + range.start as u64, &mut buffer[range.clone()])?;
        }
        drop(held);
        Ok(Some((task, due)))
    }

    /// The record of a commit, if one is due. The caller lets no task begin meanwhile, so that what is stored is what is settled: a few
    /// milliseconds, after which the others go on while this thread syncs.
    fn due(&self, handed_out: u64) -> Result<Option<Vec<u8>>> {
        let Some(committer) = &self.committer else { return Ok(None) };
        let mut settle = lock(&self.settle);
        if !settle.commit_is_due(&committer.pace) || !committer.claim() {
            return Ok(None);
        }
        while !settle.is_settled(handed_out) {
            settle = self.wait(settle)?;
        }
        Ok(Some(settle.take_record(self.sink)))
    }

    fn wait<'s>(&'s self, settle: MutexGuard<'s, Settle>) -> Result<MutexGuard<'s, Settle>> {
        self.poll()?;
        Ok(self.settled.wait_timeout(settle, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner).0)
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            self.poll()?;
            let at = offset + done as u64;
            let step = (self.request - at % self.request) as usize;
            let wanted = step.min(buffer.len() - done);
            let n = self.source.read_at(at, &mut buffer[done..done + wanted])?;
            if n == 0 || n > wanted {
                return Err(PluginError::defect(format!("a read of {wanted} bytes at offset {at} returned {n}"))
                    .hint("report this to the author of the plugin that reads the source"));
            }
            done += n;
        }
        Ok(())
    }

    fn wait_for_turn(&self, sequence: u64) -> Result<()> {
        let mut settle = lock(&self.settle);
        while settle.too_far_ahead(sequence) {
            settle = self.wait(settle)?;
        }
        Ok(())
    }

    /// Digests of the chunks that are not all zero.
    fn digest(&self, task: &Task, span: &[u8], filled: Filled) -> Result<Vec<ChunkDigest>> {
        let digest = |number: usize| {
            self.poll()?;
            let range = number * CHUNK..((number + 1) * CHUNK).min(span.len());
            Ok(ChunkDigest::of(task.start + range.start as u64, &span[range]))
        };
        filled.chunks().map(digest).collect()
    }
}

/// Zeroes the chunks of the buffer that the task touches; the others are not looked at.
fn clear(task: &Task, buffer: &mut [u8]) {
    let mut cleared = 0;
    for range in &task.ranges {
        let first = (range.start - range.start % CHUNK).max(cleared);
        let end = range.end.next_multiple_of(CHUNK).min(buffer.len());
        if first < end {
            buffer[first..end].fill(0);
            cleared = end;
        }
    }
}

/// The clusters with a byte other than zero. Clusters outside of the data ranges are known to be zero.
fn filled(task: &Task, span: &[u8]) -> Filled {
    let mut filled = Filled::default();
    for range in &task.ranges {
        for cluster in range.start / CLUSTER..range.end.div_ceil(CLUSTER) {
            let bytes = &span[cluster * CLUSTER..((cluster + 1) * CLUSTER).min(span.len())];
            if !is_zero(bytes) {
                filled.set(cluster);
            }
        }
    }
    filled
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::request_size;

    #[test]
    fn requests_are_bounded_and_aligned() {
        for (request, alignment, expected) in [
            (1 << 20, 4096, 1 << 20),
            (0, 0, 64 << 10),
            (512, 512, 64 << 10),
            (u32::MAX, 4096, 4 << 20),
            (1_000_000, 65_536, 15 * 65_536),
            (65_536, 1 << 20, 1 << 20),
            (1 << 20, u32::MAX, 4 << 20),
            (200_000, 196_608, 196_608),
        ] {
            assert_eq!(request_size(request, alignment), expected, "{request} {alignment}");
        }
    }
}
