//! Values that settings take, beyond plain texts and numbers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Formats of final images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetFormat {
    /// QEMU's own.
    #[default]
    Qcow2,
    /// Bytes as the guest sees them.
    Raw,
    /// VirtualBox.
    Vdi,
    /// VMware.
    Vmdk,
    /// Hyper-V.
    Vhdx,
}

impl TargetFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Qcow2, Self::Raw, Self::Vdi, Self::Vmdk, Self::Vhdx];

    /// The word in arguments, files and JSON; also the ending of the image's file name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
            Self::Vhdx => "vhdx",
        }
    }
}

/// Who reads a guest that is only looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestReader {
    /// A reader of the disks' flat views; an appliance when it cannot.
    #[default]
    Auto,
    /// A reader of the disks' flat views, or nobody.
    Native,
    /// An appliance.
    Appliance,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// In a file, absolute; all of it but a last line feed.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
    /// In a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Where the key of an encrypted volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeySource {
    /// Which volume: a UUID, a device, or `all`.
    pub selector: String,
    /// File that holds the key, absolute. The key is everything in it but a last line feed.
    pub file: PathBuf,
}

/// `SELECTOR:file:PATH`.
impl std::str::FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not SELECTOR:file:PATH");
        let (selector, file) = text.split_once(":file:").ok_or_else(wrong)?;
        if selector.is_empty() || file.is_empty() {
            return Err(wrong());
        }
        Ok(Self { selector: selector.to_owned(), file: PathBuf::from(file) })
    }
}

impl TryFrom<String> for KeySource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeySource> for String {
    fn from(key: KeySource) -> Self {
        format!("{}:file:{}", key.selector, key.file.display())
    }
}

/// Whether the worker is shut in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainmentMode {
    /// As far as the kernel can.
    #[default]
    Auto,
    /// Not at all.
    Off,
    /// A run that cannot be contained is refused.
    Required,
}
