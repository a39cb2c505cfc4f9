//! The six stage traits that authors implement.
//!
//! Every method but the constructor takes `&self` and may be called from any thread; the host never calls `close` twice. What a
//! method needs is in its request; what lasts longer (progress, cancellation, secrets, settings) came with [`crate::Host`].

use crate::model::{
    ChainReport, CommitOverlay, Convert, CreateOverlay, FixerPlan, FlattenDisk, Inspection, OpenGuest, OsFamily,
    PlanContext, SourceRef, TestRequest, Verdict, VmSpec,
};
use crate::{BlockSource, Guest, Result};

/// FETCH: finds virtual machines and gives access to their bytes, as two separate faces.
pub trait Fetcher: Send + Sync {
    /// Whether this fetcher knows this kind of source: a cheap look at the URI, at most at the path's existence and first
    /// bytes. 0 means no; among several the highest wins.
    fn accepts(&self, source: &SourceRef) -> Result<u32>;

    /// The control plane: what exists. `None` when this fetcher only moves bytes.
    fn catalog(&self, source: &SourceRef) -> Result<Option<Box<dyn Catalog>>>;

    /// The data plane: bytes by reference. `None` when this fetcher only describes.
    fn transport(&self, source: &SourceRef) -> Result<Option<Box<dyn Transport>>>;
}

/// The control plane of a source. Has no method that returns disk bytes.
pub trait Catalog: Send + Sync {
    /// Every VM of the source.
    fn inventory(&self) -> Result<Vec<VmSpec>>;

    /// The VM that the source names; an error that lists the choices when it names none of several.
    fn describe(&self) -> Result<VmSpec>;
}

/// The data plane of a source. Has no method that lists or decides.
pub trait Transport: Send + Sync {
    /// Opens an object (`Disk::path`, or what [`Transport::resolve`] returned) for reading.
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>>;

    /// The object that the text `name`, found inside `from`, refers to: an extent, a parent. `name` is hostile: what leads
    /// outside of the source's own folder is refused.
    fn resolve(&self, from: &str, name: &str) -> Result<String>;

    /// A text that changes when the object's content changes (for a local file: device, inode, size, times, and a digest of
    /// its ends), from which the host derives stage keys and by which it proves that the source was not touched.
    fn fingerprint(&self, object: &str) -> Result<String>;

    /// Holds all of the object's bytes against the digest that the source itself states for it (an OVF's manifest, a checksum beside a
    /// file), and fails when they differ. `true`: a digest was stated and is right; `false`: none is stated. Reads the object to its end:
    /// the host calls it beside the copy, so that one pass over the storage serves both, and promotes nothing before it has returned.
    fn verify(&self, object: &str) -> Result<bool> {
        let _ = object;
        Ok(false)
    }
}

/// FLATTEN: opens a disk's chain as one flat view, verified, with nothing copied.
pub trait Flattener: Send + Sync {
    /// The formats it reads, e.g. `vmdk`.
    fn formats(&self) -> Vec<String>;

    /// Opens the chain whose topmost file is `disk`. Further files are resolved and opened through `files` only.
    fn flatten(&self, disk: &FlattenDisk, files: std::sync::Arc<dyn Transport>) -> Result<Flat>;
}

/// A flat view of a disk.
pub struct Flat {
    /// The disk as the guest saw it.
    pub source: Box<dyn BlockSource>,
    /// The chain it is made of.
    pub report: ChainReport,
}

/// INSPECT: opens a guest with all its disks attached and says what it is.
pub trait Inspector: Send + Sync {
    /// How well it suits this request; 0 means not at all. A plain directory, a running machine and a set of images are
    /// different inspectors' business.
    fn accepts(&self, request: &OpenGuest) -> Result<u32>;

    /// Opens the guest.
    fn open(&self, request: &OpenGuest) -> Result<Opened>;
}

/// An opened guest and what was read from it.
pub struct Opened {
    /// The guest.
    pub guest: Box<dyn Guest>,
    /// What its disks say.
    pub inspection: Inspection,
}

/// PLAN: says what has to change in a guest. Writes nothing, anywhere.
pub trait Fixer: Send + Sync {
    /// Name of the concern, e.g. `linux-fstab`; unique among all fixers.
    fn name(&self) -> String;

    /// The families it understands; it is not asked about others.
    fn guests(&self) -> Vec<OsFamily>;

    /// Fixers are asked in ascending order: 50 room for what the others write, 100 storage names, 200 boot, 300 network, 400 removal of software, 500 addition,
    /// 900 what must come last (initramfs). Equal numbers by name.
    fn order(&self) -> u32 {
        500
    }

    /// Whether its changes are safe on a running system.
    fn live(&self) -> bool {
        false
    }

    /// What has to change. Deterministic; what is already right gives no change, so that planning again after applying gives
    /// an empty plan.
    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan>;
}

/// CONVERT: makes overlays, commits them, and turns one image format into another.
pub trait Converter: Send + Sync {
    /// The formats it writes.
    fn formats(&self) -> Vec<String>;

    /// Makes a qcow2 overlay.
    fn create_overlay(&self, request: &CreateOverlay) -> Result<()>;

    /// Commits an overlay onto an image and syncs the image.
    fn commit_overlay(&self, request: &CommitOverlay) -> Result<()>;

    /// Converts an image and syncs the result. Reports progress as task `convert`.
    fn convert(&self, request: &Convert) -> Result<()>;
}

/// TEST: starts the result and waits for evidence.
pub trait Tester: Send + Sync {
    /// Boots throw-away overlays of the images. A guest that does not come up is a `Verdict`, not an error; an error means
    /// that the test itself could not be run.
    fn test(&self, request: &TestRequest) -> Result<Verdict>;
}
