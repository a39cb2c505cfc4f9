//! Ways to a disk's bytes, and what goes along one.
//!
//! A catalog lists the ways of each disk, best first; a transport carries some kinds of them. Both agree on words; the host compares them
//! and knows none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::growth::grows;
use super::{Hold, SourceRef, VmSpec};

/// One way to the bytes of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Way {
    /// The kind of reference, a word of the plugins: `file`, `datastore-file`, `nfc-lease`, ...
    pub scheme: String,
    /// The reference, opaque to all but the transport that carries the scheme. Never holds a secret.
    pub object: String,
    /// Format of what the reference names, e.g. `vmdk`, `qcow2`, `raw`: chooses the flattener. `raw`: the transport gives the disk as the
    /// guest sees it.
    pub format: String,
    /// It can only be read from its beginning to its end: [`crate::Fetcher::deliver`] brings it, [`crate::Fetcher::transport`] does not.
    #[serde(default)]
    pub stream: bool,
    /// Why it stands before those behind it, for people; empty: nobody says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Further words for the transport.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

impl Way {
    /// A way by reference to something of this format.
    pub fn new(scheme: impl Into<String>, object: impl Into<String>, format: impl Into<String>) -> Self {
        Self {
            scheme: scheme.into(),
            object: object.into(),
            format: format.into(),
            stream: false,
            reason: String::new(),
            extra: BTreeMap::new(),
        }
    }
}

/// All that a transport is given to open one way: the source as the user named it, the VM, what is held at the source, the way itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// The source.
    pub source: SourceRef,
    /// The VM as the catalog described it.
    pub vm: VmSpec,
    /// What is held for this run.
    pub hold: Hold,
    /// Which disk: an index into `VmSpec::disks`.
    pub disk: u32,
    /// The way.
    pub way: Way,
}

impl Link {
    /// A way to a disk of a VM at which nothing is held.
    pub fn new(source: SourceRef, vm: VmSpec, disk: u32, way: Way) -> Self {
        Self { source, vm, hold: Hold::nothing(), disk, way }
    }
}

/// A stream that was brought into a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Delivered {
    /// The disk's topmost file, a plain name in the folder.
    pub file: String,
    /// Its format.
    pub format: String,
    /// Bytes that were received for it by this call; 0 when a former one had brought it.
    pub bytes: u64,
}

impl Delivered {
    /// A file of this format, of which this call received so many bytes.
    pub fn new(file: impl Into<String>, format: impl Into<String>, bytes: u64) -> Self {
        Self { file: file.into(), format: format.into(), bytes }
    }
}

/// A digest that the source itself states of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatedDigest {
    /// The object, for [`crate::Transport::open`]: the one that was asked about, or one that it is made from.
    pub object: String,
    /// `sha1`, `sha256` or `sha512`. One that the host does not know is told and not checked.
    pub algorithm: String,
    /// The digest in lower-case hexadecimal digits.
    pub hex: String,
    /// Who states it, for a sentence: `the manifest`.
    pub stated_by: String,
}

impl StatedDigest {
    /// A digest of an object, and who states it.
    pub fn new(
        object: impl Into<String>,
        algorithm: impl Into<String>,
        hex: impl Into<String>,
        stated_by: impl Into<String>,
    ) -> Self {
        Self { object: object.into(), algorithm: algorithm.into(), hex: hex.into(), stated_by: stated_by.into() }
    }
}

grows!(Way, Link, Delivered, StatedDigest);
