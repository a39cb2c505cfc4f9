//! `Job`: what one run has to do, resolved and validated.
//!
//! A job is the only thing that passes from the command line to the worker process, as one JSON document. Whoever holds
//! a `Job` need not look at arguments, files or the environment again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{SourceRef, TestExpectation};

use super::machine_options::MachineOptions;
use super::resize::Resize;
use crate::events::{LogLevel, Stage};

/// What one run has to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The command.
    pub command: Command,
    /// What the command works on.
    pub input: Input,
    /// Folder that takes the result, absolute. `None` for the commands that write none.
    pub output: Option<PathBuf>,
    /// File that takes the document of `plan --out`, absolute.
    pub plan_out: Option<PathBuf>,
    /// Name of the virtual machine and of its files, instead of the source's own.
    pub name: Option<String>,
    /// Format of the final images.
    pub format: TargetFormat,
    /// Compress the final images where the format can.
    pub compress: bool,
    /// Disks that get larger.
    pub resize: Vec<Resize>,
    /// First stage that is done again even when a former run finished it.
    pub from: Option<Stage>,
    /// Last stage that is done.
    pub until: Stage,
    /// Stages that are left out: some of [`Job::SKIPPABLE`].
    pub skip: Vec<Stage>,
    /// The boot test.
    pub test: TestOptions,
    /// Keep the work folder after success.
    pub keep_work: bool,
    /// The work folder, absolute; `None`: the host chooses one beside the result.
    pub work_dir: Option<PathBuf>,
    /// Where the keys of encrypted volumes are.
    pub keys: Vec<KeySource>,
    /// Where secrets are, by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// What may be changed at the source.
    #[serde(default)]
    pub hold: HoldOptions,
    /// Which of several systems: the device of its root, `UUID=...` or `LABEL=...`; `None`: the inspector chooses.
    pub root: Option<String>,
    /// Which plugins do what.
    pub plugins: PluginOptions,
    /// Each plugin's own settings, by its name.
    pub plugin: BTreeMap<String, serde_json::Value>,
    /// The targets that the machine is written down for; none: the one that the registry prefers.
    pub targets: Vec<String>,
    /// Each target's own options, by its name.
    pub target: BTreeMap<String, serde_json::Value>,
    /// What the job says of the new machine.
    pub machine: MachineOptions,
    /// Whether and how the worker is shut in.
    pub containment: ContainmentOptions,
    /// Nothing less important is logged.
    pub log_level: LogLevel,
}

impl Job {
    /// The stages that `skip` may name: the others are what a later one works on.
    pub const SKIPPABLE: [Stage; 2] = [Stage::Fix, Stage::Test];

    /// Whether the job asks for this stage.
    pub fn wants(&self, stage: Stage) -> bool {
        self.command.stages().contains(&stage) && stage <= self.until && !self.skip.contains(&stage)
    }

    /// The source, where the command has one: also the images of `fix` and `convert`, as the disks of one virtual
    /// machine.
    pub fn source(&self) -> Option<SourceRef> {
        match &self.input {
            Input::Source(source) => Some(source.clone()),
            Input::Images { paths } => {
                let mut paths = paths.iter().map(|path| path.to_string_lossy().into_owned());
                Some(SourceRef::new(paths.next()?).with(|source| source.extra_disks = paths.collect()))
            }
            Input::Plan { .. } | Input::Result { .. } => None,
        }
    }

    /// A plugin's own settings: an empty object when the job has none.
    pub fn plugin_settings(&self, plugin: &str) -> serde_json::Value {
        self.plugin.get(plugin).cloned().unwrap_or_else(|| serde_json::Value::Object(serde_json::Map::new()))
    }
}

/// The commands that run the pipeline, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Every stage.
    Migrate,
    /// What the source has, from its descriptors alone.
    Inventory,
    /// FETCH to INSPECT, read only.
    Inspect,
    /// FETCH to PLAN, read only.
    Plan,
    /// Every stage, with a saved plan in place of PLAN.
    Apply,
    /// FETCH and FLATTEN.
    Flatten,
    /// INSPECT to FIX on copies of flat images.
    Fix,
    /// CONVERT alone.
    Convert,
    /// TEST alone.
    Test,
    /// The definition of a finished result for further targets.
    Render,
    /// No stage: gives back what a former run holds at its source.
    Release,
}

