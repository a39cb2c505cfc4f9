//! Why a hive cannot be read, in one sentence without the file's name, which the caller knows.

use std::fmt;

use vmdk2kvm_plugin_api::PluginError;

/// Why a hive cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HiveError {
    /// The bytes are no registry hive, or one of an unknown version.
    NoHive(String),
    /// The header's checksum is wrong: it was torn, or the hive is damaged.
    TornHeader,
    /// Something inside contradicts the format.
    Damaged {
        /// Where, in bytes from the first bin.
        at: u32,
        /// What.
        what: String,
    },
}

impl HiveError {
    /// What a person does about a hive that is not whole.
    pub(super) const REMEDY: &str = "start Windows once and shut it down with: shutdown /s /t 0; if it does not start, restore the hive from a backup";

    pub(super) fn damaged(at: u32, what: impl Into<String>) -> Self {
        Self::Damaged { at, what: what.into() }
    }
}

impl fmt::Display for HiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHive(what) => write!(f, "not a registry hive: {what}"),
            Self::TornHeader => f.write_str("the checksum of the hive's header is wrong"),
            Self::Damaged { at, what } => write!(f, "the registry hive is damaged at {at:#x}: {what}"),
        }
    }
}

impl std::error::Error for HiveError {}

impl From<HiveError> for PluginError {
    fn from(error: HiveError) -> Self {
        Self::unusable(error.to_string()).hint(HiveError::REMEDY)
    }
}

/// A name out of a hive for a sentence: on one line, and nothing that a terminal would obey.
pub(super) fn printable(name: &str) -> String {
    let letter =
        |letter: char| if letter.is_control() { letter.escape_debug().to_string() } else { letter.to_string() };
    name.chars().map(letter).collect()
}
