//! Every step of a flatten at which the program can be killed, a write torn, the disk be full or broken, or the power go.
//!
//! A flatten is a copy and the final name. After each fault the same flatten runs again, and these must hold: the final name is absent or
//! right at every moment; the second run ends right; it reads nothing again that was committed; what ended well survives a power cut.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Result};

use super::super::commit::Pace;
use super::super::image::copy_at;
use super::super::{Control, CopyRequest, ImageFormat, Progress, Target, content_sha256};
use super::sources::MapSource;
use crate::journal::crash::{Disk, Fault, Kept};
use crate::journal::{Fence, Lock, Patience, Records, StageKey, promote};

/// A small disk with data in five spans, so that there are commits between, an odd end, and for qcow2 a second L2 table. Gives also where
/// the spans begin; past the last, nothing is read.
fn source(format: ImageFormat) -> (MapSource, [u64; 6]) {
    const SPAN: u64 = 2 << 20;
    let far = if format == ImageFormat::Qcow2 { 300 } else { 3 };
    let spans = [0, SPAN, 2 * SPAN, far * SPAN, (far + 1) * SPAN];
    let (mut runs, mut at) = (Vec::new(), 0);
    for (start, length) in spans.into_iter().zip([196_608, 131_072, 262_144, 65_536, 70_144]) {
        runs.extend([(start - at, false), (length, true)]);
        at = start + length;
    }
    runs.remove(0);
    let mut source = MapSource::alternating(&runs);
    source.zero_every = 5;
    let [a, b, c, d, e] = spans;
    (source, [a, b, c, d, e, u64::MAX])
}

/// One thread and a commit for each span, so that the steps come in the same order every time.
const PACE: Pace = Pace { bytes: 1, after: Duration::ZERO, workers: Some(1) };

/// What `flatten` does to the disk, in a folder that holds `out` and `work`.
fn flatten(source: &MapSource, folder: &Path, format: ImageFormat) -> Result<()> {
    let (records, key) = (Records::in_folder(&folder.join("work"), Fence::default()), StageKey::new(&["fingerprint"]));
    let (target, image) = (folder.join("out/disk.part"), folder.join("out/disk"));
    if image.exists() {
        return Ok(());
    }
    let request = CopyRequest {
        source,
        target: &Target::File(target.clone(), format),
        records: &records,
        name: "copy-1",
        key: &key,
    };
    copy_at(PACE, &request, &Control::unattended())?;
    promote(&target, &image)
}

/// The clusters of an image that are not zero; of qcow2 by following the tables, as qemu would.
fn content(image: &Path, format: ImageFormat, size: u64) -> BTreeMap<usize, Vec<u8>> {
    const CLUSTER: usize = 65_536;
    let file = std::fs::read(image).unwrap();
    let mut clusters = BTreeMap::new();
    let mut add = |cluster: usize, at: usize| {
        let mut bytes = file[at.min(file.len())..(at + CLUSTER).min(file.len())].to_vec();
        bytes.resize(CLUSTER.min(size as usize - cluster * CLUSTER), 0);
        if bytes.iter().any(|byte| *byte != 0) {
            clusters.insert(cluster, bytes);
        }
    };
    if format == ImageFormat::Raw {
        assert_eq!(file.len() as u64, size);
        (0..file.len().div_ceil(CLUSTER)).for_each(|cluster| add(cluster, cluster * CLUSTER));
        return clusters;
    }
    let number = |at: usize| u64::from_be_bytes(file[at..at + 8].try_into().unwrap());
    let place = |at: usize| Some((number(at) & 0x00ff_ffff_ffff_fe00) as usize).filter(|place| *place != 0);
    assert_eq!((&file[..4], number(24)), (&b"QFI\xfb"[..], size));
    let l1 = number(40) as usize;
    for (index, table) in
        (0..size.div_ceil(512 << 20) as usize).filter_map(|index| Some((index, place(l1 + index * 8)?)))
    {
        for (entry, at) in (0..8192).filter_map(|entry| Some((entry, place(table + entry * 8)?))) {
            add(index * 8192 + entry, at);
        }
    }
    clusters
}

/// The same of a source.
fn clusters(source: &MapSource) -> BTreeMap<usize, Vec<u8>> {
    let disk = source.bytes();
    let clusters = disk.chunks(65_536).map(<[u8]>::to_vec).enumerate();
    clusters.filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0)).collect()
}

struct Scene {
    source: MapSource,
    spans: [u64; 6],
    truth: BTreeMap<usize, Vec<u8>>,
    format: ImageFormat,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(format: ImageFormat) -> Self {
        let (source, spans) = source(format);
        let truth = clusters(&source);
        Self { source, spans, truth, format, folder: tempfile::tempdir().unwrap() }
    }

