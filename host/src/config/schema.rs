//! Every setting there is: its key, what values it takes, and one line about it.
//!
//! This table is what layers are checked against and what the manual prints. [`super::Settings`] holds the same keys as
//! a type; a test keeps the two together.

use crate::config::TargetFormat;
use crate::events::{LogLevel, Stage};

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted path.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// One line.
    pub doc: &'static str,
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// Several texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Number(u64, u64),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// Several of these words.
    Words(fn() -> Vec<&'static str>),
    /// A path; in a file it is relative to the file's folder.
    Path,
    /// Several paths.
    Paths,
    /// A path or a URI.
    Uri,
    /// Several of those.
    Uris,
    /// Several of `SELECTOR:file:PATH`.
    Keys,
    /// Several of `DISK=SIZE`.
    Resizes,
    /// A table: old network name (`*` for all others) to a network, or to `{ network = "..." }` or `{ bridge = "..."
    /// }`.
    Networks,
    /// A table: the name of a secret to `{ file = "..." }`, `{ env = "..." }` or `{ credential = "..." }`.
    Secrets,
    /// A table for each of what this word says, which the plugin itself checks.
    Tables(&'static str),
}

impl Kind {
    /// What a value must be, to stand after "must be".
    pub fn wanted(self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Texts => "a list of texts".into(),
            Self::Flag => "true or false".into(),
            Self::Number(low, high) => format!("a whole number from {low} to {high}"),
            Self::Word(words) => format!("one of {}", words().join(", ")),
            Self::Words(words) => format!("a list of some of {}", words().join(", ")),
            Self::Path => "a path".into(),
            Self::Paths => "a list of paths".into(),
            Self::Uri => "a path or a URI".into(),
            Self::Uris => "a list of paths or URIs".into(),
            Self::Keys => "a list of SELECTOR:file:PATH".into(),
            Self::Resizes => "a list of DISK=SIZE, e.g. 1=+20G".into(),
            Self::Networks => "a table of network names, each with a network or `{ bridge = \"...\" }`".into(),
            Self::Secrets => "a table of secrets, each with `file`, `env` or `credential`".into(),
            Self::Tables(each) => format!("a table for each {each}"),
        }
    }
}

fn formats() -> Vec<&'static str> {
    TargetFormat::ALL.map(TargetFormat::as_str).to_vec()
}

fn stages() -> Vec<&'static str> {
    Stage::ALL.map(Stage::as_str).to_vec()
}

fn skippable() -> Vec<&'static str> {
    super::Job::SKIPPABLE.map(Stage::as_str).to_vec()
}

fn levels() -> Vec<&'static str> {
    (0..=5).map(|number| LogLevel::from_number(number).as_str()).collect()
}

fn buses() -> Vec<&'static str> {
    vec!["virtio", "virtio-scsi", "sata", "ide"]
}

fn cards() -> Vec<&'static str> {
    vec!["virtio", "e1000e", "e1000", "rtl8139"]
}

fn chipsets() -> Vec<&'static str> {
    vec!["q35", "pc"]
}

fn firmwares() -> Vec<&'static str> {
    vec!["bios", "uefi"]
}

fn clocks() -> Vec<&'static str> {
    vec!["utc", "local"]
}

fn videos() -> Vec<&'static str> {
    vec!["virtio", "vga"]
}

fn containment() -> Vec<&'static str> {
    vec!["auto", "off", "required"]
}

const fn key(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, doc }
}

