//! The options that stand for settings: made from the settings' own table, and read back into a layer of settings.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command as Grammar, CommandFactory};
use serde_json::{Map, Value, json};

use super::arguments::{Arguments, COMMON};
use super::examples;
use crate::config::option::{Flag, Key, Kind, paths};
use crate::config::{Command, DiskOut, KeySource, Resize, Settings};

/// The whole grammar of the command line.
pub(super) fn grammar() -> Grammar {
    let options = options();
    let (common, others): (Vec<_>, Vec<_>) = options.iter().partition(|option| option.flag.commands.is_none());
    let common = common.into_iter().map(|option| option.argument().global(true).help_heading(COMMON));
    let grammar = Command::ALL.into_iter().fold(Arguments::command().args(common), |grammar, command| {
        let here = others.iter().filter(|option| option.is_of(command));
        // Only `migrate` has a default for it: the others are told where to put what they make.
        let is_required = |option: &SettingOption| option.path == "output" && command != Command::Migrate;
        let here: Vec<Arg> = here.map(|option| option.argument().required(is_required(option))).collect();
        grammar.mut_subcommand(command.as_str(), |verb| verb.args(here))
    });
    examples::added(grammar)
}

/// Whatever was given of them, as a tree of settings.
pub(super) fn given(found: &ArgMatches) -> Map<String, Value> {
    let mut tree = Map::new();
    let inner = found.subcommand().map_or(found, |(_, found)| found);
    for option in options() {
        let at = if option.flag.commands.is_none() { found } else { inner };
        if let Some(value) = value(at, &option.path, option.shape()) {
            set(&mut tree, &option.path, value);
        }
    }
    tree
}

/// Sets a member by its dotted path; what was there gives way.
pub(super) fn set(tree: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            tree.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            if let Value::Object(members) = tree.entry(section).or_insert_with(|| json!({})) {
                set(members, rest, value);
            }
        }
    }
}

/// How an option is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Without a value.
    Flag,
    /// With a value, as often as wanted.
    List,
    /// With a name and what it becomes, as often as wanted.
    Pairs,
    /// With a whole number.
    Number,
    /// With a text.
    Text,
}

impl Shape {
    /// As clap takes it.
    pub(super) fn action(self) -> ArgAction {
        match self {
            Self::Flag => ArgAction::SetTrue,
            Self::List | Self::Pairs => ArgAction::Append,
            Self::Number | Self::Text => ArgAction::Set,
        }
    }
}

/// The value of an option that was given. A number that is none stays a text, which is refused by whoever checks the setting.
pub(super) fn value(found: &ArgMatches, id: &str, shape: Shape) -> Option<Value> {
    let texts = || found.try_get_many::<String>(id).ok().flatten();
    match shape {
        Shape::Flag => found.try_get_one::<bool>(id).ok().flatten().filter(|given| **given).map(|_| json!(true)),
        Shape::List => texts().map(|texts| texts.map(|text| json!(text)).collect()),
        Shape::Pairs => texts().map(|texts| {
            let pairs = texts.filter_map(|text| text.split_once('='));
            Value::Object(pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect())
        }),
        Shape::Number => {
            texts()?.next_back().map(|text| text.parse::<i64>().map_or(json!(text), |number| json!(number)))
        }
        Shape::Text => texts()?.next_back().map(|text| json!(text)),
    }
}

/// An option that stands for a setting.
struct SettingOption {
    /// The setting's dotted path, also the option's name for clap.
    path: String,
    key: &'static Key,
    flag: Flag,
}

fn options() -> Vec<SettingOption> {
    let all = paths(Settings::KEYS).into_iter();
    all.filter_map(|(path, key)| Some(SettingOption { path, key, flag: key.flag? })).collect()
}

impl SettingOption {
    fn is_of(&self, command: Command) -> bool {
        self.flag.commands.is_some_and(|commands| commands.contains(&command))
    }

    fn shape(&self) -> Shape {
        match self.key.kind {
            Kind::Flag => Shape::Flag,
            Kind::Number(..) => Shape::Number,
            Kind::Networks => Shape::Pairs,
            Kind::Texts | Kind::Words(_) | Kind::Paths | Kind::Uris | Kind::Keys | Kind::Resizes | Kind::DiskOuts => {
                Shape::List
            }
            _ => Shape::Text,
        }
    }

    fn argument(&self) -> Arg {
        let argument =
            Arg::new(self.path.clone()).long(self.flag.long).help(self.key.doc()).action(self.shape().action());
        let argument = match self.flag.short {
            Some(short) => argument.short(short),
            None => argument,
        };
        match self.key.kind {
            Kind::Flag => argument,
            Kind::Word(words) | Kind::Words(words) => {
                argument.value_name(self.flag.value).value_parser(PossibleValuesParser::new(words()))
            }
            Kind::Keys => argument.value_name(self.flag.value).value_parser(kept::<KeySource>),
            Kind::Resizes => argument.value_name(self.flag.value).value_parser(kept::<Resize>),
            Kind::DiskOuts => argument.value_name(self.flag.value).value_parser(kept::<DiskOut>),
            Kind::Networks => argument.value_name(self.flag.value).value_parser(pair),
            _ => argument.value_name(self.flag.value),
        }
    }
}

/// A value that is checked while clap can still point at it, and kept as text: settings files write it the same way.
fn kept<T: std::str::FromStr<Err = String>>(text: &str) -> Result<String, String> {
    text.parse::<T>().map(|_| text.to_owned())
}

/// A name and what it becomes.
fn pair(text: &str) -> Result<String, String> {
    let is_whole = text.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty());
    if is_whole { Ok(text.to_owned()) } else { Err("it is not OLD=NEW".to_owned()) }
}
