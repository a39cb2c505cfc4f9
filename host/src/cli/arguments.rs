//! The grammar of the command line, as clap reads it.
//!
//! Owns words, help texts and what may stand where, but for the options that are settings too: those come from the table of settings, see
//! `options.rs`. Decides nothing: `request.rs` turns this into a request.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use vmdk2kvm_plugin_api::Kind;

use super::batch::BatchVerb;
use super::values::{kind, set};

/// Ends `--help` and stands in the manual.
pub(super) const EXIT_CODES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "a defect in the program"),
    (2, "usage"),
    (65, "the input is unusable: corrupt, unsafe, incomplete, or an unsupported guest"),
    (69, "something needed is missing on this machine (program, library, plugin, firmware)"),
    (73, "the output cannot be created (exists, no space, no permission)"),
    (74, "an I/O error; a retry may help"),
    (75, "a temporary failure: run the same command again"),
    (77, "authentication or authorisation failed"),
    (78, "configuration error"),
    (80, "migrated, but the boot test failed or proved nothing"),
    (81, "the plan is blocked: a finding of severity `block`"),
    (82, "a batch ended, and some of its VMs failed (their codes are in batch.json)"),
    (130, "interrupted"),
];

/// Turns a VMware virtual machine into a KVM virtual machine that boots.
///
/// A run has the stages fetch, flatten, inspect, plan, fix, convert, test, each done by a plugin. The source is never
/// written to. An interrupted `migrate` is resumed by the same command.
///
/// stdout carries the result, a table or with --json one JSON document; everything else goes to stderr.
#[derive(Debug, Parser)]
#[command(name = "vmdk2kvm", version, after_long_help = exit_codes_help(), max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Verb,
    #[command(flatten)]
    pub(super) common: Common,
}

/// The heading of the options of every command.
pub(super) const COMMON: &str = "Common options";

/// Options of every command, beside those that are settings.
#[derive(Debug, Args)]
#[command(next_help_heading = COMMON)]
pub(super) struct Common {
    /// Read settings from FILE, TOML or YAML by its ending; repeatable, later files win
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,
    /// Set one setting, e.g. test.timeout_seconds=900; wins over files
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = set)]
    pub(super) set: Vec<String>,
    /// Print the result, or the error, as one JSON document on stdout
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Write events to FILE as NDJSON, one a line; `-` is stdout, the result then goes to stderr
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
    /// Append log lines to FILE instead of showing them
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) log_file: Option<PathBuf>,
    /// Show nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Show lines instead of progress bars
    #[arg(long, global = true)]
    pub(super) no_progress: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Migrate a virtual machine: every stage
    Migrate {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Show which virtual machines a source has; reads descriptors only
    Inventory {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Show what a guest is; changes nothing
    Inspect {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Show what a migration would change, with diffs; changes nothing
    Plan {
        #[command(flatten)]
        source: SourceArgs,
        /// Also save the plan, for `apply`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Migrate by a saved plan; refused when the guest changed since
    Apply {
        /// The plan that `plan --out` saved
        #[arg(value_name = "PLAN")]
        plan: PathBuf,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Write the disks as flat images, unchanged
    Flatten {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Fix copies of flat images; the images are the disks of one guest, in order
    Fix {
        /// Flat disk images
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<PathBuf>,
    },
    /// Convert flat images to another format, unchanged
    Convert {
        /// Flat disk images
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<PathBuf>,
    },
    /// End a warm migration: shut the machine down, copy the last changes, and go through every stage
    Cutover {
        /// The folder that `migrate --warm` was told with -o
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Boot a throw-away copy of what `migrate` left in a folder
    Test {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Write the definition for another target, from what `migrate` left in a folder
    Render {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Define what `migrate` left in a folder at its target; starts nothing, and replaces nothing that is not ours
    Define {
        /// The folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Give back what an abandoned run, or one in rounds, holds at its source: a snapshot, a lease, change tracking
    Release {
        /// The folder that the run was to leave its result in
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Fix a guest while it runs, before its disks are copied: all changes or none; with --rollback, take them back
    LiveFix {
        #[command(flatten)]
        source: SourceArgs,
        /// Take back what the last live-fix of this guest has changed, as far as nobody has changed it since
        #[arg(long)]
        rollback: bool,
    },
    /// Migrate many virtual machines, by a list
    #[command(subcommand)]
    Batch(BatchVerb),
    /// Show, check, make or allow plugins
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Show what this machine lacks, with the package to install
    Doctor,
    /// Make one archive of what a run left, for a report of a defect; names, addresses and secrets are masked
    Collect {
        /// The folder that the run was told with -o
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Also take this file: events, or a log; repeatable
        #[arg(long = "with", value_name = "FILE")]
        with: Vec<PathBuf>,
        /// The archive
        #[arg(long, value_name = "FILE", default_value = "vmdk2kvm-report.tar.gz")]
        to: PathBuf,
    },
    /// Show or check settings
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page, or that of a plugin, for `man -l -`
    Man {
        /// Name of an installed plugin
        #[arg(value_name = "PLUGIN")]
        plugin: Option<String>,
    },
}

/// Commands on plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginVerb {
    /// List the plugins that are found, without loading them
    List,
    /// Show all that a plugin says about itself, and its settings
    Show {
        /// Name of the plugin
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Load a plugin file, which runs its code, and say whether it keeps the promises of its kinds
    Check {
        /// The shared library
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Something that the plugin is for: a source, a disk image, a folder with a guest's files; more is checked with it
        #[arg(long, value_name = "SAMPLE")]
        sample: Option<String>,
    },
    /// Make a crate of a plugin that builds, with tests that pass, in a new folder
    New {
        /// Name of the plugin and of the folder
        #[arg(value_name = "NAME")]
        name: String,
        /// What it is: fetcher, flattener, inspector, fixer, converter, tester
        #[arg(long, value_name = "KIND", value_parser = kind)]
        kind: Kind,
        /// Build against the sources in DIR, the folder plugin-api of a checkout [default: those installed with this program]
        #[arg(long, value_name = "DIR")]
        api: Option<PathBuf>,
    },
    /// Allow plugins by their digests; from then on no other is used
    Trust {
        /// Plugin files [default: all that can be used now]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Take plugins out of the allowed ones
    Untrust {
        /// Plugin files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Commands on settings.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Print the settings that result from all layers, secrets masked
    Show,
    /// Say whether the settings are valid, those of the installed plugins included
    Check,
}

/// The source.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// A disk, a descriptor, a package, a folder, or a URI; may be left out when a settings file names it
    #[arg(value_name = "SOURCE")]
    pub(super) source: Option<String>,
    #[command(flatten)]
    pub(super) password: PasswordArgs,
}

/// The password of a source.
#[derive(Debug, Args)]
pub(super) struct PasswordArgs {
    /// Read the source's password from a file of mode 0600; `[secrets]` has further places
    #[arg(long, value_name = "PATH")]
    pub(super) password_file: Option<String>,
}

fn exit_codes_help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!("  {code:<5}{meaning}\n"));
    }
    text.truncate(text.trim_end().len());
    text
}
