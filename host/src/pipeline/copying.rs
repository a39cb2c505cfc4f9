//! The bulk copy, which runs beside the appliance: every disk's flat view to its working image, each under a record once it is durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::Finding;
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, ExtentKind, PluginError, Result};

use super::stated::Stated;
use crate::copy::map_walk::MapWalk;
use crate::copy::{
    Control, CopyOutcome, CopyRequest, PATIENCE, Progress, Target, Watch, Watched, copy_image, finished,
};
use crate::events::{Event, EventSink, Stage};
use crate::journal::{Records, StageKey};
use crate::plugins::Services;

/// How often it is looked whether the source still answers.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A disk to copy.
pub(super) struct CopyTask {
    pub index: usize,
    pub source: Arc<dyn BlockSource>,
    pub target: Target,
    pub key: StageKey,
    /// Bytes of data to copy, holes and zeros left out; 0 where a former run has copied them.
    pub data_bytes: u64,
}

/// Name of the record of a disk's copy.
pub(super) fn record_name(index: usize) -> String {
    format!("copy-{}", index + 1)
}

/// Whether a former run finished the copy of a disk and the image is still there.
pub(super) fn is_finished(records: &Records, task: &CopyTask) -> bool {
    finished(&task.request(records, &record_name(task.index))).is_some()
}

impl CopyTask {
    /// Takes back what was copied of a source that is not what it states: nothing goes on from there.
    fn forget(&self, records: &Records) {
        // On the way out of that failure, which is reported. What cannot be removed is found wrong again.
        let _ = records.remove(&record_name(self.index));
        let _ = self.target.remove();
    }

    fn request<'a>(&'a self, records: &'a Records, name: &'a str) -> CopyRequest<'a> {
        CopyRequest { source: self.source.as_ref(), target: &self.target, records, name, key: &self.key }
    }
}

/// Bytes of a disk that its map calls data.
pub(super) fn data_bytes(source: &dyn BlockSource) -> Result<u64> {
    let mut walk = MapWalk::new(source, 0, source.size());
    let mut total = 0u64;
    while let Some(extents) = walk.next()? {
        let data = extents.iter().filter(|extent| extent.kind == ExtentKind::Data);
        total = data.fold(total, |total, extent| total.saturating_add(extent.length));
    }
    Ok(total)
}

/// The files of the disks, to be held against the digests that their source states.
pub(super) struct Verify {
    /// Those of each disk, by its index, and what reads them.
    pub files: Vec<(usize, Vec<String>, Arc<Stated>)>,
}

/// Why the files of a disk are not known to be right.
struct Unverified {
    disk: Option<usize>,
    error: PluginError,
}

impl Verify {
    /// Verifies on a thread of its own: beside the copy what the copy does not read itself, and the rest once `copied` says that nothing is read any more.
    /// Sets `wrong` when a digest differs.
    fn start(
        self,
        wrong: Arc<AtomicBool>,
        stop: impl Fn() -> bool + Send + 'static,
        copied: Receiver<()>,
    ) -> Result<JoinHandle<Result<Verified, Unverified>>> {
        let of_disk = |(disk, files, transport): (usize, Vec<String>, Arc<Stated>)| {
            files.into_iter().map(move |file| (disk, file, Arc::clone(&transport)))
        };
        let files: Vec<(usize, String, Arc<Stated>)> = self.files.into_iter().flat_map(of_disk).collect();
        let work = move || {
            let mut right = vec![0; files.len()];
            let mut check = |how: &dyn Fn(&Stated, &str) -> Result<usize>| -> Result<(), Unverified> {
                for ((disk, file, transport), right) in files.iter().zip(&mut right) {
                    *right += how(transport, file).map_err(|error| {
                        wrong.store(true, Ordering::Relaxed);
                        Unverified { disk: Some(*disk), error }
                    })?;
                }
                Ok(())
            };
            check(&|transport, file| transport.check_apart(file, &stop))?;
            let mut findings = Vec::new();
            for (disk, file, transport) in &files {
                let unchecked = transport.unchecked(file);
                findings.extend(unchecked.map_err(|error| Unverified { disk: Some(*disk), error })?);
            }
            // A copy that failed has nothing more to say.
            if copied.recv().is_ok() {
                check(&|transport, file| transport.check_pass(file, &stop))?;
            }
            let right = files.iter().zip(&right).filter(|(_, right)| **right > 0);
            Ok(Verified { files: right.map(|((_, file, _), _)| file.clone()).collect(), findings })
        };
        std::thread::Builder::new()
            .name("verify".to_owned())
            .spawn(work)
            .map_err(|error| PluginError::io(format!("no thread can be started: {error}")))
    }
}

/// What the digests that the source states came to.
#[derive(Default)]
pub(super) struct Verified {
    /// The files whose content is what the source states.
    pub files: Vec<String>,
    /// What the source states and nobody here can check.
    pub findings: Vec<Finding>,
}

