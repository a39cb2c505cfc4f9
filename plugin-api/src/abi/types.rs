//! Values that cross the boundary, and their conversions.

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RStr, RString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Entry, Extent, ExtentKind, FileKind, Hints, PluginError, Result, Stat};

pub type AbiResult<T> = RResult<T, AbiError>;

/// A [`PluginError`] as JSON: an error is rare, and may get members.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiError {
    pub json: RString,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiExtent {
    pub offset: u64,
    pub length: u64,
    /// 0 data, 1 zero, 2 hole.
    pub kind: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiHints {
    pub alignment: u32,
    pub request: u32,
    pub parallelism: u32,
    /// Zero: room for what comes.
    pub reserved: [u32; 5],
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiStat {
    /// 0 file, 1 folder, 2 symlink, 3 other.
    pub kind: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Zero: room for what comes.
    pub reserved: [u64; 4],
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiEntry {
    pub name: RString,
    pub kind: u32,
    /// Zero: room for what comes.
    pub reserved: u64,
}

impl From<PluginError> for AbiError {
    fn from(error: PluginError) -> Self {
        // Serialising texts and a word cannot fail; an empty document would read as a defect on the other side.
        Self { json: serde_json::to_string(&error).unwrap_or_default().into() }
    }
}

impl From<AbiError> for PluginError {
    fn from(error: AbiError) -> Self {
        from_json(error.json.as_str()).unwrap_or_else(|why| why.context("an error came that cannot be read"))
    }
}

impl From<Extent> for AbiExtent {
    fn from(extent: Extent) -> Self {
        let kind = match extent.kind {
            ExtentKind::Data => 0,
            ExtentKind::Zero => 1,
            ExtentKind::Hole => 2,
        };
        Self { offset: extent.offset, length: extent.length, kind, reserved: 0 }
    }
}

impl From<AbiExtent> for Extent {
    fn from(extent: AbiExtent) -> Self {
        // A kind this side does not know is read as data: slower, never wrong.
        let kind = match extent.kind {
            1 => ExtentKind::Zero,
            2 => ExtentKind::Hole,
            _ => ExtentKind::Data,
        };
        Self { offset: extent.offset, length: extent.length, kind }
    }
}

impl From<Hints> for AbiHints {
    fn from(hints: Hints) -> Self {
        Self {
            alignment: hints.alignment,
            request: hints.request,
            parallelism: u32::from(hints.parallelism),
            reserved: [0; 5],
        }
    }
}

impl From<AbiHints> for Hints {
    fn from(hints: AbiHints) -> Self {
        Self {
            alignment: hints.alignment,
            request: hints.request,
            parallelism: u16::try_from(hints.parallelism).unwrap_or(u16::MAX),
        }
    }
}

fn kind_to_abi(kind: FileKind) -> u32 {
    match kind {
        FileKind::File => 0,
        FileKind::Dir => 1,
        FileKind::Symlink => 2,
        FileKind::Other => 3,
    }
}

fn kind_from_abi(kind: u32) -> FileKind {
    match kind {
        0 => FileKind::File,
        1 => FileKind::Dir,
        2 => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

impl From<Stat> for AbiStat {
    fn from(stat: Stat) -> Self {
        Self {
            kind: kind_to_abi(stat.kind),
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            size: stat.size,
            reserved: [0; 4],
        }
    }
}

impl From<AbiStat> for Stat {
    fn from(stat: AbiStat) -> Self {
        Self { kind: kind_from_abi(stat.kind), mode: stat.mode, uid: stat.uid, gid: stat.gid, size: stat.size }
    }
}

impl From<Entry> for AbiEntry {
    fn from(entry: Entry) -> Self {
        Self { name: entry.name.into(), kind: kind_to_abi(entry.kind), reserved: 0 }
    }
}

impl From<AbiEntry> for Entry {
    fn from(entry: AbiEntry) -> Self {
        Self { name: entry.name.into_string(), kind: kind_from_abi(entry.kind) }
    }
}

/// Largest JSON document taken from the other side, in bytes. The messages here read well after what was being read.
const JSON_LIMIT: usize = 64 << 20;

pub fn to_json<T: Serialize>(value: &T) -> Result<RString> {
    serde_json::to_string(value)
        .map(RString::from)
        .map_err(|error| PluginError::defect(format!("cannot encode: {error}")))
}

pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    if text.len() > JSON_LIMIT {
        return Err(PluginError::defect(format!("it has {} bytes, the limit is {JSON_LIMIT}", text.len())));
    }
    serde_json::from_str(text).map_err(|error| PluginError::defect(error.to_string()))
}

/// Reads what a call was given.
pub fn given<T: DeserializeOwned>(text: RStr<'_>) -> Result<T> {
    from_json(text.as_str()).map_err(|error| error.context("the request cannot be read"))
}
