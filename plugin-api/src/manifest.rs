//! The manifest: what a plugin says of itself, readable without running it.
//!
//! It is JSON in an ELF section of its own, so that `plugin list` works where a plugin's C library is missing, and says what is
//! missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{PluginError, Result};

/// Name of the ELF section.
pub const MANIFEST_SECTION: &str = ".vmdk2kvm.plugin";

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
    /// The stages it takes part in, as words: see [`Kind`]. One that the host does not know is ignored.
    pub kinds: Vec<String>,
    /// Its settings decide which of its kinds it hands out: having none of a kind is then no broken promise, and what it does have is
    /// preferred to an equal, since the job asks for it.
    #[serde(default)]
    pub kinds_by_settings: bool,
    /// The families of guests it understands, where that matters.
    #[serde(default)]
    pub guests: Vec<String>,
    /// Free words: formats, URI schemes, features. A fetcher that wants a process of its own names the schemes of its sources and ways here: for
    /// others its process is not started. Without any it is started for all.
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
    /// Files below folders that its settings name, without which it does nothing: nobody's package has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setting_files: Vec<SettingFiles>,
    /// Command-line flags that stand for keys of its settings table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Names of the secrets that it may ask for; a trailing `*` stands for any ending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Among several plugins that suit a stage equally, the one with the highest number is taken; 0 claims nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub preference: u32,
    /// Whether it must run in a process of its own.
    #[serde(default, skip_serializing_if = "Process::is_shared")]
    pub process: Process,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A stage a plugin takes part in. A manifest has words, of which these are the ones known here.
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

    /// The kind that a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Something the machine must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Need {
    /// Name of the library (soname) or program.
    pub name: String,
    /// The packages that have it.
    pub packages: Packages,
}

/// Names of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Packages {
    /// In Debian and what comes of it; empty: not known.
    #[serde(default)]
    pub deb: String,
    /// In Fedora and what comes of it; empty: not known.
    #[serde(default)]
    pub rpm: String,
}

/// Files that the folder has which a setting names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SettingFiles {
    /// The key of the setting.
    pub key: String,
    /// Paths below that folder, one of which must be there.
    pub any_of: Vec<String>,
}

/// A command-line flag that stands for a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Flag {
    /// The flag without its dashes.
    pub flag: String,
    /// The key of the setting.
    pub key: String,
}

/// The process that a plugin runs in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Process {
    /// It runs in a process of its own, which is started for it alone.
    #[serde(default)]
    pub own: bool,
    /// Variables of that process's environment. `${KEY}` in a value stands for the setting of that key.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

impl Process {
    fn is_shared(&self) -> bool {
        *self == Self::default()
    }
}

/// A key of the plugin's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
    /// Whether it takes part in a stage.
    pub fn is_a(&self, kind: Kind) -> bool {
        self.kinds.iter().any(|word| word == kind.as_str())
    }

    /// The kinds that are known here.
    pub fn known_kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.kinds.iter().filter_map(|word| Kind::from_word(word))
    }

    /// Whether it may ask for a secret.
    pub fn may_ask_for(&self, secret: &str) -> bool {
        self.secrets.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => secret.starts_with(beginning),
            None => name == secret,
        })
    }

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
