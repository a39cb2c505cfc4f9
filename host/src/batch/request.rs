//! What a `batch` command asks for, and to whom it shows what happens.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::limits::Limit;
use crate::config::{Layers, Surroundings};

/// What every `batch` command names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// JOBS: a file in TOML, YAML or CSV, or a folder with an inventory in CSV.
    pub list: PathBuf,
    /// Takes a folder for each VM and the batch's own reports; else the one that the list names, or the current one.
    pub output: Option<PathBuf>,
    /// Limits that win over those of the list.
    pub limits: Vec<Limit>,
    /// The source of a row that names none, with `{server}`, `{id}`, `{uuid}`, `{name}` for what the row says.
    pub source: Option<String>,
    /// Folder in which the places of each key are kept for all engines that share it.
    pub limit_dir: Option<PathBuf>,
}

/// Which VMs of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// The one in this place, counted from 0.
    Index(usize),
    /// Those of these names, and those of these groups.
    Only {
        /// Names.
        names: Vec<String>,
        /// Groups.
        groups: Vec<String>,
    },
}

/// What is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Each is migrated; one that is migrated in rounds gets its next ones.
    Migrate,
    /// Each is planned.
    Plan,
    /// Those that are migrated in rounds get their cut-over.
    CutOver {
        /// After so long no machine is shut down any more.
        window: Option<Duration>,
    },
}

impl Task {
    /// Whether it leaves something behind.
    pub(super) fn writes(self) -> bool {
        self != Self::Plan
    }
}

/// How a batch's progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// One screen on a terminal.
    Screen,
    /// A line for whatever happens.
    Lines,
    /// Nothing.
    #[default]
    Nothing,
}

/// The settings around a list, the start of the program, and the places where events go.
pub struct Around<'a> {
    /// The layers of the command line.
    pub layers: &'a Layers,
    /// Those of the machine.
    pub surroundings: &'a Surroundings,
    /// Times count from here.
    pub started: Instant,
    /// What people see.
    pub show: Show,
    /// Takes the merged events.
    pub events: Option<Box<dyn std::io::Write + Send>>,
}
