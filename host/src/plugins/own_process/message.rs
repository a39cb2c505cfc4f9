//! What the two processes say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vmdk2kvm_plugin_api::model::{Hold, HoldWish, Link, PowerWish, Release, SourceRef, Way};
use vmdk2kvm_plugin_api::{ExtentKind, Hints, LogRecord, Manifest, PluginError};

use crate::plugins::SearchKind;

/// Number of a catalog, a transport or a source in the plugin's process.
pub(super) type Object = u64;

/// The first word to a new process: what to load.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    pub path: PathBuf,
    pub kind: SearchKind,
    pub digest: Option<String>,
    /// As it was read: what is loaded must have the same.
    pub manifest: Manifest,
    pub settings: Value,
    pub log_level: u8,
}

/// A word to the plugin's process.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToPlugin {
    Start(Box<Start>),
    Call(u64, Call),
    /// The answer to [`FromPlugin::Ask`].
    Told(u64, Result<Value, PluginError>),
    /// Whether the run is to stop.
    Cancel(bool),
    /// An object is needed no more.
    Drop(Object),
}

/// A word from it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromPlugin {
    /// The plugin is loaded, and has a fetcher or not.
    Started(Result<bool, PluginError>),
    /// The answer to [`ToPlugin::Call`].
    Answer(u64, Result<Value, PluginError>),
    /// A question to the host.
    Ask(u64, Question),
    /// News for the host.
    Tell(News),
}

/// What a plugin asks of its host.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    /// `Option<Vec<u8>>` is the answer.
    Secret(String),
    /// The name is the answer.
    LendSecret(Vec<u8>),
    /// A path is the answer.
    Folder,
    /// A name and how many may have a place. Nothing is the answer: the place is held, under the question's number, until it is given back.
    Slot(String, u32),
}

/// What a plugin tells its host.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum News {
    Progress {
        task: String,
        disk: Option<String>,
        done: u64,
        total: u64,
    },
    Log(LogRecord),
    Warn(String),
    /// A place is needed no more.
    SlotBack(u64),
}

/// A call of the contract.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Call {
    Accepts(SourceRef),
    Carries(Way),
    /// [`Object`] is the answer.
    Catalog(SourceRef),
    /// [`Object`] is the answer.
    Transport(Box<Link>),
    Deliver {
        link: Box<Link>,
        folder: String,
    },
    Inventory(Object),
    Describe(Object),
    Hold(Object, HoldWish),
    Changed {
        catalog: Object,
        hold: Hold,
        disk: String,
        since: String,
        from: u64,
    },
    Power(Object, PowerWish),
    Release(Object, Hold, Release),
    /// [`OpenedSource`] is the answer.
    Open(Object, String),
    Resolve {
        transport: Object,
        from: String,
        name: String,
    },
    Fingerprint(Object, String),
    StatedDigests(Object, String),
}

impl Call {
    /// The method, as a breadcrumb would name it.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Accepts(_) => "Fetcher::accepts",
            Self::Carries(_) => "Fetcher::carries",
            Self::Catalog(_) => "Fetcher::catalog",
            Self::Transport(_) => "Fetcher::transport",
            Self::Deliver { .. } => "Fetcher::deliver",
            Self::Inventory(_) => "Catalog::inventory",
            Self::Describe(_) => "Catalog::describe",
            Self::Hold(..) => "Catalog::hold",
            Self::Changed { .. } => "Catalog::changed",
            Self::Power(..) => "Catalog::power",
            Self::Release(..) => "Catalog::release",
            Self::Open(..) => "Transport::open",
            Self::Resolve { .. } => "Transport::resolve",
            Self::Fingerprint(..) => "Transport::fingerprint",
            Self::StatedDigests(..) => "Transport::stated_digests",
        }
    }
}

/// What is asked on a lane, of a source.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// The number of bytes is the answer; they are what the window begins with.
    Read { source: Object, offset: u64, length: u32 },
    /// [`Run`]s are the answer.
    Extents { source: Object, offset: u64, length: u64 },
}

/// A run of bytes of one kind, by its length: each begins where the one before ends.
pub(super) type Run = (u64, Holds);

/// [`ExtentKind`], as short as a word can be: there are up to two million in an answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Holds {
    #[serde(rename = "D")]
    Data,
    #[serde(rename = "Z")]
    Zero,
    #[serde(rename = "H")]
    Hole,
}

impl From<ExtentKind> for Holds {
    fn from(kind: ExtentKind) -> Self {
        match kind {
            ExtentKind::Data => Self::Data,
            ExtentKind::Zero => Self::Zero,
            ExtentKind::Hole => Self::Hole,
        }
    }
}

impl From<Holds> for ExtentKind {
    fn from(holds: Holds) -> Self {
        match holds {
            Holds::Data => Self::Data,
            Holds::Zero => Self::Zero,
            Holds::Hole => Self::Hole,
        }
    }
}

/// A source that is open.
#[derive(Serialize, Deserialize)]
pub(super) struct OpenedSource {
    pub id: Object,
    pub size: u64,
    pub alignment: u32,
    pub request: u32,
    pub parallelism: u16,
}

impl OpenedSource {
    pub(super) fn hints(&self) -> Hints {
        let sane = |bytes: u32| bytes.clamp(512, 32 << 20);
        Hints::default().with(|hints| {
            hints.alignment = sane(self.alignment);
            hints.request = sane(self.request);
            hints.parallelism = self.parallelism;
        })
    }
}
