//! What the host asks of the stages.

use serde::{Deserialize, Serialize};

use super::{Inspection, VmSpec};

/// The source as the user named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A disk to open as a flat view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlattenDisk {
    /// Reference of the topmost file for the `Transport`.
    pub object: String,
    /// Its format.
    pub format: String,
}

/// A guest's disks to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenGuest {
    /// The machine.
    pub vm: VmSpec,
    /// Its disks in order, as local image files.
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

/// An image file that a program is to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedDisk {
    /// Absolute path.
    pub path: String,
    /// Its format: never probed.
    pub format: String,
}

/// Make a copy-on-write overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Move what an overlay holds onto an image of the same content as its backing. What was discarded in the overlay takes no room in the
/// image any more, where its format allows that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitOverlay {
    /// The overlay.
    pub overlay: String,
    /// The image that takes its content.
    pub image: String,
    /// The image's format.
    pub format: String,
}

/// Convert an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalImage {
    /// Absolute path.
    pub path: String,
    /// Format.
    pub format: String,
    /// Virtual size in bytes.
    pub virtual_size: u64,
}

/// A boot test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRequest {
    /// The machine.
    pub vm: VmSpec,
    /// What its disks say; `None` when TEST runs alone on images that were not inspected.
    #[serde(default)]
    pub inspection: Option<Inspection>,
    /// Its final images in order; not to be written to.
    pub images: Vec<FinalImage>,
    /// The rendered domain.
    pub domain_xml: String,
    /// Folder that takes console log and screenshot.
    pub evidence_dir: String,
    /// A private folder for overlays and sockets.
    pub work_dir: String,
    /// Give up after this many seconds.
    pub timeout_seconds: u64,
    /// What must be seen beyond a login prompt.
    #[serde(default)]
    pub expect: TestExpectation,
}

/// What a boot test must see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TestExpectation {
    /// An sshd must answer at this address of the guest (reached through user networking).
    #[serde(default)]
    pub ssh_address: Option<String>,
    /// Port of that sshd.
    #[serde(default)]
    pub ssh_port: Option<u16>,
}
