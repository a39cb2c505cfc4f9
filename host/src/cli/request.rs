//! What the command line asks for, in the words of the rest of the host.
//!
//! Turns parsed arguments into an [`Invocation`]. What is also a setting is a member of the flags layer, under the setting's own key, so
//! that there is one place where settings are resolved.

use std::path::PathBuf;

use clap_complete::Shell;
use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::Kind;

use super::arguments::{Arguments, Common, ConfigVerb, PasswordArgs, PluginVerb, SourceArgs, Verb};
use super::batch::BatchAction;
use super::options::set;
use crate::config::{Command, Input, Layers, Request};

/// A parsed command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// The layers of settings that the command line names.
    pub layers: Layers,
    /// Where what is said goes.
    pub output: Output,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Run the pipeline, or a part of it.
    Run(Request),
    /// `batch ...`.
    Batch(BatchAction),
    /// `plugin list`.
    PluginList,
    /// `plugin show NAME`.
    PluginShow {
        /// Name of the plugin.
        name: String,
    },
    /// `plugin check FILE`.
    PluginCheck {
        /// The shared library.
        file: PathBuf,
        /// Something that it is for.
        sample: Option<String>,
    },
    /// `plugin new NAME --kind KIND`.
    PluginNew {
        /// Name of the plugin.
        name: String,
        /// Its kind.
        kind: Kind,
        /// Folder with the sources of `plugin-api`.
        api: Option<PathBuf>,
    },
    /// `plugin trust FILE...`.
    PluginTrust {
        /// The shared libraries; none: all that can be used.
        files: Vec<PathBuf>,
    },
    /// `plugin untrust FILE...`.
    PluginUntrust {
        /// The shared libraries.
        files: Vec<PathBuf>,
    },
    /// `doctor`.
    Doctor,
    /// `collect DIR`.
    Collect {
        /// What a run left.
        dir: PathBuf,
        /// Further files.
        with: Vec<PathBuf>,
        /// The archive.
        to: PathBuf,
    },
    /// `config show`.
    ConfigShow,
    /// `config check`.
    ConfigCheck,
    /// `completions SHELL`.
    Completions(Shell),
    /// `man`.
    Man {
        /// The plugin whose page it is; `None`: the program's own.
        plugin: Option<String>,
    },
}

/// Where what is said goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The result is one JSON document on stdout.
    pub json: bool,
    /// Takes the events as NDJSON.
    pub events: Option<EventsTo>,
    /// Takes the log lines.
    pub log_file: Option<PathBuf>,
    /// Nothing on stderr but errors.
    pub quiet: bool,
    /// Lines instead of bars.
    pub no_progress: bool,
}

/// Takes the events as NDJSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsTo {
    /// `-`.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// An invocation from what was parsed: `flags` has the options that are settings.
pub(super) fn invocation(arguments: Arguments, mut flags: Map<String, Value>) -> Invocation {
    let action = action(arguments.verb, &mut flags);
    let Common { config, set, json, events, log_file, quiet, no_progress } = arguments.common;
    let events = events.map(|path| if path.as_os_str() == "-" { EventsTo::Stdout } else { EventsTo::File(path) });
    Invocation {
        action,
        layers: Layers { files: config, listed: Vec::new(), sets: set, flags },
        output: Output { json, events, log_file, quiet, no_progress },
    }
}

fn action(verb: Verb, flags: &mut Map<String, Value>) -> Action {
    let run = |command, input| Action::Run(Request { command, input, plan_out: None });
    let mut source = |command, SourceArgs { source, password }: SourceArgs, plan_out| {
        if let Some(uri) = source {
            set(flags, "source.uri", json!(uri));
        }
        password_file(flags, password);
        Action::Run(Request { command, input: Input::Source, plan_out })
    };
    match verb {
        Verb::Migrate { source: given } => source(Command::Migrate, given, None),
        Verb::Inventory { source: given } => source(Command::Inventory, given, None),
        Verb::Inspect { source: given } => source(Command::Inspect, given, None),
        Verb::Plan { source: given, out } => source(Command::Plan, given, out),
        Verb::Flatten { source: given } => source(Command::Flatten, given, None),
        Verb::LiveFix { source: given, rollback } => {
            source(if rollback { Command::RollBack } else { Command::LiveFix }, given, None)
        }
        Verb::Apply { plan, password } => {
            password_file(flags, password);
            run(Command::Apply, Input::Plan { path: plan })
        }
        Verb::Fix { images } => run(Command::Fix, Input::Images { paths: images }),
        Verb::Convert { images } => run(Command::Convert, Input::Images { paths: images }),
        Verb::Cutover { dir, password } => {
            set(flags, "output", json!(dir));
            password_file(flags, password);
            run(Command::Cutover, Input::Source)
        }
        Verb::Test { dir } => run(Command::Test, Input::Result { dir }),
        Verb::Render { dir } => run(Command::Render, Input::Result { dir }),
        Verb::Define { dir } => run(Command::Define, Input::Result { dir }),
        Verb::Release { dir, password } => {
            password_file(flags, password);
            run(Command::Release, Input::Result { dir })
        }
        Verb::Batch(verb) => Action::Batch(verb.into()),
        Verb::Plugin(PluginVerb::List) => Action::PluginList,
        Verb::Plugin(PluginVerb::Show { name }) => Action::PluginShow { name },
        Verb::Plugin(PluginVerb::Check { file, sample }) => Action::PluginCheck { file, sample },
        Verb::Plugin(PluginVerb::New { name, kind, api }) => Action::PluginNew { name, kind, api },
        Verb::Plugin(PluginVerb::Trust { files }) => Action::PluginTrust { files },
        Verb::Plugin(PluginVerb::Untrust { files }) => Action::PluginUntrust { files },
        Verb::Doctor => Action::Doctor,
        Verb::Collect { dir, with, to } => Action::Collect { dir, with, to },
        Verb::Config(ConfigVerb::Show) => Action::ConfigShow,
        Verb::Config(ConfigVerb::Check) => Action::ConfigCheck,
        Verb::Completions { shell } => Action::Completions(shell),
        Verb::Man { plugin } => Action::Man { plugin },
    }
}

/// A secret is a table of its own, for which the one option stands that most people need.
fn password_file(flags: &mut Map<String, Value>, PasswordArgs { password_file }: PasswordArgs) {
    if let Some(path) = password_file {
        set(flags, "secrets.password", json!({ "file": path }));
    }
}