/// What the bulk copy came to.
#[derive(Default)]
pub(super) struct Copied {
    /// Each disk that had to be copied, or was found copied, by its index.
    pub disks: BTreeMap<usize, CopyOutcome>,
    /// What their source states of them.
    pub verified: Verified,
}

/// A copy that runs in the background. Dropping it stops it.
pub(super) struct Copying {
    outcome: Option<Receiver<(Result<Copied>, Instant)>>,
    watch: Arc<Watch>,
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
}

impl Copying {
    /// Starts to copy these disks, one after the other, each with all processors; and beside that to hold their `files` against the digests
    /// that the source states.
    pub fn start(tasks: Vec<CopyTask>, verify: Verify, records: Records, services: &Services) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, cancel, events) = (Arc::clone(&stop), Arc::clone(services.cancel()), services.events().clone());
        let failed = Arc::new(AtomicBool::new(false));
        let has_failed = Arc::clone(&failed);
        let watch = Arc::new(Watch::default());
        let watched = Arc::clone(&watch);
        let (send, outcome) = channel();
        let work = move || {
            let wrong = Arc::new(AtomicBool::new(false));
            let (all_copied, nothing_is_read) = channel();
            let stop = {
                let (stopped, cancel) = (Arc::clone(&stopped), Arc::clone(&cancel));
                move || stopped.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed)
            };
            let verifying = verify.start(Arc::clone(&wrong), stop, nothing_is_read)?;
            let cancelled =
                || stopped.load(Ordering::Relaxed) || cancel.load(Ordering::Relaxed) || wrong.load(Ordering::Relaxed);
            let copy = |task: &CopyTask| Ok((task.index, copy(task, &watched, &records, &cancelled, &events)?));
            let copied: Result<_> = tasks.iter().map(copy).collect();
            if copied.is_ok() {
                // A thread that has found a wrong digest listens no more.
                let _ = all_copied.send(());
            }
            drop(all_copied);
            // A copy that was stopped from outside has another reason; digesting the rest of a large file for it helps nobody.
            let verified = match &copied {
                Err(_) if !wrong.load(Ordering::Relaxed) => Ok(Verified::default()),
                _ => verifying.join().unwrap_or_else(|_| {
                    Err(Unverified { disk: None, error: PluginError::defect("the thread that verifies panicked") })
                }),
            };
            let verified = verified.map_err(|Unverified { disk, error }| {
                let is_wrong = |task: &&CopyTask| error.kind == ErrorKind::Unusable && Some(task.index) == disk;
                tasks.iter().filter(is_wrong).for_each(|task| task.forget(&records));
                error
            });
            let copied = verified.and_then(|verified| Ok(Copied { disks: copied?, verified }));
            has_failed.store(copied.is_err(), Ordering::Relaxed);
            copied
        };
        std::thread::Builder::new()
            .name("copy".to_owned())
            // Nobody listens any more when the source had stalled.
            .spawn(move || {
                let copied = work();
                drop(send.send((copied, Instant::now())));
            })
            .map_err(|error| PluginError::io(format!("no thread can be started: {error}")))?;
        Ok(Self { outcome: Some(outcome), watch, stop, failed })
    }

    /// Whether it has failed: there is no use in fixing a guest whose disks cannot be copied.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits for the end, and says when it was; but not for a source that does not answer: its thread is left behind, and ends with the process.
    pub fn join(&mut self) -> (Result<Copied>, Instant) {
        let ended_now = |copied| (copied, Instant::now());
        let Some(outcome) = self.outcome.take() else { return ended_now(Ok(Copied::default())) };
        loop {
            match outcome.recv_timeout(LOOK_AGAIN) {
                Ok(copied) => return copied,
                Err(RecvTimeoutError::Disconnected) => {
                    return ended_now(Err(PluginError::defect("the copy thread panicked")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(error) = self.watch.stalled(PATIENCE) {
                        return ended_now(Err(error));
                    }
                }
            }
        }
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // On the way out of another failure: that one is reported.
        let _ = self.join();
    }
}

fn copy(
    task: &CopyTask,
    watch: &Arc<Watch>,
    records: &Records,
    cancelled: &(dyn Fn() -> bool + Sync),
    events: &EventSink,
) -> Result<CopyOutcome> {
    let progress = |progress: Progress| {
        events.emit(Event::Progress {
            stage: Stage::Flatten,
            task: "copy".to_owned(),
            disk: u32::try_from(task.index).ok(),
            done_bytes: progress.done,
            // What is known from the map at first; more only if the source says otherwise later.
            total_bytes: progress.data.max(task.data_bytes),
        });
    };
    let name = record_name(task.index);
    let source = Watched::new(Arc::clone(&task.source), Arc::clone(watch));
    let request = CopyRequest { source: &source, ..task.request(records, &name) };
    copy_image(&request, &Control { cancelled, progress: &progress })
}
