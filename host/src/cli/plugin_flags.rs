//! Command-line flags that installed plugins name for settings of theirs. The host knows none of them: they are read from the manifests, and
//! only when the command line is not understood without them, or when help is asked for.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgMatches, Command as Grammar};
use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::{Kind, Manifest};

use super::options::{self, Shape};
use crate::config::{Command, Layers};
use crate::events::Stage;

/// A flag of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFlag {
    /// Name of the plugin.
    pub plugin: String,
    /// The flag without its dashes.
    pub flag: String,
    /// The key that it stands for.
    pub key: String,
    /// That setting's type.
    pub type_name: String,
    /// That setting's line.
    pub doc: String,
    /// The stages that the plugin takes part in.
    pub stages: Vec<Stage>,
}

impl PluginFlag {
    /// Those of a manifest.
    pub fn of(manifest: &Manifest) -> Vec<Self> {
        let stages: Vec<Stage> = manifest.known_kinds().map(stage).collect();
        let one = |flag: &vmdk2kvm_plugin_api::Flag| {
            let setting = manifest.settings.iter().find(|setting| setting.key == flag.key)?;
            is_plain(&flag.flag).then(|| Self {
                plugin: manifest.name.clone(),
                flag: flag.flag.clone(),
                key: flag.key.clone(),
                type_name: setting.type_name.clone(),
                doc: setting.doc.clone(),
                stages: stages.clone(),
            })
        };
        manifest.flags.iter().filter_map(one).collect()
    }

    /// Whether the command has a stage of the plugin's.
    fn is_of(&self, command: Command) -> bool {
        self.stages.iter().any(|stage| command.stages().contains(stage))
    }

    /// The name by which clap finds it; no setting of the host's has such a path.
    fn id(&self) -> String {
        format!("plugin.{}.{}", self.plugin, self.key)
    }

    fn argument(&self) -> Arg {
        let argument = Arg::new(self.id()).long(self.flag.clone()).help(self.doc.clone()).action(self.shape().action());
        let argument = argument.help_heading(format!("Options of the plugin {}", self.plugin));
        if self.shape() == Shape::Flag { argument } else { argument.value_name(self.key.to_uppercase()) }
    }

    fn shape(&self) -> Shape {
        match self.type_name.as_str() {
            "boolean" => Shape::Flag,
            "list" => Shape::List,
            "integer" => Shape::Number,
            _ => Shape::Text,
        }
    }

    /// What was given.
    fn value(&self, found: &ArgMatches) -> Option<Value> {
        let mut value = options::value(found, &self.id(), self.shape())?;
        match &mut value {
            Value::Array(items) => items.iter_mut().for_each(make_absolute),
            value => make_absolute(value),
        }
        Some(value)
    }
}

/// The stage of a kind.
fn stage(kind: Kind) -> Stage {
    match kind {
        Kind::Fetcher => Stage::Fetch,
        Kind::Flattener => Stage::Flatten,
        Kind::Inspector => Stage::Inspect,
        Kind::Fixer => Stage::Plan,
        Kind::Converter => Stage::Convert,
        Kind::Tester => Stage::Test,
    }
}

fn is_plain(flag: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    flag.starts_with(|first: char| first.is_ascii_lowercase()) && flag.len() <= 40 && flag.chars().all(plain)
}

/// What names a file here is that file for the worker, too, which may only open what is named absolutely.
fn make_absolute(value: &mut Value) {
    let path = value.as_str().map(Path::new).filter(|path| path.exists());
    if let Some(Ok(path)) = path.map(std::path::absolute) {
        *value = json!(path);
    }
}

/// The grammar with the plugins' flags. One that is taken, by the host or by a plugin before it, is left out.
pub(super) fn with_flags(grammar: Grammar, flags: &[PluginFlag]) -> Grammar {
    let common: Vec<String> = longs(&grammar);
    let mut grammar = grammar;
    for command in Command::ALL {
        grammar = grammar.mut_subcommand(command.as_str(), |verb| {
            let mut taken = longs(&verb);
            taken.extend(common.iter().cloned());
            taken.extend(["help", "version"].map(str::to_owned));
            flags.iter().filter(|flag| flag.is_of(command)).fold(verb, |verb, flag| {
                if taken.contains(&flag.flag) {
                    return verb;
                }
                taken.push(flag.flag.clone());
                verb.arg(flag.argument())
            })
        });
    }
    grammar
}

fn longs(grammar: &Grammar) -> Vec<String> {
    grammar.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect()
}

/// What was given of the plugins' flags, as the member `plugin` of the flags layer.
pub(super) fn given(found: &ArgMatches, flags: &[PluginFlag]) -> Map<String, Value> {
    let mut tables = Map::new();
    let Some((_, found)) = found.subcommand() else { return tables };
    for flag in flags {
        let Some(value) = flag.value(found) else { continue };
        if let Value::Object(table) = tables.entry(flag.plugin.clone()).or_insert_with(|| json!({})) {
            table.insert(flag.key.clone(), value);
        }
    }
    tables
}

/// The layers that a command line names, as far as they say where plugins are, read without its grammar.
pub fn plugin_layers(arguments: impl IntoIterator<Item = OsString>) -> Layers {
    let mut layers = Layers::default();
    let mut dirs: Vec<String> = Vec::new();
    let mut words = arguments.into_iter().filter_map(|word| word.into_string().ok());
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word, None),
        };
        let mut value = || value.clone().or_else(|| words.next());
        match name.as_str() {
            "--plugin-dir" => dirs.extend(value()),
            "-c" | "--config" => layers.files.extend(value().map(Into::into)),
            "--set" => layers.sets.extend(value()),
            _ => {}
        }
    }
    if !dirs.is_empty() {
        layers.flags.insert("plugins".to_owned(), json!({ "dirs": dirs }));
    }
    layers
}