impl Command {
    /// Every command that works on a machine.
    pub const ALL: [Self; 10] = [
        Self::Migrate,
        Self::Inventory,
        Self::Inspect,
        Self::Plan,
        Self::Apply,
        Self::Flatten,
        Self::Fix,
        Self::Convert,
        Self::Test,
        Self::Render,
    ];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Inventory => "inventory",
            Self::Inspect => "inspect",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Flatten => "flatten",
            Self::Fix => "fix",
            Self::Convert => "convert",
            Self::Test => "test",
            Self::Render => "render",
            Self::Release => "release",
        }
    }

    /// The stages of the command, in order. Whatever leaves images behind ends with CONVERT (for `migrate`: but TEST),
    /// which is what gives them their format and their final names.
    pub const fn stages(self) -> &'static [Stage] {
        use Stage::{Convert, Fetch, Fix, Flatten, Inspect, Plan};
        match self {
            Self::Migrate | Self::Apply => &Stage::ALL,
            Self::Inventory => &[Fetch],
            Self::Inspect => &[Fetch, Flatten, Inspect],
            Self::Plan => &[Fetch, Flatten, Inspect, Plan],
            Self::Flatten | Self::Convert => &[Fetch, Flatten, Convert],
            Self::Fix => &[Fetch, Flatten, Inspect, Plan, Fix, Convert],
            Self::Test => &[Stage::Test],
            Self::Render => &[],
            Self::Release => &[],
        }
    }

    /// Whether a new machine comes with the images.
    pub const fn makes_machine(self) -> bool {
        matches!(self, Self::Migrate | Self::Apply)
    }

    /// Whether the command only looks: it has no output folder and changes nothing.
    pub const fn is_read_only(self) -> bool {
        matches!(self, Self::Inventory | Self::Inspect | Self::Plan)
    }
}

/// What a command works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A source: a path or a URI, with further disks.
    Source(SourceRef),
    /// A saved plan; it names its source.
    Plan {
        /// Absolute path of the plan.
        path: PathBuf,
    },
    /// Flat images, the disks of one virtual machine in order.
    Images {
        /// Absolute paths.
        paths: Vec<PathBuf>,
    },
    /// The result of a former migration.
    Result {
        /// Its folder, absolute.
        dir: PathBuf,
    },
}

impl Input {
    /// For people and for events: what the user named, without a password.
    pub fn label(&self) -> String {
        match self {
            Self::Source(source) => super::secret::mask_uri(&source.uri),
            Self::Plan { path } | Self::Result { dir: path } => path.display().to_string(),
            Self::Images { paths } => paths.first().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }
}

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

/// The boot test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestOptions {
    /// Name of the tester's plugin; `None`: the one the registry prefers.
    pub plugin: Option<String>,
    /// Give up after this many seconds.
    pub timeout_seconds: u64,
    /// What must be seen beyond a login prompt.
    pub expect: TestExpectation,
    /// A guest that does not come up is tried once more, on a lesser machine.
    pub fallback: bool,
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

/// What may be changed at the source so that it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldOptions {
    /// A snapshot may be made.
    pub snapshot: bool,
    /// Change tracking may be turned on.
    pub enable_cbt: bool,
    /// The virtual machine may be shut down.
    pub power_off: bool,
}

/// Where the key of an encrypted volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySource {
    /// Which volume: a UUID, a device, or `all`.
    pub selector: String,
    /// File that holds the key, absolute. The key is everything in it but a last line feed.
    pub file: PathBuf,
}

impl KeySource {
    /// Reads `SELECTOR:file:PATH`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not SELECTOR:file:PATH");
        let (selector, file) = text.split_once(":file:").ok_or_else(wrong)?;
        if selector.is_empty() || file.is_empty() {
            return Err(wrong());
        }
        Ok(Self { selector: selector.to_owned(), file: PathBuf::from(file) })
    }
}

/// Which plugins do what. A stage without a name takes the plugin that suits the input best.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginOptions {
    /// The plugin for FETCH.
    pub fetcher: Option<String>,
    /// The plugin that reads the disks' bytes, whatever describes the machine.
    pub transport: Option<String>,
    /// The plugin for FLATTEN.
    pub flattener: Option<String>,
    /// The plugin for INSPECT.
    pub inspector: Option<String>,
    /// The plugin for CONVERT.
    pub converter: Option<String>,
    /// Plugins that are not used, whatever they offer.
    pub disabled: Vec<String>,
    /// Further folders with plugins, absolute, searched first.
    pub dirs: Vec<PathBuf>,
}

/// Whether and how the worker is shut in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainmentOptions {
    /// Whether it is.
    pub mode: ContainmentMode,
    /// Further folders that it may read and write, absolute.
    pub folders: Vec<PathBuf>,
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

/// Makes a path absolute without touching the disk: the worker may have another idea of the current folder.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
