//! What a fixer wants done to a guest, as plain data.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use super::GrowLayer;
use super::growth::grows;

/// One change of the guest: what, where, why, and what it would look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// Unique within a plan; filled in by the host (`c1`, `c2`, ...), empty when a fixer returns it.
    #[serde(default)]
    pub id: String,
    /// Name of the fixer; filled in by the host.
    #[serde(default)]
    pub fixer: String,
    /// What is done; its `kind` and parameters are members of the change itself.
    #[serde(flatten)]
    pub action: Action,
    /// What it is done to: a path in the guest, or a package, or a kernel, or a device in the inspector's naming.
    pub target: String,
    /// One line for people: what.
    pub summary: String,
    /// One line for people: why.
    pub reason: String,
    /// What it changes, for people: a unified diff, filled in by the host for files of text; for others the fixer's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// Without it the guest does not boot or loses its network: a failure stops the run. Otherwise it becomes a warning.
    pub critical: bool,
}

impl Change {
    /// A change that is not critical: what is done to which target, and why, each in one line for people.
    pub fn new(
        action: Action,
        target: impl Into<String>,
        summary: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            id: String::new(),
            fixer: String::new(),
            action,
            target: target.into(),
            summary: summary.into(),
            reason: reason.into(),
            diff: None,
            critical: false,
        }
    }

    /// The same change, without which the guest does not boot or loses its network.
    #[must_use]
    pub fn critical(self) -> Self {
        Self { critical: true, ..self }
    }
}

/// What is done to the target.
///
/// A guest refuses a kind it does not know, so a plan of a newer fixer fails loudly on an older guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Give the file at `target` this content, all of it. Missing folders are made. Owner, mode and label of an existing file
    /// stay unless `mode` says otherwise.
    WriteFile {
        /// The new content.
        content: Content,
        /// Permission bits, e.g. 0o644; `None` keeps those of the existing file (0o644 for a new one).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
        /// SHA-256 (hex) of the content this change was planned against; `None` when the file must not exist. Applying to any
        /// other content is refused.
        old_sha256: Option<String>,
    },
    /// Remove the file or symlink at `target`.
    Remove {
        /// SHA-256 (hex) of the file's content when planned; `None` for a symlink.
        old_sha256: Option<String>,
    },
    /// Make `target` a symlink, replacing a file or symlink that is there.
    Symlink {
        /// What it points to.
        to: String,
    },
    /// Copy the regular file at `from`, a path in the guest, to `target`. Missing folders are made; a new file gets mode 0o644.
    CopyFile {
        /// What is copied.
        from: String,
        /// SHA-256 (hex) of its content when planned. Copying any other content is refused.
        source_sha256: String,
        /// SHA-256 (hex) of the content at `target` when planned; `None` when nothing must be there.
        old_sha256: Option<String>,
    },
    /// Remove packages with the guest's own package manager, without network.
    RemovePackages {
        /// The package manager.
        manager: PackageManager,
        /// Package names, each checked to be installed.
        packages: Vec<String>,
    },
    /// Rebuild the initramfs at `target` with the guest's own tool.
    RebuildInitramfs {
        /// Kernel release.
        kernel: String,
        /// The guest's tool.
        tool: InitramfsTool,
        /// Drivers it must contain afterwards.
        drivers: Vec<String>,
    },
    /// Append a cpio archive with drivers, what they depend on and the module indexes to the initramfs at `target`. Runs
    /// nothing of the guest.
    ExtendInitramfs {
        /// Kernel release.
        kernel: String,
        /// Drivers it must contain afterwards.
        drivers: Vec<String>,
        /// Further files of the archive, by path inside the initramfs (no leading slash): they override what is there.
        #[serde(default)]
        files: Vec<(String, Content)>,
    },
    /// Copy a file of this machine to `target` in the guest. Missing folders are made; a new file gets mode 0o644. The content travels by
    /// reference: a plan stays readable, and is refused when the file is another one by then.
    CopyIn {
        /// Absolute path on this machine.
        from: String,
        /// Where in that file the content begins, in bytes: a file inside of an image is one of its parts.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset: u64,
        /// SHA-256 (hex) of its content when planned. Copying any other content is refused.
        sha256: String,
        /// Its size in bytes when planned.
        bytes: u64,
        /// SHA-256 (hex) of the content at `target` when planned; `None` when nothing must be there.
        old_sha256: Option<String>,
    },
    /// Change values of the registry hive at `target`, all of them or none, in one write.
    EditRegistry {
        /// The edits. Two of one value must not differ.
        edits: Vec<RegistryEdit>,
    },
    /// Bring the hive or other database at `target` up to date from its own pending logs, as its system would when it starts.
    ReplayLog {
        /// SHA-256 (hex) of the file when planned.
        old_sha256: String,
    },
    /// Make the device at `target`, or what begins on it, larger. Refused when it has neither the one nor the other size.
    Grow {
        /// What of it.
        layer: GrowLayer,
        /// Bytes when planned.
        old_bytes: u64,
        /// Bytes afterwards; a filesystem may leave a few MiB at its end.
        new_bytes: u64,
    },
    /// Change bytes of the device at `target` which are in no file: those of a boot sector. Refused when it has neither the old nor the new ones.
    EditDevice {
        /// Where they begin, in bytes from the device's start.
        offset: u64,
        /// The bytes when planned, in hexadecimal digits.
        old: String,
        /// As many bytes, in hexadecimal digits.
        new: String,
    },
}

