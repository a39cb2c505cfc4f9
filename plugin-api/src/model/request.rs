//! What the host asks of the stages.

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Inspection, Machine, VmSpec};

/// The source as the user named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourceRef {
    /// A path or a URI, as given.
    pub uri: String,
    /// Further disks of the same VM (`--disk`), in order.
    #[serde(default)]
    pub extra_disks: Vec<String>,
    /// Which VM, where the source has several.
    #[serde(default)]
    pub vm: Option<String>,
}

impl SourceRef {
    /// A path or a URI.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), extra_disks: Vec::new(), vm: None }
    }
}

/// A disk to open as a flat view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FlattenDisk {
    /// Reference of the topmost file for the `Transport`.
    pub object: String,
    /// Its format.
    pub format: String,
}

impl FlattenDisk {
    /// The chain whose topmost file is this.
    pub fn new(object: impl Into<String>, format: impl Into<String>) -> Self {
        Self { object: object.into(), format: format.into() }
    }
}

/// A guest's disks to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpenGuest {
    /// The machine.
    pub vm: VmSpec,
    /// The source as the user named it, for a guest that is reached there and not by its disks.
    pub source: SourceRef,
    /// The user allows a guest that runs to be changed. To be read it may be opened without.
    #[serde(default)]
    pub live: bool,
    /// Its disks in order, as local image files.
    #[serde(default)]
    pub disks: Vec<AttachedDisk>,
    /// Changes will be applied; otherwise nothing may be written to the disks.
    pub writable: bool,
    /// A private folder for temporary files of this run. Its path may be too long for sockets.
    pub work_dir: String,
    /// A private folder for sockets, with a path of at most 70 bytes. It is taken away when the run has ended, even one that was killed.
    /// Empty when the host has none to offer.
    #[serde(default)]
    pub socket_dir: String,
    /// Names of secrets that hold keys of encrypted volumes, as `SELECTOR` of `--key` and secret name.
    #[serde(default)]
    pub keys: Vec<(String, String)>,
    /// Which filesystem is the root (`--root`): a device as the inspector names it, `UUID=...` or `LABEL=...`. `None`: the inspector
    /// chooses by rule, and names the others in its findings.
    #[serde(default)]
    pub root: Option<String>,
}

impl OpenGuest {
    /// A guest to be read, with its disks still to be named.
    pub fn new(vm: VmSpec, source: SourceRef, work_dir: impl Into<String>) -> Self {
        Self {
            vm,
            source,
            live: false,
            disks: Vec::new(),
            writable: false,
            work_dir: work_dir.into(),
            socket_dir: String::new(),
            keys: Vec::new(),
            root: None,
        }
    }
}

/// An image file that a program is to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttachedDisk {
    /// Absolute path.
    pub path: String,
    /// Its format: never probed.
    pub format: String,
}

impl AttachedDisk {
    /// An image of a format.
    pub fn new(path: impl Into<String>, format: impl Into<String>) -> Self {
        Self { path: path.into(), format: format.into() }
    }
}

/// Make a copy-on-write overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CreateOverlay {
    /// Where.
    pub overlay: String,
    /// Backing file path or NBD URI.
    pub backing: String,
    /// Format of the backing file (`raw` for an NBD export).
    pub backing_format: String,
    /// Virtual size in bytes.
    pub size_bytes: u64,
}

impl CreateOverlay {
    /// An overlay on a backing file of a format and a size.
    pub fn new(
        overlay: impl Into<String>,
        backing: impl Into<String>,
        backing_format: impl Into<String>,
        size_bytes: u64,
    ) -> Self {
        Self { overlay: overlay.into(), backing: backing.into(), backing_format: backing_format.into(), size_bytes }
    }
}

/// Move what an overlay holds onto an image of the same content as its backing. What was discarded in the overlay takes no room in the
/// image any more, where its format allows that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommitOverlay {
    /// The overlay.
    pub overlay: String,
    /// The image that takes its content.
    pub image: String,
    /// The image's format.
    pub format: String,
}

impl CommitOverlay {
    /// What the overlay holds onto an image of a format.
    pub fn new(overlay: impl Into<String>, image: impl Into<String>, format: impl Into<String>) -> Self {
        Self { overlay: overlay.into(), image: image.into(), format: format.into() }
    }
}

/// Convert an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Convert {
    /// What to read.
    pub source: String,
    /// Its format.
    pub source_format: String,
    /// Where to write; must not exist.
    pub target: String,
    /// The format to write.
    pub target_format: String,
    /// Compress the data where the format can.
    #[serde(default)]
    pub compress: bool,
}

impl Convert {
    /// From an image of a format to another.
    pub fn new(
        source: impl Into<String>,
        source_format: impl Into<String>,
        target: impl Into<String>,
        target_format: impl Into<String>,
    ) -> Self {
        Self {
            source: source.into(),
            source_format: source_format.into(),
            target: target.into(),
            target_format: target_format.into(),
            compress: false,
        }
    }
}

/// A boot test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TestRequest {
    /// The machine to start. Its disks' images are throw-away overlays that the host made: they may be written to, and are gone afterwards.
    pub machine: Machine,
    /// What its disks say; `None` when they were not inspected.
    #[serde(default)]
    pub inspection: Option<Inspection>,
    /// Folder that takes console log and screenshot.
    pub evidence_dir: String,
    /// A private folder for temporary files. Its path may be too long for sockets.
    pub work_dir: String,
    /// A private folder for sockets, with a path of at most 70 bytes.
    pub socket_dir: String,
    /// Give up after this many seconds.
    pub timeout_seconds: u64,
    /// What must be seen.
    #[serde(default)]
    pub expect: TestExpectation,
}

impl TestRequest {
    /// A boot test that is given up after five minutes.
    pub fn new(
        machine: Machine,
        evidence_dir: impl Into<String>,
        work_dir: impl Into<String>,
        socket_dir: impl Into<String>,
    ) -> Self {
        Self {
            machine,
            inspection: None,
            evidence_dir: evidence_dir.into(),
            work_dir: work_dir.into(),
            socket_dir: socket_dir.into(),
            timeout_seconds: 300,
            expect: TestExpectation::default(),
        }
    }
}

/// What a boot test must see beyond a guest that came up (its login prompt, or whatever else proves that of this guest).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TestExpectation {
    /// An sshd must answer at this address of the guest (reached through user networking).
    #[serde(default)]
    pub ssh_address: Option<String>,
    /// Port of that sshd.
    #[serde(default)]
    pub ssh_port: Option<u16>,
}

grows!(
    SourceRef,
    FlattenDisk,
    OpenGuest,
    AttachedDisk,
    CreateOverlay,
    CommitOverlay,
    Convert,
    TestRequest,
    TestExpectation,
);
