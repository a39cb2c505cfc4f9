//! `createType`: the subformats of VMDK, which of them are read, and why the others are not.

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::fault::{EXPORT_FIRST, shown, unusable};

/// A subformat that this plugin reads, spelled as the specification does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateType(&'static str);

/// The names of "Virtual Disk Format 5.0", section "createType", those that ESX writes, and the older spelling of the split ones.
const READ: &[(&str, &str)] = &[
    ("monolithicSparse", "monolithicSparse"),
    ("monolithicFlat", "monolithicFlat"),
    ("twoGbMaxExtentSparse", "twoGbMaxExtentSparse"),
    ("2GbMaxExtentSparse", "twoGbMaxExtentSparse"),
    ("twoGbMaxExtentFlat", "twoGbMaxExtentFlat"),
    ("2GbMaxExtentFlat", "twoGbMaxExtentFlat"),
    ("streamOptimized", "streamOptimized"),
    ("vmfs", "vmfs"),
    ("vmfsThin", "vmfsThin"),
    ("vmfsPreallocated", "vmfsPreallocated"),
    ("vmfsEagerZeroedThick", "vmfsEagerZeroedThick"),
    ("vmfsSparse", "vmfsSparse"),
    ("seSparse", "seSparse"),
];

impl CreateType {
    /// Parses the value of a `createType` line; what cannot be read is refused with the reason.
    pub fn parse(object: &str, text: &str) -> Result<Self> {
        if let Some((_, name)) = READ.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(text)) {
            return Ok(Self(name));
        }
        Err(refusal(object, text))
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

fn refusal(object: &str, text: &str) -> PluginError {
    let lower = text.to_ascii_lowercase();
    let reason = match lower.as_str() {
        "custom" => "its parts are arranged by hand, often on devices",
        "fulldevice" => "it maps a whole device of the machine it was made on",
        "partitioneddevice" => "it maps partitions of a device of the machine it was made on",
        _ if lower.starts_with("vmfsraw") || lower.starts_with("vmfspassthroughraw") => {
            "it maps a raw device of the storage (RDM), and the data is not in this file"
        }
        _ => {
            return unusable(object, format_args!("createType {} is not known", shown(text)))
                .hint("the descriptor is damaged, or newer than this plugin");
        }
    };
    unusable(object, format_args!("createType {} cannot be read: {reason}", shown(text))).hint(EXPORT_FIRST)
}