impl Action {
    /// Writes `new` over the content `old` that was read; `None`: there must be no file.
    pub fn write_file(old: Option<&[u8]>, new: impl Into<Vec<u8>>) -> Self {
        Self::WriteFile { content: Content::from_bytes(new.into()), mode: None, old_sha256: old.map(sha256_hex) }
    }

    /// Removes a file whose content `old` was read.
    pub fn remove_file(old: &[u8]) -> Self {
        Self::Remove { old_sha256: Some(sha256_hex(old)) }
    }

    /// Writes `new` over the bytes `old` of a device.
    pub fn edit_device(offset: u64, old: &[u8], new: &[u8]) -> Self {
        Self::EditDevice { offset, old: to_hex(old), new: to_hex(new) }
    }

    /// The word for this kind in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::WriteFile { .. } => "write_file",
            Self::Remove { .. } => "remove",
            Self::Symlink { .. } => "symlink",
            Self::CopyFile { .. } => "copy_file",
            Self::CopyIn { .. } => "copy_in",
            Self::EditRegistry { .. } => "edit_registry",
            Self::ReplayLog { .. } => "replay_log",
            Self::RemovePackages { .. } => "remove_packages",
            Self::RebuildInitramfs { .. } => "rebuild_initramfs",
            Self::ExtendInitramfs { .. } => "extend_initramfs",
            Self::Grow { .. } => "grow",
            Self::EditDevice { .. } => "edit_device",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Hexadecimal digits of bytes.
fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The bytes of hexadecimal digits, in either case; an error names what they are of.
pub fn from_hex(digits: &str, of: &str) -> crate::Result<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0])? << 4 | digit(*pair.get(1)?)?).ok();
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    bytes.ok_or_else(|| crate::PluginError::unusable(format!("the {of} is not in pairs of hexadecimal digits")))
}

fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

/// A change of one value of a registry hive, or the removal of one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegistryEdit {
    /// The key, from the hive's root, parts joined by a backslash. A missing one is made.
    pub key: String,
    /// The value's name; empty: the key's default value.
    pub name: String,
    /// What it must hold when it is applied; `None`: it must not exist. Anything else is refused.
    #[serde(default)]
    pub old: Option<RegistryValue>,
    /// What it will hold; `None`: the value is removed.
    #[serde(default)]
    pub new: Option<RegistryValue>,
    /// When there is one, the key is removed with all below it; `name`, `old` and `new` say nothing. SHA-256 (hex) of what the key held
    /// when planned; anything else is refused, a key that is not there is fine. Digested are, of the key and then of each key below it in
    /// their order: the number of values; of each value, in the order of their names in upper case, its name, type and data; the number of
    /// keys below; and in front of each of these its name. Numbers have 64 bits, a type 32, lowest byte first; names (in UTF-8) and data
    /// follow their length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_key_sha256: Option<String>,
}

impl RegistryEdit {
    /// An edit of a value that is not there yet, or of one that is.
    pub fn new(
        key: impl Into<String>,
        name: impl Into<String>,
        old: Option<RegistryValue>,
        new: Option<RegistryValue>,
    ) -> Self {
        Self { key: key.into(), name: name.into(), old, new, old_key_sha256: None }
    }

    /// The removal of a key and all below it; `old_sha256` is the digest of what it holds.
    pub fn remove_key(key: impl Into<String>, old_sha256: impl Into<String>) -> Self {
        Self { old_key_sha256: Some(old_sha256.into()), ..Self::new(key, "", None, None) }
    }
}

