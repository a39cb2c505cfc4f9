//! The sentences in which this plugin complains: which file, what is wrong with it, what to do.
//!
//! Names that come from a descriptor are hostile text, so every name is shown escaped and cut to a readable length.

use vmdk2kvm_plugin_api::PluginError;

/// What to do about a file that does not hold what its own headers say.
pub const COPY_AGAIN: &str = "the file is truncated or damaged: copy it again from its origin and compare the sizes";

/// What to do about a disk that lies on a device or in a form that is not a file format.
pub const EXPORT_FIRST: &str =
    "clone the disk to an ordinary VMDK with VMware's tools first, or give the device itself as a raw disk";

/// What to do about a file that is beyond what VMware writes.
pub const CLONE_FIRST: &str =
    "clone the disk with VMware's tools, which gives it a plain description, and take the clone";

/// What to do about a name that a descriptor cannot say.
pub const RENAME_FIRST: &str =
    "a descriptor cannot hold a name with a quote in it: rename the file, and name it there by its new name";

/// The longest part of a name that a message shows, in characters.
const SHOWN: usize = 200;

/// A name as a message shows it.
pub fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        text.push_str("...");
    }
    text
}

/// Input that cannot be used: `object: message`.
pub fn unusable(object: &str, message: impl std::fmt::Display) -> PluginError {
    PluginError::unusable(format!("{}: {message}", shown(object)))
}

/// Input whose numbers contradict the file: [`unusable`] with the advice to copy it again.
pub fn damaged(object: &str, message: impl std::fmt::Display) -> PluginError {
    unusable(object, message).hint(COPY_AGAIN)
}