/// Every setting.
pub const KEYS: &[Key] = &[
    key("source.uri", Kind::Uri, "the source, as SOURCE on the command line"),
    key("source.disks", Kind::Uris, "further disks of the same virtual machine, in order"),
    key("source.vm", Kind::Text, "which virtual machine, where the source has several"),
    key("source.snapshot", Kind::Flag, "a snapshot may be made at the source, for as long as it is read"),
    key("source.enable_cbt", Kind::Flag, "change tracking may be turned on at the source"),
    key("source.power_off", Kind::Flag, "the virtual machine may be shut down at the source"),
    key("output", Kind::Path, "folder for the result"),
    key("name", Kind::Text, "name of the new virtual machine and of its files"),
    key("format", Kind::Word(formats), "format of the final images"),
    key("compress", Kind::Flag, "compress the images where the format can"),
    key("resize", Kind::Resizes, "disks that get larger, by number or name: DISK=+20G or DISK=40G"),
    key("from", Kind::Word(stages), "do this stage and what follows again, even if a former run finished it"),
    key("until", Kind::Word(stages), "stop after this stage"),
    key("skip", Kind::Words(skippable), "stages that are left out"),
    key("keep_work", Kind::Flag, "keep the work folder after success"),
    key("work_dir", Kind::Path, "keep unfinished work in this folder"),
    key("keys", Kind::Keys, "keys of encrypted volumes"),
    key(
        "secrets",
        Kind::Secrets,
        "where secrets are, by the names under which plugins ask for them: a file, a variable, a credential",
    ),
    key(
        "root",
        Kind::Text,
        "which of several systems: the device of its root, UUID=... or LABEL=...; else it is chosen by rule",
    ),
    key(
        "test.plugin",
        Kind::Text,
        "the tester's plugin; NAME may stand for the plugin NAME-test; `none` leaves the boot test out; else by preference",
    ),
    key("test.timeout_seconds", Kind::Number(1, 86_400), "give the boot test up after this time"),
    key("test.ssh_address", Kind::Text, "an sshd must answer at this address of the guest"),
    key("test.ssh_port", Kind::Number(1, 65_535), "port of that sshd"),
    key(
        "test.fallback",
        Kind::Flag,
        "try a guest that does not come up once more, on a lesser machine, and deliver that",
    ),
    key("plugins.fetcher", Kind::Text, "the plugin for FETCH"),
    key("plugins.transport", Kind::Text, "plugin that reads the disks' bytes, whatever describes the machine"),
    key("plugins.flattener", Kind::Text, "the plugin for FLATTEN"),
    key("plugins.inspector", Kind::Text, "the plugin for INSPECT"),
    key("plugins.converter", Kind::Text, "the plugin for CONVERT"),
    key("plugins.disabled", Kind::Texts, "plugins that are not used"),
    key("plugins.dirs", Kind::Paths, "further folders with plugins, searched first"),
    key("plugin", Kind::Tables("plugin"), "each plugin's own settings: see `vmdk2kvm plugin show NAME`"),
    key("targets", Kind::Texts, "what the new machine is written down for; else for the target that is preferred"),
    key("target", Kind::Tables("target"), "each target's own options"),
    key(
        "machine.networks",
        Kind::Networks,
        "networks of the new host by the names of the old ones; `*` for all others",
    ),
    key("machine.disk_bus", Kind::Word(buses), "bus of all disks; else the best that the guest drives"),
    key("machine.boot_disk", Kind::Number(1, 1000), "the disk that is booted from, counted from 1"),
    key("machine.card", Kind::Word(cards), "model of all network cards; else the best that the guest drives"),
    key("machine.chipset", Kind::Word(chipsets), "family of boards"),
    key("machine.firmware", Kind::Word(firmwares), "boot firmware; else what the disks are made for"),
    key("machine.secure_boot", Kind::Flag, "Secure Boot; else as it was"),
    key("machine.tpm", Kind::Flag, "a TPM 2.0; else as it was, or as the guest wants it"),
    key("machine.cpus", Kind::Number(1, 4096), "processors; else as many as before"),
    key("machine.cores_per_socket", Kind::Number(1, 4096), "cores of each socket; else as before"),
    key("machine.memory_mib", Kind::Number(1, 1 << 30), "memory in MiB; else as much as before"),
    key("machine.clock", Kind::Word(clocks), "what the hardware clock shows; else what the guest wants"),
    key("machine.video", Kind::Word(videos), "graphics card; else the best that the guest drives"),
    key("machine.enlightenments", Kind::Flag, "interfaces by which some guests run better; else as the guest wants it"),
    key("machine.serial_console", Kind::Flag, "a serial console; there is one unless told"),
    key("machine.paravirtual", Kind::Flag, "agent channel, random numbers, balloon; else where the guest drives them"),
    key(
        "containment.mode",
        Kind::Word(containment),
        "shut plugins and their tools in with Landlock: `auto`: where the kernel can",
    ),
    key("containment.folders", Kind::Paths, "further folders that plugins and their tools may read and write"),
    key("log.level", Kind::Word(levels), "log nothing less important"),
];

/// The setting at a dotted path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether settings begin with this path: it is a section.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}
