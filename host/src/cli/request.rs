//! What the command line asks for, in the words of the rest of the host.
//!
//! Turns parsed arguments into an [`Invocation`]: every option that is also a setting becomes a member of the flags
//! layer, under the setting's own key, so that there is one place where settings are resolved.

use std::path::PathBuf;

use clap_complete::Shell;
use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::Kind;

use super::arguments::{
    AccessArgs, Arguments, Common, ConfigVerb, ImageArgs, KeyArgs, NameArgs, PasswordArgs, PluginVerb, ResizeArgs,
    RunArgs, SourceArgs, TargetArgs, TesterArgs, Verb,
};
use crate::config::{Command, Layers, Operand, Request};

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
    /// `config show`.
    ConfigShow,
    /// `config check`.
    ConfigCheck,
    /// `completions SHELL`.
    Completions(Shell),
    /// `man`.
    Man,
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

/// Members of the flags layer, by dotted keys.
#[derive(Default)]
struct Flags(Map<String, Value>);

impl Flags {
    /// Sets `section.key` or `key`. The last word given wins; nothing here nests deeper than two.
    fn set(&mut self, key: &str, value: Value) {
        match key.split_once('.') {
            None => {
                self.0.insert(key.to_owned(), value);
            }
            Some((section, key)) => {
                if let Value::Object(members) = self.0.entry(section).or_insert_with(|| json!({})) {
                    members.insert(key.to_owned(), value);
                }
            }
        }
    }

    fn set_some<T: serde::Serialize>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(key, json!(value));
        }
    }

    fn set_list<T: serde::Serialize>(&mut self, key: &str, values: Vec<T>) {
        if !values.is_empty() {
            self.set(key, json!(values));
        }
    }

    fn set_true(&mut self, key: &str, value: bool) {
        if value {
            self.set(key, Value::Bool(true));
        }
    }

    fn source(&mut self, source: SourceArgs) {
        self.set_some("source.uri", source.source);
        self.set_list("source.disks", source.disk);
        self.set_some("source.vm", source.vm);
        self.password(source.password);
    }

    fn password(&mut self, password: PasswordArgs) {
        self.set_some("secrets.password", password.password_file.map(|path| json!({ "file": path })));
    }

    fn access(&mut self, access: AccessArgs) {
        self.set_some("plugins.transport", access.transport);
        self.set_true("source.snapshot", access.snapshot);
        self.set_true("source.enable_cbt", access.enable_cbt);
        self.set_true("source.power_off", access.power_off);
    }

    fn image(&mut self, image: &ImageArgs) {
        self.set_some("format", image.format);
        self.set_true("compress", image.compress);
    }

    fn run(&mut self, run: RunArgs) {
        self.set_some("from", run.from);
        self.set_some("until", run.until);
        self.set_list("skip", run.skip);
        self.set_true("keep_work", run.keep_work);
        self.tester(run.tester);
    }

    fn tester(&mut self, tester: TesterArgs) {
        self.set_some("test.plugin", tester.test);
    }

    fn targets(&mut self, targets: TargetArgs) {
        self.set_list("targets", targets.target);
    }

    fn resize(&mut self, resize: ResizeArgs) {
        self.set_list("resize", resize.resize);
    }

    fn keys(&mut self, keys: KeyArgs) {
        self.set_list("keys", keys.key);
        self.set_some("root", keys.root);
    }

    fn name(&mut self, name: NameArgs) {
        self.set_some("name", name.name);
    }
}

impl From<Arguments> for Invocation {
    fn from(arguments: Arguments) -> Self {
        let mut flags = Flags::default();
        let action = action(arguments.verb, &mut flags);
        let Common { config, set, plugin_dir, work_dir, json, events, log_level, log_file, quiet, no_progress } =
            arguments.common;
        flags.set_list("plugins.dirs", plugin_dir);
        flags.set_some("work_dir", work_dir);
        flags.set_some("log.level", log_level);
        let events = events.map(|path| if path.as_os_str() == "-" { EventsTo::Stdout } else { EventsTo::File(path) });
        Self {
            action,
            layers: Layers { files: config, sets: set, flags: flags.0 },
            output: Output { json, events, log_file, quiet, no_progress },
        }
    }
}

fn action(verb: Verb, flags: &mut Flags) -> Action {
    let run = |command, operand| Action::Run(Request { command, operand, plan_out: None });
    match verb {
        Verb::Migrate { source, access, output, image, targets, resize, run: stages, keys, name } => {
            flags.source(source);
            flags.access(access);
            flags.resize(resize);
            flags.set_some("output", output);
            flags.image(&image);
            flags.targets(targets);
            flags.run(stages);
            flags.keys(keys);
            flags.name(name);
            run(Command::Migrate, Operand::Source)
        }
        Verb::Inventory { source } => {
            flags.source(source);
            run(Command::Inventory, Operand::Source)
        }
        Verb::Inspect { source, access, keys } => {
            flags.source(source);
            flags.access(access);
            flags.keys(keys);
            run(Command::Inspect, Operand::Source)
        }
        Verb::Plan { source, access, resize, out, keys } => {
            flags.source(source);
            flags.access(access);
            flags.resize(resize);
            flags.keys(keys);
            Action::Run(Request { command: Command::Plan, operand: Operand::Source, plan_out: out })
        }
        Verb::Apply { plan, access, password, output, image, targets, run: stages, keys, name } => {
            flags.access(access);
            flags.password(password);
            flags.set("output", json!(output));
            flags.image(&image);
            flags.targets(targets);
            flags.run(stages);
            flags.keys(keys);
            flags.name(name);
            run(Command::Apply, Operand::Plan(plan))
        }
        Verb::Flatten { source, access, output, image, resize, name } => {
            flags.source(source);
            flags.access(access);
            flags.resize(resize);
            flags.set("output", json!(output));
            flags.image(&image);
            flags.name(name);
            run(Command::Flatten, Operand::Source)
        }
        Verb::Fix { images, output, image, keys, name } => {
            flags.set("output", json!(output));
            flags.image(&image);
            flags.keys(keys);
            flags.name(name);
            run(Command::Fix, Operand::Images(images))
        }
        Verb::Convert { images, output, image, name } => {
            flags.set("output", json!(output));
            flags.image(&image);
            flags.name(name);
            run(Command::Convert, Operand::Images(images))
        }
        Verb::Test { dir, tester } => {
            flags.tester(tester);
            run(Command::Test, Operand::Result(dir))
        }
        Verb::Render { dir, targets } => {
            flags.targets(targets);
            run(Command::Render, Operand::Result(dir))
        }
        Verb::Release { dir, password } => {
            flags.password(password);
            run(Command::Release, Operand::Result(dir))
        }
        Verb::Plugin(PluginVerb::List) => Action::PluginList,
        Verb::Plugin(PluginVerb::Show { name }) => Action::PluginShow { name },
        Verb::Plugin(PluginVerb::Check { file, sample }) => Action::PluginCheck { file, sample },
        Verb::Plugin(PluginVerb::New { name, kind, api }) => Action::PluginNew { name, kind, api },
        Verb::Plugin(PluginVerb::Trust { files }) => Action::PluginTrust { files },
        Verb::Plugin(PluginVerb::Untrust { files }) => Action::PluginUntrust { files },
        Verb::Doctor => Action::Doctor,
        Verb::Config(ConfigVerb::Show) => Action::ConfigShow,
        Verb::Config(ConfigVerb::Check) => Action::ConfigCheck,
        Verb::Completions { shell } => Action::Completions(shell),
        Verb::Man => Action::Man,
    }
}
