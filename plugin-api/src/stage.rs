//! The six stage traits that authors implement.
//!
//! Every method but the constructor takes `&self` and may be called from any thread; the host never calls `close` twice. What a
//! method needs is in its request; what lasts longer (progress, cancellation, secrets, settings) came with [`crate::Host`].

use std::sync::Arc;

use crate::model::{
    ChainReport, Changed, CommitOverlay, Convert, CreateOverlay, Define, Defined, Delivered, FixerPlan, FlattenDisk,
    Hold, HoldWish, Inspection, Link, OpenGuest, OsFamily, PlanContext, PowerState, PowerWish, Release, Render,
    Rendered, RolledBack, SourceRef, StatedDigest, TestRequest, Verdict, VmSpec, VmSummary, Way,
};
use crate::{BlockSource, Guest, PluginError, Result};

/// FETCH: knows sources (the control plane), moves bytes (the data plane), or both. The host pairs them: one plugin may describe a VM,
/// and another read its disks.
pub trait Fetcher: Send + Sync {
    /// Whether this fetcher can describe this kind of source: a cheap look at the URI, at most at the path's existence and first
    /// bytes. 0 means no; among several the highest wins.
    fn accepts(&self, source: &SourceRef) -> Result<u32>;

    /// Whether this fetcher can bring bytes along a way: a look at its words. 0 means no; among several that carry the same way the
    /// highest wins. An error of kind [`Cannot`](crate::ErrorKind::Cannot) is a no with its reason, for a way that it knows and that something here is
    /// missing for: plans and reports have it where another way is taken, and errors where none can be.
    fn carries(&self, way: &Way) -> Result<u32> {
        let _ = way;
        Ok(0)
    }

    /// The control plane: what exists.
    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        let _ = source;
        Err(PluginError::cannot("describing a source"))
    }

    /// The data plane: bytes by reference. [`ErrorKind::Cannot`](crate::ErrorKind::Cannot), here or when the first object is opened, lets
    /// the next way try.
    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        let _ = link;
        Err(PluginError::cannot("reading at random"))
    }

    /// Brings what can only be streamed (`Way::stream`) as files into `folder`, which is this disk's own and may hold what a former
    /// call, perhaps of a run that died, left there. The topmost file is named in the answer. Calling again when it is whole brings nothing
    /// again.
    fn deliver(&self, link: &Link, folder: &str) -> Result<Delivered> {
        let _ = (link, folder);
        Err(PluginError::cannot("bringing a stream"))
    }
}

/// The control plane of a source. Has no method that returns disk bytes.
///
/// Only [`hold`](Catalog::hold), [`power`](Catalog::power) and [`release`](Catalog::release) change anything at the source.
pub trait Catalog: Send + Sync {
    /// Every VM of the source, whichever its query names; of a source with a path those below it.
    fn inventory(&self) -> Result<Vec<VmSummary>>;

    /// The VM that the source names, with its disks and their ways; an error that lists the choices when it names none of several.
    fn describe(&self) -> Result<VmSpec>;

    /// Takes what reading needs: a snapshot, a lease, change tracking. Idempotent by the run's id. What the wish does not allow and reading
    /// needs is an error of kind `Blocked` that says which word of the user would allow it.
    fn hold(&self, wish: &HoldWish) -> Result<Hold> {
        let _ = wish;
        Ok(Hold::nothing())
    }

    /// The areas of a disk ([`Disk::id`](crate::model::Disk::id)) that changed between an earlier hold, of whose [`Hold::since`] the word is,
    /// and this one, from a byte on: a page of them. The host asks page after page until one has no `next`, which lies behind `from`. An error
    /// of kind `Unusable` says that the word is of no use any more (tracking began anew): the host copies that disk in full.
    fn changed(&self, hold: &Hold, disk: &str, since: &str, from: u64) -> Result<Changed> {
        let _ = (hold, disk, since, from);
        Err(PluginError::cannot("telling changed areas"))
    }

    /// Asks for or tells the VM's power state, for a cut-over: the host asks the guest to shut down ([`PowerWish::Ask`]) and then for the state
    /// until the machine is off; it never switches one on.
    fn power(&self, wish: PowerWish) -> Result<PowerState> {
        let _ = wish;
        Err(PluginError::cannot("switching power"))
    }

    /// Gives back what is held. Idempotent: what is gone already is no error. Called at the end of a run, after an error, after an
    /// interruption, and by a later run, in another process, for one that died.
    fn release(&self, hold: &Hold, why: Release) -> Result<()> {
        let _ = (hold, why);
        Ok(())
    }
}

/// The data plane of one disk. Has no method that lists or decides.
pub trait Transport: Send + Sync {
    /// Opens an object (`Way::object`, or what [`Transport::resolve`] returned) for reading.
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>>;

    /// The object that the text `name`, found inside `from`, refers to: an extent, a parent. `name` is hostile: what leads
    /// outside of the source's own folder is refused.
    fn resolve(&self, from: &str, name: &str) -> Result<String>;

    /// A text that changes when the object's content changes (for a local file: device, inode, size, times, and a digest of
    /// its ends), from which the host derives stage keys and by which it proves that the source was not touched.
    fn fingerprint(&self, object: &str) -> Result<String>;