/// What a value of a registry holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegistryValue {
    /// Its type's number: 1 a string, 2 one with variables, 3 bytes, 4 a 32-bit number, 7 several strings, 11 a 64-bit number, ...
    #[serde(rename = "type")]
    pub type_number: u32,
    /// Its bytes as they are stored, in hexadecimal digits.
    pub hex: String,
}

impl RegistryValue {
    /// A value of a type.
    pub fn new(type_number: u32, bytes: &[u8]) -> Self {
        Self { type_number, hex: to_hex(bytes) }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> crate::Result<Vec<u8>> {
        from_hex(&self.hex, "data of a registry value")
    }
}

/// The content of a file: text where it is UTF-8, so that a plan can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// UTF-8 text.
    Text(String),
    /// Anything else, as standard base64.
    Base64(String),
}

impl Content {
    /// Wraps bytes, as text when they are UTF-8.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(BASE64_STANDARD.encode(error.as_bytes())),
        }
    }

    /// The bytes.
    pub fn to_bytes(&self) -> crate::Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Base64(text) => BASE64_STANDARD
                .decode(text)
                .map_err(|_| crate::PluginError::unusable("the content of a change is not valid base64")),
        }
    }
}

/// Package managers that can remove a package without network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PackageManager {
    /// `dpkg --purge`.
    Dpkg,
    /// `rpm -e`.
    Rpm,
    /// `apk del`.
    Apk,
    /// `pacman -R`.
    Pacman,
}

/// Tools that build an initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InitramfsTool {
    /// Debian's `update-initramfs`.
    InitramfsTools,
    /// `dracut`.
    Dracut,
    /// Arch's `mkinitcpio`.
    Mkinitcpio,
    /// Alpine's `mkinitfs`.
    Mkinitfs,
    /// Old SUSE's and old Red Hat's `mkinitrd`.
    Mkinitrd,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Applied {
    /// Outcome.
    pub status: AppliedStatus,
    /// What a person may want to know: the tool's last lines, what was skipped.
    #[serde(default)]
    pub detail: String,
}

impl Applied {
    /// An outcome without anything to say of it.
    pub fn new(status: AppliedStatus) -> Self {
        Self { status, detail: String::new() }
    }

    /// Adds what a person may want to know.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// Outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AppliedStatus {
    /// Done, and read back where that is possible.
    Done,
    /// It was so already.
    Unchanged,
    /// It failed; the guest is as before this change. A word of a newer contract is read as this one.
    #[serde(other)]
    Failed,
}

grows!(Change, Applied);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_change_is_the_documented_json() {
        let change = Change::new(Action::write_file(Some(b"abc"), "b\n"), "/etc/x", "what", "why").critical();
        assert_eq!(
            serde_json::to_value(&change).unwrap(),
            serde_json::json!({"id": "", "fixer": "", "kind": "write_file", "content": {"text": "b\n"},
                "old_sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "target": "/etc/x", "summary": "what", "reason": "why", "critical": true})
        );
        assert!(matches!(Action::write_file(None, [0xff]), Action::WriteFile { old_sha256: None, .. }));
        let Action::Remove { old_sha256: Some(digest) } = Action::remove_file(b"") else { panic!("no digest") };
        assert!(digest.starts_with("e3b0c44298fc1c14"));
    }

    #[test]
    fn a_registry_value_is_its_bytes() {
        let value = RegistryValue::new(4, &[0, 0x1a, 0xff]);
        assert_eq!((value.hex.as_str(), value.to_bytes()), ("001aff", Ok(vec![0, 0x1a, 0xff])));
        let read = |hex: &str| RegistryValue { type_number: 3, hex: hex.to_owned() }.to_bytes();
        assert_eq!(read("Ab"), Ok(vec![0xab]));
        for bad in ["0", "0g", "+1", "é"] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.message, "the data of a registry value is not in pairs of hexadecimal digits");
        }
    }

    #[test]
    fn content_that_is_no_text_is_base64() {
        let content = Content::from_bytes(vec![0xff, 0, 1, 2]);
        assert_eq!(content, Content::Base64("/wABAg==".to_owned()));
        assert_eq!(content.to_bytes(), Ok(vec![0xff, 0, 1, 2]));
        for bad in ["/wABAg", "/wAB*g==", "===="] {
            let error = Content::Base64(bad.to_owned()).to_bytes().unwrap_err();
            assert_eq!(error.message, "the content of a change is not valid base64");
        }
    }
}
