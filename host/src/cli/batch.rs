//! The grammar of `batch`, and what it asks for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::batch::{Asked, ExportTo, Limit, Task, Which};

/// Commands on many virtual machines.
#[derive(Debug, Subcommand)]
pub(super) enum BatchVerb {
    /// Migrate every virtual machine of a list; the same command continues, and makes further rounds of warm ones
    Run {
        #[command(flatten)]
        list: ListArgs,
        #[command(flatten)]
        part: PartArgs,
        /// Plan all of them, show every finding, and reckon what the batch will take
        #[arg(long)]
        dry_run: bool,
    },
    /// End warm migrations of a list: shut each machine down, copy the last changes, and go through every stage
    #[command(group = clap::ArgGroup::new("whose").args(["all", "index", "only", "group"]).required(true).multiple(true))]
    Cutover {
        #[command(flatten)]
        list: ListArgs,
        /// End all of the list
        #[arg(long, conflicts_with_all = ["index", "only", "group"])]
        all: bool,
        #[command(flatten)]
        part: PartArgs,
        /// Shut down no further machine after this time, such as 90m or 2h; what has begun is brought to its end
        #[arg(long, value_name = "TIME", value_parser = window)]
        window: Option<Duration>,
    },
    /// Show how far each virtual machine of a list is; reads only
    Status {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Write the batch down for a cluster
    #[command(subcommand)]
    Export(ExportVerb),
}

/// Clusters.
#[derive(Debug, Subcommand)]
pub(super) enum ExportVerb {
    /// Scripts for Slurm: an array for each set of places, which are licences
    Slurm {
        #[command(flatten)]
        list: ListArgs,
        /// Write into DIR
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Manifests for Kubernetes: a Job with an index for each virtual machine
    Kubernetes {
        #[command(flatten)]
        list: ListArgs,
        /// Write into DIR
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// The image that has this program
        #[arg(long, value_name = "IMAGE")]
        image: String,
        /// The claim of the volume for the results
        #[arg(long, value_name = "NAME", default_value = "vmdk2kvm-output")]
        claim: String,
        /// The secret to mount at /secrets, for places under [secrets]
        #[arg(long, value_name = "NAME")]
        secret: Option<String>,
    },
}

/// The list and what stands beside it.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The list: TOML, YAML or CSV, or a folder with an inventory in CSV as RVTools writes it
    #[arg(value_name = "JOBS")]
    list: PathBuf,
    /// Folder for the results, one folder in it for each virtual machine [default: that of the list, or the current one]
    #[arg(short, long = "output", id = "batch_output", value_name = "DIR")]
    output: Option<PathBuf>,
    /// Run at most N at once of those with KEY: KIND:NAME, KIND:*, total, or boot; repeatable, wins over the list
    #[arg(long, value_name = "KEY=N")]
    limit: Vec<Limit>,
    /// The source of those that name none, with {server}, {id}, {uuid} and {name} for what their row says
    #[arg(long, value_name = "TEMPLATE")]
    source: Option<String>,
    /// Keep the places of each key in DIR, for all engines that share it
    #[arg(long, value_name = "DIR")]
    limit_dir: Option<PathBuf>,
}

/// A whole number of seconds, minutes or hours.
fn window(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let read = |(unit, seconds)| text.strip_suffix(unit)?.parse::<u32>().ok()?.checked_mul(seconds);
    let found = units.into_iter().find_map(read).filter(|seconds| *seconds > 0);
    found
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or_else(|| "a number and s, m or h, such as 90m".to_owned())
}

/// A part of the list.
#[derive(Debug, Args)]
pub(super) struct PartArgs {
    /// The one in this place of the list, counted from 0, alone; ends with its exit code
    #[arg(long, value_name = "N", conflicts_with_all = ["only", "group"])]
    index: Option<usize>,
    /// The one of this name alone; repeatable
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Those of this group alone; repeatable
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
}

/// What `batch` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchAction {
    /// `batch run` and `batch cutover`.
    Run {
        /// The list.
        asked: Asked,
        /// Which of it.
        which: Which,
        /// What is done with them.
        task: Task,
    },
    /// `batch status`.
    Status {
        /// The list.
        asked: Asked,
    },
    /// `batch export`.
    Export {
        /// The list.
        asked: Asked,
        /// For which cluster.
        to: ExportTo,
        /// Takes the files.
        folder: PathBuf,
    },
}

impl From<ListArgs> for Asked {
    fn from(ListArgs { list, output, limit, source, limit_dir }: ListArgs) -> Self {
        Self { list, output, limits: limit, source, limit_dir }
    }
}

impl From<PartArgs> for Which {
    fn from(PartArgs { index, only, group }: PartArgs) -> Self {
        match index {
            Some(index) => Self::Index(index),
            None if only.is_empty() && group.is_empty() => Self::All,
            None => Self::Only { names: only, groups: group },
        }
    }
}

impl From<BatchVerb> for BatchAction {
    fn from(verb: BatchVerb) -> Self {
        match verb {
            BatchVerb::Run { list, part, dry_run } => {
                let task = if dry_run { Task::Plan } else { Task::Migrate };
                Self::Run { asked: list.into(), which: part.into(), task }
            }
            BatchVerb::Cutover { list, all: _, part, window } => {
                Self::Run { asked: list.into(), which: part.into(), task: Task::CutOver { window } }
            }
            BatchVerb::Status { list } => Self::Status { asked: list.into() },
            BatchVerb::Export(ExportVerb::Slurm { list, to }) => {
                Self::Export { asked: list.into(), to: ExportTo::Slurm, folder: to }
            }
            BatchVerb::Export(ExportVerb::Kubernetes { list, to, image, claim, secret }) => {
                let cluster = ExportTo::Kubernetes { image, claim, secret };
                Self::Export { asked: list.into(), to: cluster, folder: to }
            }
        }
    }
}
