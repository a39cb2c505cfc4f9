//! The manifest: what a plugin says of itself, readable without running it.
//!
//! It is JSON in an ELF section of its own, so that `plugin list` works where a plugin's C library is missing, and says what is
//! missing.

use serde::{Deserialize, Serialize};

use crate::{PluginError, Result};

/// Name of the ELF section.
pub const MANIFEST_SECTION: &str = ".vmdk2kvm.plugin";

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Schema number: 1.
    #[serde(deserialize_with = "crate::model::schema::known")]
    pub schema: u32,
    /// The plugin's name: lower case, digits and dashes; also its folder's and package's.
    pub name: String,
    /// The plugin's own version.
    pub version: semver::Version,
    /// Version of the contract it was built against.
    pub api: semver::Version,
    /// One line for people.
    pub summary: String,
    /// SPDX licence expression.
    pub license: String,
    /// The stages it takes part in.
    pub kinds: Vec<Kind>,
    /// Its settings decide which of its kinds it hands out: having none of a kind is then no broken promise, and what it does have is
    /// preferred to an equal, since the job asks for it.
    #[serde(default)]
    pub kinds_by_settings: bool,
    /// The families of guests it understands, where that matters.
    #[serde(default)]
    pub guests: Vec<String>,
    /// Free words: formats, URI schemes, features.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Libraries it opens when it works.
    #[serde(default)]
    pub libraries: Vec<Need>,
    /// Programs it runs.
    #[serde(default)]
    pub programs: Vec<Need>,
    /// Keys of its settings table.
    #[serde(default)]
    pub settings: Vec<Setting>,
}

/// A stage a plugin takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// FETCH.
    Fetcher,
    /// FLATTEN.
    Flattener,
    /// INSPECT.
    Inspector,
    /// PLAN.
    Fixer,
    /// CONVERT.
    Converter,
    /// TEST.
    Tester,
}

impl Kind {
    /// Every kind, in the order of the stages.
    pub const ALL: [Self; 6] =
        [Self::Fetcher, Self::Flattener, Self::Inspector, Self::Fixer, Self::Converter, Self::Tester];

    /// The word for this kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetcher => "fetcher",
            Self::Flattener => "flattener",
            Self::Inspector => "inspector",
            Self::Fixer => "fixer",
            Self::Converter => "converter",
            Self::Tester => "tester",
        }
    }
}

/// Something the machine must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Name of the library (soname) or program.
    pub name: String,
    /// The Debian package that has it.
    pub package: String,
}

/// A key of the plugin's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// `string`, `integer`, `boolean`, `list`, `table`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Default as people would write it.
    pub default: String,
    /// One line.
    pub doc: String,
}

impl Manifest {
    /// Reads a section's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| PluginError::missing("its manifest is not UTF-8"))?;
        let manifest: Self = serde_json::from_str(text.trim_end_matches('\0'))
            .map_err(|error| PluginError::missing(format!("its manifest is malformed: {error}")))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if manifest.name.is_empty() || manifest.name.len() > 64 || !manifest.name.chars().all(plain) {
            return Err(PluginError::missing(
                "its manifest has a name that is not lower case letters, digits and dashes",
            ));
        }
        Ok(manifest)
    }
}
