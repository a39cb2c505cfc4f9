//! Command-line flags that installed plugins name for settings of theirs. The host knows none of them: they are read from the manifests, and
//! only when the command line is not understood without them, or when help is asked for.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command as Grammar};
use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::{Kind, Manifest};

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

    /// The name by which clap finds it; no argument of the host's has a dot in its name.
    fn id(&self) -> String {
        format!("plugin.{}.{}", self.plugin, self.key)
    }

    fn argument(&self) -> Arg {
        // clap keeps names for as long as it lives, which is as long as the program.
        let long: &'static str = self.flag.clone().leak();
        let id: &'static str = self.id().leak();
        let heading: &'static str = format!("Options of the plugin {}", self.plugin).leak();
        let value: &'static str = self.key.to_uppercase().leak();
        let argument = Arg::new(id).long(long).help(self.doc.clone()).help_heading(heading);
        match self.type_name.as_str() {
            "boolean" => argument.action(ArgAction::SetTrue),
            "list" => argument.action(ArgAction::Append).value_name(value),
            _ => argument.action(ArgAction::Set).value_name(value),
        }
    }

    /// What was given.
    fn value(&self, found: &ArgMatches) -> Option<Value> {
        let id = self.id();
        let given = || found.try_get_many::<String>(&id).ok().flatten();
        match self.type_name.as_str() {
            "boolean" => found.try_get_one::<bool>(&id).ok().flatten().filter(|given| **given).map(|_| json!(true)),
            "list" => given().map(|texts| texts.map(|text| absolute(text)).collect()),
            "integer" => {
                given()?.next_back().map(|text| text.parse::<i64>().map_or(json!(text), |number| json!(number)))
            }
            _ => given()?.next_back().map(|text| absolute(text)),
        }
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
fn absolute(text: &str) -> Value {
    let path = Path::new(text);
    match path.exists().then(|| std::path::absolute(path)) {
        Some(Ok(path)) => json!(path),
        _ => json!(text),
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
