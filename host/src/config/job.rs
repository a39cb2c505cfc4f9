//! `Job`: one command with all its settings, resolved and validated.
//!
//! A job is the only thing that passes from the command line to the worker process, as one JSON document. Whoever holds
//! a `Job` need not look at arguments, files or the environment again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::SourceRef;

use super::command::Command;
use super::settings::Settings;
use crate::events::Stage;

/// What one run has to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The command.
    pub command: Command,
    /// What the command works on.
    pub input: Input,
    /// File that takes the document of `plan --out`, absolute.
    pub plan_out: Option<PathBuf>,
    /// Every setting, as far as it concerns the command: see [`super::job`].
    pub settings: Settings,
}

impl Job {
    /// Whether the job asks for this stage.
    pub fn wants(&self, stage: Stage) -> bool {
        self.command.stages().contains(&stage) && stage <= self.settings.until && !self.settings.skip.contains(&stage)
    }

    /// The source, where the command has one: also the images of `fix` and `convert`, as the disks of one virtual
    /// machine.
    pub fn source(&self) -> Option<SourceRef> {
        match &self.input {
            Input::Source => {
                let source = &self.settings.source;
                Some(SourceRef::new(source.uri.clone()?).with(|made| {
                    made.extra_disks.clone_from(&source.disks);
                    made.vm.clone_from(&source.vm);
                }))
            }
            Input::Images { paths } => {
                let mut paths = paths.iter().map(|path| path.to_string_lossy().into_owned());
                Some(SourceRef::new(paths.next()?).with(|source| source.extra_disks = paths.collect()))
            }
            Input::Plan { .. } | Input::Result { .. } => None,
        }
    }

    /// For people and for events: what the user named, without a password.
    pub fn label(&self) -> String {
        match &self.input {
            Input::Source => self.settings.source.uri.as_deref().map(super::secret::mask_uri).unwrap_or_default(),
            Input::Plan { path } | Input::Result { dir: path } => path.display().to_string(),
            Input::Images { paths } => paths.first().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }

    /// A plugin's own settings: an empty object when the job has none.
    pub fn plugin_settings(&self, plugin: &str) -> serde_json::Value {
        let table = self.settings.plugin.get(plugin).cloned();
        table.unwrap_or_else(|| serde_json::Value::Object(serde_json::Map::new()))
    }
}

/// What a command works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The source of the settings `source.*`.
    Source,
    /// A saved plan; it names its source.
    Plan {
        /// Path of the plan.
        path: PathBuf,
    },
    /// Flat images, the disks of one virtual machine in order.
    Images {
        /// Their paths.
        paths: Vec<PathBuf>,
    },
    /// The result of a former migration.
    Result {
        /// Its folder.
        dir: PathBuf,
    },
}

impl Input {
    /// With absolute paths: the worker may have another idea of the current folder.
    pub(super) fn absolute(&self) -> Self {
        match self {
            Self::Source => Self::Source,
            Self::Plan { path } => Self::Plan { path: absolute(path) },
            Self::Images { paths } => Self::Images { paths: paths.iter().map(|path| absolute(path)).collect() },
            Self::Result { dir } => Self::Result { dir: absolute(dir) },
        }
    }
}

/// Makes a path absolute without touching the disk: the worker may have another idea of the current folder.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