    fn run(&self, folder: &Path) -> Result<()> {
        flatten(&self.source, folder, self.format)
    }

    fn is_right(&self, folder: &Path) -> bool {
        content(&folder.join("out/disk"), self.format, self.source.size()) == self.truth
    }

    fn fresh(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        folder
    }

    /// The steps of a run without a fault.
    fn steps(&self) -> Vec<String> {
        let folder = self.fresh();
        let disk = Disk::new(folder.path(), None);
        self.run(folder.path()).unwrap();
        disk.steps()
    }
}

const ENOSPC: Fault = Fault::Error(libc::ENOSPC);
const EIO: Fault = Fault::Error(libc::EIO);
const KEPT: [Kept; 4] = [Kept::Nothing, Kept::Names, Kept::Content, Kept::Half];

fn faults() -> Vec<Fault> {
    [Fault::Kill, Fault::Torn, ENOSPC, EIO].into_iter().chain(KEPT.map(Fault::PowerCut)).collect()
}

/// A fault at every step, then the same again without one.
fn every_fault_at_every_step(format: ImageFormat) {
    let scene = Scene::new(format);
    let steps = scene.steps();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut continued = 0;
    for (number, step) in steps.iter().enumerate() {
        for fault in faults().into_iter().filter(|fault| *fault != Fault::Torn || step.starts_with("write")) {
            let context = format!("{fault:?} at step {number}, {step}");
            let folder = scene.fresh();
            let root = folder.path();
            let disk = Disk::new(root, Some((number, fault)));
            let outcome = scene.run(root);
            assert_eq!(disk.steps()[number], *step, "{context}: the steps are not the same every time");
            if outcome.is_ok() {
                // What could not be synced was copied again. What ended well survives the worst.
                assert!(step.starts_with("sync disk.part"), "{context}: ended well");
                disk.cut_power(Kept::Nothing);
            }
            drop(disk);
            check_kind(&outcome, fault, step, &context);
            let there = root.join("out/disk").exists();
            assert!(there || outcome.is_err(), "{context}: the result is gone");
            assert!(!there || scene.is_right(root), "{context}: a wrong result has its final name");

            scene.source.lowest_read.store(u64::MAX, Ordering::Relaxed);
            scene.run(root).unwrap_or_else(|error| panic!("{context}: the second run failed: {error}"));
            assert!(scene.is_right(root), "{context}: the second run ended wrong");
            let lowest = scene.source.lowest_read.load(Ordering::Relaxed);
            let committed = steps[..number].iter().filter(|step| *step == "sync copy-1.log").count().saturating_sub(1);
            assert!(
                lowest >= scene.spans[committed],
                "{context}: {lowest} was read again, and {committed} spans were committed"
            );
            continued += usize::from(lowest > 0);
            *counts.entry(format!("{fault:?}")).or_default() += 1;
        }
    }
    let points: usize = counts.values().sum();
    println!("{}: {} steps, {points} faults, {continued} continued: {counts:?}", format.as_str(), steps.len());
    assert!(steps.len() >= 30 && continued > points / 2, "{steps:#?}");
}

fn check_kind(outcome: &Result<()>, fault: Fault, step: &str, context: &str) {
    let Err(error) = outcome else { return };
    match fault {
        // What cannot even be created is the output's fault, whatever the reason.
        EIO if step.starts_with("create disk.part") => assert_eq!(error.kind, ErrorKind::Output, "{context}: {error}"),
        ENOSPC => assert_eq!(error.kind, ErrorKind::Output, "{context}: {error}"),
        EIO => assert_eq!(error.kind, ErrorKind::Io, "{context}: {error}"),
        _ => {}
    }
}

#[test]
fn qcow2_survives_every_fault_at_every_step() {
    every_fault_at_every_step(ImageFormat::Qcow2);
}

#[test]
fn raw_survives_every_fault_at_every_step() {
    every_fault_at_every_step(ImageFormat::Raw);
}

/// What was synced is there after a flatten that ended well, whatever else the disk keeps.
#[test]
fn a_finished_flatten_survives_a_power_cut() {
    for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
        let scene = Scene::new(format);
        for kept in KEPT {
            let folder = scene.fresh();
            let disk = Disk::new(folder.path(), None);
            scene.run(folder.path()).unwrap();
            disk.cut_power(kept);
            drop(disk);
            assert!(scene.is_right(folder.path()), "{kept:?}");
        }
    }
}