    /// The digests that the source itself states of the object's bytes, or of those it is made from (an OVF's manifest, a checksum beside
    /// a file). The host holds the bytes against them, where it can in the pass that copies them, and promotes nothing before they were found
    /// right.
    fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        let _ = object;
        Ok(Vec::new())
    }
}

/// FLATTEN: opens a disk's chain as one flat view, verified, with nothing copied.
pub trait Flattener: Send + Sync {
    /// The formats it reads, e.g. `vmdk`.
    fn formats(&self) -> Vec<String>;

    /// Opens the chain whose topmost file is `disk`. Further files are resolved and opened through `files` only.
    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat>;
}

/// A flat view of a disk.
#[non_exhaustive]
pub struct Flat {
    /// The disk as the guest saw it.
    pub source: Box<dyn BlockSource>,
    /// The chain it is made of.
    pub report: ChainReport,
}

impl Flat {
    /// A view and the chain it is made of.
    pub fn new(source: impl BlockSource + 'static, report: ChainReport) -> Self {
        Self { source: Box::new(source), report }
    }
}

/// INSPECT: opens a guest with all its disks attached and says what it is.
pub trait Inspector: Send + Sync {
    /// How well it suits this request; 0 means not at all. A plain directory, a running machine and a set of images are
    /// different inspectors' business. Asked in descending order; the first that recognises a system is taken.
    fn accepts(&self, request: &OpenGuest) -> Result<u32>;

    /// Opens the guest. A system that is not recognised is an `Inspection` of the unknown family, and no error.
    fn open(&self, request: &OpenGuest) -> Result<Opened>;

    /// Opens the guest to be read, from flat views of its disks, before anything was attached for [`Inspector::open`].
    /// [`ErrorKind::Cannot`](crate::ErrorKind::Cannot), of this call or of a later one to the guest, [`Guest::close`](crate::Guest::close) among them, lets
    /// the next one try. It is asked for where a guest is only looked into, of a plugin with the word `sources` among its manifest's capabilities.
    fn open_sources(&self, request: &OpenGuest, disks: Vec<Arc<dyn BlockSource>>) -> Result<Opened> {
        let _ = (request, disks);
        Err(PluginError::cannot("reading a guest without attached disks"))
    }

    /// [`Inspector::accepts`] for a guest that is disks, of which flat views are there: at most a look at partition tables and the first
    /// sectors of what they name. Asked instead of it, so that no guest is opened by an inspector that cannot know it.
    fn accepts_disks(&self, request: &OpenGuest, disks: Vec<Arc<dyn BlockSource>>) -> Result<u32> {
        let _ = disks;
        self.accepts(request)
    }

    /// Takes back what [`Guest::apply_all`](crate::Guest::apply_all) last did to a guest that runs. Only what is still as it was written then is
    /// put back. Doing it again changes nothing.
    fn roll_back(&self, request: &OpenGuest) -> Result<RolledBack> {
        let _ = request;
        Err(PluginError::cannot("taking changes of a guest back"))
    }
}

/// An opened guest and what was read from it.
#[non_exhaustive]
pub struct Opened {
    /// The guest.
    pub guest: Box<dyn Guest>,
    /// What its disks say.
    pub inspection: Inspection,
}

impl Opened {
    /// A guest and what was read from it.
    pub fn new(guest: impl Guest + 'static, inspection: Inspection) -> Self {
        Self { guest: Box::new(guest), inspection }
    }
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

/// CONVERT: makes overlays, commits them, turns one image format into another; or writes a machine down for a target, and defines it
/// there. A plugin does the one or the other.
pub trait Converter: Send + Sync {
    /// The formats it writes, `overlay` among them when it makes and commits overlays.
    fn formats(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes a qcow2 overlay.
    fn create_overlay(&self, request: &CreateOverlay) -> Result<()> {
        let _ = request;
        Err(PluginError::cannot("making an overlay"))
    }

    /// Commits an overlay onto an image and syncs the image.
    fn commit_overlay(&self, request: &CommitOverlay) -> Result<()> {
        let _ = request;
        Err(PluginError::cannot("committing an overlay"))
    }

    /// Converts an image and syncs the result. Reports progress as task `convert`.
    fn convert(&self, request: &Convert) -> Result<()> {
        let _ = request;
        Err(PluginError::cannot("converting an image"))
    }

    /// The targets it writes machines down for.
    fn targets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Writes a machine down. Pure: the same request gives the same files. What the target cannot express is a finding with a code.
    /// Every text of the machine is hostile.
    fn render(&self, request: &Render) -> Result<Rendered> {
        let _ = request;
        Err(PluginError::cannot("writing a machine down"))
    }

    /// Defines the machine at its target, and starts nothing. What is there and not ours stays; doing it again changes nothing; a step
    /// that fails leaves nothing behind. The images in the request stay as they are.
    fn define(&self, request: &Define) -> Result<Defined> {
        let _ = request;
        Err(PluginError::cannot("defining a machine"))
    }
}

/// TEST: starts the result and waits for evidence.
pub trait Tester: Send + Sync {
    /// Starts the machine, whose disks are throw-away overlays, and waits for evidence. A guest that does not come up is a `Verdict`, not
    /// an error; an error means that the test itself could not be run. Leaves nothing running.
    fn test(&self, request: &TestRequest) -> Result<Verdict>;
}