/// What a run on another content left is not continued: neither its image nor its log.
#[test]
fn a_changed_source_begins_anew() {
    let scene = Scene::new(ImageFormat::Qcow2);
    let steps = scene.steps();
    let last = steps.iter().rposition(|step| step.starts_with("write disk.part")).unwrap();
    let folder = scene.fresh();
    let disk = Disk::new(folder.path(), Some((last, Fault::Kill)));
    scene.run(folder.path()).unwrap_err();
    drop(disk);
    let (mut other, _) = source(ImageFormat::Qcow2);
    other.zero_every = 3;
    let (records, key) =
        (Records::in_folder(&folder.path().join("work"), Fence::default()), StageKey::new(&["another fingerprint"]));
    let target = folder.path().join("out/disk.part");
    let format = ImageFormat::Qcow2;
    let request = CopyRequest {
        source: &other,
        target: &Target::File(target.clone(), format),
        records: &records,
        name: "copy-1",
        key: &key,
    };
    let outcome = copy_at(PACE, &request, &Control::unattended()).unwrap();
    assert_eq!(outcome.content_sha256, content_sha256(&other, &Control::unattended()).unwrap());
    assert_eq!(other.lowest_read.load(Ordering::Relaxed), 0);
    assert!(content(&target, format, other.size()) == clusters(&other));
}

/// A run loses its lock while it copies, and another one begins: the first changes nothing any more, and the second ends right.
#[test]
fn a_run_that_lost_its_lock_changes_nothing() {
    for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
        let scene = Scene::new(format);
        let folder = scene.fresh();
        let (work, target) = (folder.path().join("work"), folder.path().join("out/disk.part"));
        let (source, key) = (&scene.source, StageKey::new(&[]));
        let take = || Records::in_folder(&work, Lock::work(&work, &mut Patience::of_a_test()).unwrap().1);
        let files = || [&target, &work.join("copy.log"), &work.join("lock")].map(|path| std::fs::read(path).unwrap());
        let copy = |records: &Records, control: &Control<'_>| {
            let request =
                CopyRequest { source, target: &Target::File(target.clone(), format), records, name: "copy", key: &key };
            copy_at(PACE, &request, control)
        };
        let taken = OnceLock::new();
        let progress = |_: Progress| _ = taken.get_or_init(|| (take(), files()));
        let stale = take();
        let error = copy(&stale, &Control { progress: &progress, ..Control::unattended() }).unwrap_err();
        let (records, left) = taken.into_inner().unwrap();
        assert_eq!(error.kind, ErrorKind::Temporary);
        let me = std::process::id();
        assert_eq!(error.message, format!("another run (process {me}) has taken over {}", work.display()));
        assert!(files() == left);
        for refused in [copy(&stale, &Control::unattended()).map(drop), stale.write("copy", &key, &())] {
            assert_eq!(refused.unwrap_err().message, error.message);
        }
        assert!(files() == left);
        copy(&records, &Control::unattended()).unwrap();
        assert!(content(&target, format, source.size()) == scene.truth);
    }
}

/// The digest and the figures of a continued copy are those of one in one go, and qemu finds nothing wrong with the image.
#[test]
fn a_continued_copy_is_the_same() {
    for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
        let scene = Scene::new(format);
        let folder = scene.fresh();
        let records = Records::in_folder(folder.path(), Fence::default());
        let (target, key) = (folder.path().join("disk.part"), StageKey::new(&[]));
        let source = &scene.source;
        let request = CopyRequest {
            source,
            target: &Target::File(target.clone(), format),
            records: &records,
            name: "copy",
            key: &key,
        };
        for position in scene.spans {
            source.lowest_read.store(u64::MAX, Ordering::Relaxed);
            let past = || source.lowest_read.load(Ordering::Relaxed) != u64::MAX;
            let stop = Control { cancelled: &past, ..Control::unattended() };
            assert_eq!(copy_at(PACE, &request, &stop).unwrap_err().kind, ErrorKind::Interrupted);
            assert!(source.lowest_read.load(Ordering::Relaxed) <= position);
        }
        let outcome = copy_at(PACE, &request, &Control::unattended()).unwrap();
        let whole = super::copy(source, &folder.path().join("whole"), format, &Control::unattended()).unwrap();
        assert_eq!(outcome, whole);
        let (whole, target) = (folder.path().join("whole"), target.to_str().unwrap());
        super::images::qemu_img(&[
            "compare",
            "-f",
            format.as_str(),
            "-F",
            format.as_str(),
            whole.to_str().unwrap(),
            target,
        ]);
        if format == ImageFormat::Qcow2 {
            super::images::qemu_img(&["check", "-f", "qcow2", target]);
        }
    }
}
